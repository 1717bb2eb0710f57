from __future__ import annotations

import datetime
import decimal
import json
import math

import spacy
from hypothesis import given
from hypothesis import strategies as st
from row_files import format_jsonl

from spacy_bertft.annotation.chunks import Chunk
from spacy_bertft.annotation.rows import TextRow, parse_rows
from spacy_bertft.annotation.settings import AnnotateSettings
from spacy_bertft.annotation.writers import JsonlWriter

NLP = spacy.blank("en")
SETTINGS = AnnotateSettings(answers={"ents": "ents"})
any_text = st.text(st.characters(exclude_categories=["Cs"]), max_size=10)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | any_text,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(any_text, inner, max_size=3),
    max_leaves=6,
)
rows = st.lists(
    st.builds(
        lambda text, columns: {**columns, "text": text},
        any_text,
        st.dictionaries(any_text.filter(lambda name: name != "ents"), values, max_size=4),
    ),
    min_size=1,
    max_size=5,
)


def write(chunk_rows: list[TextRow]) -> list[dict]:
    writer = JsonlWriter(SETTINGS)
    lines = [writer.format_row(row, NLP.make_doc(row.text)) for row in chunk_rows]
    content = writer.format_shard(lines, [row.line for row in chunk_rows], Chunk("a", "jsonl", "a"))
    assert content.endswith(b"\n")

    def refuse(constant: str) -> None:
        raise AssertionError(constant)

    return [json.loads(line, parse_constant=refuse) for line in content.decode().split("\n")[:-1]]


@given(rows)
def test_all_columns_are_kept_in_their_order(written):
    lines = format_jsonl(written).split(b"\n")[:-1]
    chunk = Chunk("a", "jsonl", "a", rows=[(number, line.decode()) for number, line in enumerate(lines, start=1)])
    found = write(list(parse_rows(chunk, SETTINGS, NLP.vocab, 100)))
    assert [json.dumps(row) for row in found] == [json.dumps({**row, "ents": []}) for row in written]


def test_what_json_has_no_word_for():
    columns = {
        "text": "a",
        "moment": datetime.datetime(2020, 1, 2, 3, 4, 5, 6),
        "day": datetime.date(2020, 1, 2),
        "lapse": datetime.timedelta(days=1),
        "price": decimal.Decimal("12345678901234567890.10"),
        "bytes": b"\xff\x00",
        "floats": [math.nan, math.inf, -math.inf, 0.1],
        "map": [("a", datetime.date(2020, 1, 2))],
        "struct": {"inner": b"a"},
    }
    [row] = write([TextRow(1, "a", columns)])
    assert row == {
        "text": "a",
        "moment": "2020-01-02T03:04:05.000006",
        "day": "2020-01-02",
        "lapse": "1 day, 0:00:00",
        "price": "12345678901234567890.10",
        "bytes": "/wA=",
        "floats": [None, "inf", "-inf", 0.1],
        "map": [["a", "2020-01-02"]],
        "struct": {"inner": "YQ=="},
        "ents": [],
    }
