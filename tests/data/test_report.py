from __future__ import annotations

from pathlib import Path

from spacy_bertft.data import ConversionReport, PartReport


def test_a_compact_table() -> None:
    report = ConversionReport(
        kind="ents",
        paths=(Path("a.bio"), Path("b.bio")),
        n_lines=1234,
        scheme="bio",
        output=PartReport(Path("a.spacy"), 90, 45, 1000, {"PER": 7}),
        dev=PartReport(Path("a-dev.spacy"), 10, 5, 100, {"LOC": 1, "PER": 1}),
        n_tags_repaired=3,
        n_lines_left_out={"comment lines": 2},
        columns="words in column 1, tags in column 2 of 2",
        n_tags_missing=1,
        n_byte_order_marks=1,
    )
    assert str(report).splitlines() == [
        "           a.spacy  a-dev.spacy",
        "sentences       90           10",
        "docs            45            5",
        "tokens       1,000          100",
        "entities         7            2",
        "  LOC            0            1",
        "  PER            7            1",
        "1,234 lines of 2 files read; words in column 1, tags in column 2 of 2; scheme bio; tags repaired: 3; "
        "tokens without a tag: 1; byte order marks removed: 1; left out: comment lines (2).",
    ]
    assert (report.n_sentences, report.n_docs, report.n_tokens) == (100, 50, 1100)


def test_labelled_texts_have_no_sentences() -> None:
    report = ConversionReport(
        paths=(Path("a.csv"),),
        n_lines=101,
        output=PartReport(Path("a.spacy"), 0, 80, 1000, {"ham": 70, "spam": 10}),
        test=PartReport(Path("a-test.spacy"), 0, 20, 100, {"ham": 20, "spam": 0}),
    )
    assert str(report).splitlines() == [
        "        a.spacy  a-test.spacy",
        "docs         80            20",
        "tokens    1,000           100",
        "labels       80            20",
        "  ham        70            20",
        "  spam       10             0",
        "101 lines of 1 file read; left out: nothing.",
    ]
    assert (report.n_sentences, report.n_docs, report.label_counts) == (0, 100, {"ham": 90, "spam": 10})
