from __future__ import annotations

from dataclasses import replace

from spacy_bertft.annotation.ledger import AnnotateReport

REPORT = AnnotateReport("out", 1200, 1200, 0, 0, 3, 0, (), 1.0)


def test_what_is_told():
    assert str(REPORT) == "1,200 rows read, 1,200 written to 3 shards; 0 failed."
    more = replace(REPORT, n_written=1000, n_failed=200, n_empty=7, n_shards_before=2, left_out=tuple("abcd"))
    assert str(more) == (
        "1,200 rows read, 1,000 written to 3 shards; 200 failed (see out/errors.jsonl); 7 empty lines skipped; "
        "2 shards written before; 4 files of other kinds left out: a, b, c, …."
    )
