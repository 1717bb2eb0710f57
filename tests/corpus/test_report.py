from __future__ import annotations

from pathlib import Path

from spacy_bertft.corpus import ConversionReport, PartReport


def test_a_compact_table() -> None:
    report = ConversionReport(
        paths=(Path("a.bio"), Path("b.bio")),
        n_lines=1234,
        scheme="bio",
        output=PartReport(Path("a.spacy"), 90, 45, 1000, {"PER": 7}),
        dev=PartReport(Path("a-dev.spacy"), 10, 5, 100, {"LOC": 1, "PER": 1}),
        n_tags_repaired=3,
        n_lines_left_out={"comment lines": 2},
    )
    assert str(report).splitlines() == [
        "           a.spacy  a-dev.spacy",
        "sentences       90           10",
        "docs            45            5",
        "tokens       1,000          100",
        "entities         7            2",
        "  LOC            0            1",
        "  PER            7            1",
        "1,234 lines of 2 files read; scheme bio; tags repaired: 3; left out: 2 comment lines.",
    ]
    assert (report.n_sentences, report.n_docs, report.n_tokens) == (100, 50, 1100)
