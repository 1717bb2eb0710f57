"""JSONL of texts with spans by their characters."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from commands import run
from spacy.tokens import DocBin
from spacy.vocab import Vocab

from spacy_bertft.data import convert_spans
from spacy_bertft.errors import ColumnFormatError, DataError

TEXT = "the Bank of England in London"
SPANS = [(4, 19, "ORG"), (12, 19, "LOC"), (23, 29, "LOC")]
OBJECTS = [{"start": start, "end": end, "label": label} for start, end, label in SPANS]


def write(path: Path, *rows: object) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def read(path: Path, key: str = "sc") -> list[list[tuple[int, int, str]]]:
    docs = DocBin().from_disk(path).get_docs(Vocab())
    return [[(span.start_char, span.end_char, span.label_) for span in doc.spans[key]] for doc in docs]


def test_both_forms_of_a_span_and_every_field(tmp_path):
    rows = [{"text": TEXT, field: OBJECTS} for field in ("spans", "entities")]
    rows += [{"text": TEXT, field: SPANS} for field in ("label", "labels")]
    rows += [{"text": "no span", "spans": []}, {"text": TEXT, "spans": OBJECTS * 2}]
    report = convert_spans(write(tmp_path / "a.jsonl", *rows), tmp_path / "a.spacy", spans_key="x")
    assert read(tmp_path / "a.spacy", "x") == [*[SPANS] * 4, [], SPANS]
    assert (report.n_docs, report.label_counts, report.counts) == (6, {"LOC": 10, "ORG": 5}, {})
    assert "doc.spans['x']" in str(report)


def test_a_span_within_a_token_is_extended_and_counted(tmp_path):
    source = write(tmp_path / "a.jsonl", {"text": TEXT, "label": [[5, 19, "ORG"]]}, {"text": TEXT, "label": SPANS})
    report = convert_spans(source, tmp_path / "a.spacy")
    assert read(tmp_path / "a.spacy")[0] == [(4, 19, "ORG")]
    assert list(report.counts.values()) == [1]
    assert f"expanded to whole tokens: 1 (the first: {source}, line 1: 'ank of England'" in report.format_notes()


def test_what_prodigy_rejected_or_ignored_is_left_out_and_copies_stay_together(tmp_path):
    rows = [{"text": f"{TEXT} {n // 2}", "spans": OBJECTS} for n in range(20)]
    answers = [{**rows[0], "answer": answer} for answer in ("reject", "ignore", "accept")]
    source = write(tmp_path / "a.jsonl", *rows, *answers, {"text": " ", "spans": []})
    report = convert_spans(source, tmp_path / "a.spacy", dev=0.2, test=0.2)
    left_out = {"rows answered with reject": 1, "rows answered with ignore": 1, "rows without text": 1}
    assert report.n_lines_left_out == left_out
    parts = [{doc.text for doc in DocBin().from_disk(part.path).get_docs(Vocab())} for part in report.parts]
    assert report.n_docs == 21
    assert not (parts[0] & parts[1] | parts[0] & parts[2] | parts[1] & parts[2])


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        ({"text": TEXT}, "no column 'spans', 'entities', 'ents', 'label' or 'labels' among 'text'"),
        ({"text": TEXT, "spans": "LOC"}, "the spans are"),
        ({"text": TEXT, "spans": {"sc": 3}}, "the spans are"),
        ({"text": TEXT, "spans": [{"start": 0, "end": 3}]}, "a span is"),
        ({"text": TEXT, "spans": [[0, 3, " "]]}, "a span is"),
        ({"text": TEXT, "spans": [[True, 3, "X"]]}, "no characters"),
        ({"text": TEXT, "spans": [[3, 3, "X"]]}, "no characters 3 to 3"),
        ({"text": TEXT, "spans": [[20, 30, "X"]]}, "no characters 20 to 30.*within its 29 characters"),
        ({"text": 3, "spans": []}, "Expected a string"),
    ],
)
def test_errors_name_the_line(tmp_path, row, problem):
    source = write(tmp_path / "a.jsonl", {"text": TEXT, "spans": SPANS}, row)
    with pytest.raises(ColumnFormatError, match=rf"a\.jsonl, line 2: .*{problem}"):
        convert_spans(source, tmp_path / "a.spacy")
    assert not (tmp_path / "a.spacy").exists()


def test_nothing_to_convert(tmp_path):
    with pytest.raises(DataError, match="no text"):
        convert_spans(write(tmp_path / "a.jsonl"), tmp_path / "a.spacy")


def test_the_command_chooses_by_the_name_of_the_file(tmp_path):
    write(tmp_path / "a.jsonl", {"text": TEXT, "spans": SPANS})
    (tmp_path / "b.tsv").write_text("the\tO\tO\nBank\tB-ORG\tO\nof\tI-ORG\tO\nEngland\tI-ORG\tB-LOC\n")
    for name, counts in (("a.jsonl", "LOC"), ("b.tsv", "scheme bio")):
        options = ("--as", "spans", "--spans-key", "x")
        assert counts in run("spacy_bertft", "convert", name, f"{name}.spacy", *options, cwd=tmp_path)
    assert read(tmp_path / "b.tsv.spacy", "x") == [[(4, 19, "ORG"), (12, 19, "LOC")]]
