"""`convert` of column files (BIO, CoNLL): the first byte of an input chooses the settings, the rest is the file."""

from __future__ import annotations

import re
from pathlib import Path
from tempfile import TemporaryDirectory

from spacy.tokens import Doc, DocBin
from spacy.vocab import Vocab

from spacy_bertft.data import ConversionReport, convert_columns

from .blanks import remember_blanks
from .laws import check, expect_clear_errors

DICTIONARY = (
    *(
        b"O",
        b"B-PER",
        b"I-PER",
        b"L-PER",
        b"U-PER",
        b"E-PER",
        b"S-PER",
        b"-DOCSTART-",
        b"# ",
        b"# id = 7\n",
        b"1\t",
        b"2-3\t",
        b"word\ttag\n",
    ),
    *(b"\t", b" ", b"\n", b"\n\n", b"\r\n", b"\r", b"\0", b"\xef\xbb\xbf", b"\xc2\xa0", b"\xe2\x80\xa8", b"\xc2\x85"),
    *(b"\xe2\x80\x8b", b"\xcc\x81", b"\xf0\x9f\x98\x80", b"\xed\xa0\x80", b"\xff"),
)


def fuzz_one(data: bytes) -> None:
    """Convert a file; what is written is every word of every line that is not blank, a comment or a mark."""
    choice, content = (data[0], data[1:]) if data else (0, b"")
    with TemporaryDirectory() as folder:
        source, output = Path(folder, "a.bio"), Path(folder, "a.spacy")
        source.write_bytes(content)
        with remember_blanks(), expect_clear_errors():
            report = convert_columns(
                source,
                output,
                kind="tags" if choice & 1 else "ents",
                orphans="repair" if choice & 2 else "error",
                n_sents=3 if choice & 4 else 1,
                dev=0.3 if choice & 8 else 0.0,
                tag_column=(None, "first", "last", None)[choice >> 4 & 3],
                scheme=(None, "biluo", "bio", "iob1")[choice >> 6],
            )
            _check_written(report, content)
            return
        check(sorted(Path(folder).iterdir()) == [source], "after an error nothing is written")


def _check_written(report: ConversionReport, content: bytes) -> None:
    lines = re.split(r"\r*\n|\r", content.decode("utf-8").removeprefix("\ufeff"))
    n_lines = len(lines) - (not lines[-1] and content != b"\xef\xbb\xbf")
    lines = [re.sub(r"^\ufeff+(?![\ufeff \t])", "", line) for line in lines]
    n_blank = sum(not line.strip(" \t") for line in lines[:n_lines])
    docs = [_read_docs(part.path) for part in report.parts]
    words = [[token.text for doc in part for token in doc] for part in docs]
    check(report.n_lines == n_lines, "every line is counted")
    check([len(part) for part in words] == [part.n_tokens for part in report.parts], "what is counted is written")
    check([len(part) for part in docs] == [part.n_docs for part in report.parts], "documents are counted")
    n_words, n_left_out = sum(map(len, words)), sum(report.n_lines_left_out.values())
    check(n_words + n_left_out + n_blank == n_lines, "no line is dropped silently")
    if len(words) == 1:
        remaining = iter(lines)
        check(all(any(word in line for line in remaining) for word in words[0]), "words are kept, in order")


def _read_docs(path: Path) -> list[Doc]:
    return list(DocBin().from_disk(path).get_docs(Vocab()))
