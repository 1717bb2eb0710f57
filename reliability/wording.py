"""Find words that this project does not use; `make check` fails where one is.

    python -m reliability.wording [PATH …]

Each has a plain or a standard term instead, so that a search for the term finds what it names. Only words without
another meaning are listed. A line that needs one ends with `# wording: …` and says why.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parent.parent
SUFFIXES = {".py", ".md", ".jinja", ".cfg", ".toml", ".yml", ""}
PATHS = ("spacy_bertft", "tests", "benchmarks", "reliability", "docs", "configs", ".ci")
FILES = ("README.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md", "Makefile", "pyproject.toml", "project.yml")
# What is not written, and what is written instead.
INSTEAD = {
    r"\bstands? (?:in|there|here|at|on|before|behind|beside)\b(?! for)": "is in, is at",
    r"\bbeside\b": "next to, alongside",
    r"\b(?:is|are|was|be) told\b": "is reported, is passed",
    r"\bmended\b": "fixed",
    r"\bin the place of\b": "replaces, instead of",
    r"\bthe house\b": "architecture",
    r"\brooms\b": "packages, modules",
    r"\bfloors\b": "layers",
    r"\bthe door is light\b|\blight door\b": "fast import",
    r"\bhonest confidences?|confidences honest\b": "calibrated",
    r"\bguess(?:es|ed|ing)? hidden\b": "masked language modeling",
    r"\bgoes? on learning\b|\btraining that (?:is|was) killed\b": "resume training",
    r"\blegal answers?\b|\bwhat may follow\b": "valid tag sequences",
    r"\bwhy this answer\b": "explaining predictions",
    r"\btaken for what\b": "confusion matrix",
    r"\bsurest\b": "most confident",
    r"\bmean of the labels\b": "macro average",
    r"\bcommon tongue\b": "common currency",
    r"\blaws of\b": "invariants",
    r"\bwants a reason\b": "needs a reason",
    r"\bmaking\(|\bwith making\b": "build_lock",
}


def find_files() -> Iterator[Path]:
    """Find all files of the project with text in them."""
    for path in PATHS:
        for found in sorted((ROOT / path).rglob("*")):
            is_text = found.is_file() and found.suffix in SUFFIXES and "corpus" not in found.parts
            if is_text and not {"_generated", "__pycache__", "saved"} & set(found.parts) and found != Path(__file__):
                yield found
    yield from (ROOT / name for name in FILES)


def find_words(text: str) -> Iterator[tuple[int, str, str]]:
    """Find each word of `INSTEAD`: its line, the word, and what to write instead."""
    for number, line in enumerate(text.splitlines(), start=1):
        if "# wording:" not in line:
            for pattern, instead in INSTEAD.items():
                for found in re.finditer(pattern, line, flags=re.IGNORECASE):
                    yield number, found[0], instead


def main(names: list[str]) -> int:
    n_found = 0
    for path in [Path(name).resolve() for name in names] or find_files():
        for number, word, instead in find_words(path.read_text(encoding="utf-8")):
            print(f"{path.relative_to(ROOT)}:{number}: {word!r}; write: {instead}")
            n_found += 1
    return int(n_found > 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
