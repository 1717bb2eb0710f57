"""What developers use: the count of code lines, the search for words, the map in CONTRIBUTING."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from reliability.wording import find_words

ROOT = Path(__file__).parent.parent
SCRIPT = ROOT / "benchmarks" / "code_lines.py"
SOURCE = '''"""Two lines
of docstring."""

# A comment.
import os  # counts, once


class A:
    """A docstring."""

    text = """a string
    counts"""

    def f(self):
        """Another.

        And more.
        """
        return (
            1
        )
'''


@pytest.mark.process
def test_only_code_is_counted(tmp_path: Path) -> None:
    (tmp_path / "inner" / "deep").mkdir(parents=True)
    for name in ("a.py", "inner/a.py", "inner/deep/a.py"):
        (tmp_path / name).write_text(SOURCE)
    done = subprocess.run([sys.executable, SCRIPT, tmp_path], check=True, capture_output=True, text=True)
    assert [line.split() for line in done.stdout.splitlines()[1:]] == [
        [".", "1", "8"],
        ["inner", "2", "16"],
        ["total", "3", "24"],
    ]
    done = subprocess.run([sys.executable, SCRIPT], check=True, capture_output=True, text=True)
    assert re.search(r"^total +\d+ +[\d,]+$", done.stdout, flags=re.MULTILINE)


def test_words_are_found_with_what_to_write_instead() -> None:
    text = "fine\nwhat stands in the config is told\n"  # wording: what is found
    text += "it stands in for others\nfloors  # wording: an example\n"
    assert [(line, word) for line, word, _ in find_words(text)] == [(2, "stands in"), (2, "is told")]  # wording: same


def test_every_file_of_the_map_exists() -> None:
    rows = re.findall(r"^\| (.*) \|$", (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8"), flags=re.MULTILINE)
    named = [re.findall(r"`([\w/]+\.\w+)`", row) for row in rows[1:]]
    assert len(named) >= 10
    # Further files are named with their folder, or are next to the first.
    assert all(paths and (ROOT / paths[0]).is_file() for paths in named), named
    others = [
        (ROOT / first).with_name(path.rpartition("/")[2]) for first, *more in named for path in more if "/" not in path
    ]
    others += [ROOT / path for paths in named for path in paths if "/" in path]
    assert all(path.is_file() for path in others), named
