"""The command line of `convert` and `stats`.

The first byte of an input chooses which, and the rest of the first line are its arguments. What follows is the content
of every file in the folder that it runs in.
"""

from __future__ import annotations

import os
from pathlib import Path
from tempfile import TemporaryDirectory

from typer.testing import CliRunner

from spacy_bertft.cli import app

from .blanks import remember_blanks
from .laws import check

_FILES = ("a.bio", "a.csv", "a.tsv", "a.jsonl", "a.spacy", "a")
_WORDS = (
    *("--as", "ents", "tags", "cats", "--scheme", "bio", "iob1", "bilou", "--tag-column", "first", "last", "--n-sents"),
    *("--orphans", "repair", "error", "--format", "csv", "tsv", "jsonl", "--text-column", "--label-column", "text"),
    *(
        "label",
        "--second-text-column",
        "--header",
        "--no-header",
        "--no-quoting",
        "--quoting",
        "--label-separator",
        ",",
    ),
    *(
        "--label-names",
        "--dev",
        "--test",
        "--seed",
        "--lang",
        "xx",
        "de",
        "zz",
        "ja",
        "punctuation",
        "0.2",
        "1",
        "2",
        "-1",
        "nan",
        "1e999",
        "9" * 20,
    ),
    *("--dev-path", "--test-path", "out.spacy", "dev.spacy", "out", "", ".", "--help", "--kind", *_FILES),
)
DICTIONARY = (
    *(f" {word}".encode() for word in _WORDS),
    *(b"\nO\tfilms\nB-PER\tdrew\n", b"\ntext,label\na,x\nb,y\n", b'\n{"text": "a", "label": "x"}\n', b"\0", b"\xff"),
)


def fuzz_one(data: bytes) -> None:
    """Run a command in a folder of its own; it succeeds, or ends in one line that says why."""
    first, _, content = data.partition(b"\n")
    arguments = first[1:].decode("utf-8", "replace").replace("\0", "").split(" ")
    if any("/" in argument or ".." in argument for argument in arguments):
        return  # nothing is read or written outside of the folder
    command = "stats" if first.startswith(b"s") else "convert"
    before = Path.cwd()
    with TemporaryDirectory() as folder:
        for name in _FILES:
            Path(folder, name).write_bytes(content)
        os.chdir(folder)
        try:
            with remember_blanks():
                result = CliRunner().invoke(app, [command, *arguments])
        finally:
            os.chdir(before)
    if isinstance(result.exception, Exception):
        raise result.exception
    check(result.exit_code in (0, 1, 2), f"an exit code of {result.exit_code}")
    check("Traceback" not in result.output, "no traceback")
    if result.exit_code == 1:
        check(result.stderr.startswith("Error: "), f"an error says that it is one: {result.stderr!r}")
        check(result.stderr.count("\n") == 1, f"an error is one line: {result.stderr!r}")
