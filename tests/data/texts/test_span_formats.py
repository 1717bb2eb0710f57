"""Every format of texts with spans, each with its oddities, and an independent count of what is in it."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
import spacy
from commands import run
from spacy.tokens import Doc, DocBin, Span

from spacy_bertft.data import convert_spans, convert_texts
from spacy_bertft.errors import ColumnFormatError, DataError, SettingError

ADA = "Ada Lovelace lived in London."
EMOJI = "👍 Ada liked London."  # JavaScript counts the first character twice


def make_lines(*rows: object) -> str:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def make_span(text: str, quoted: str, label: str, shift: int = 0, **names: object) -> dict[str, object]:
    start = text.index(quoted) + shift
    return {"start": start, "end": start + len(quoted), "label": label, **names}


PRODIGY = make_lines(
    {
        "text": ADA,
        "spans": [make_span(ADA, "Ada Lovelace", "PER"), make_span(ADA, "London", "LOC")],
        "answer": "accept",
    },
    {"text": ADA, "spans": [make_span(ADA, "Lovelace", "LOC")], "answer": "reject"},
    {"text": ADA, "spans": [], "answer": "ignore"},
    {"text": ADA, "spans": [make_span(ADA, "Ada Lovelace", "PER")], "answer": "accept", "_view_id": "ner"},
    {"text": ADA, "spans": [make_span(ADA, "London", "PER")], "answer": "reject", "_view_id": "ner"},
)
DOCCANO_OLD = make_lines(
    {"id": 1, "text": ADA, "label": [[0, 12, "PER"], [4, 12, "NAME"], [22, 28, "LOC"]]},
    {"text": "Nothing.", "labels": []},
)
DOCCANO = make_lines(
    {
        "text": ADA,
        "entities": [
            {"id": 3, "label": "PER", "start_offset": 0, "end_offset": 12},
            {"id": 4, "label": "LOC", "start_offset": 22, "end_offset": 28},
        ],
        "relations": [{"id": 1, "from_id": 3, "to_id": 4, "type": "lived"}],
        "Comments": [],
    }
)


def make_result(text: str, quoted: str, label: str, shift: int = 0) -> dict[str, object]:
    span = make_span(text, quoted, label, shift)
    value = {"start": span["start"], "end": span["end"], "text": quoted, "labels": [label]}
    return {"from_name": "label", "to_name": "text", "type": "labels", "value": value}


CHOICE = {"from_name": "kind", "to_name": "text", "type": "choices", "value": {"choices": ["bio"]}}
LABEL_STUDIO = json.dumps(
    [
        {
            "id": 1,
            "data": {"text": ADA},
            "annotations": [
                {"was_cancelled": True, "result": [make_result(ADA, "lived", "LOC")]},
                {"result": [make_result(ADA, "Lovelace", "PER"), CHOICE]},
                {
                    "ground_truth": True,
                    "result": [make_result(ADA, "Ada Lovelace", "PER"), CHOICE, {"type": "relation"}],
                },
            ],
        },
        {
            "id": 2,
            "data": {"text": EMOJI},
            "annotations": [{"result": [make_result(EMOJI, "London", "LOC", 1), CHOICE]}],
        },
        {"id": 3, "data": {"text": "Skipped."}, "annotations": [{"was_cancelled": True, "result": []}]},
        {"id": 4, "data": {"text": "Open."}, "annotations": [], "predictions": [{"result": []}]},
    ],
    indent=1,
)
LABEL_STUDIO_MIN = json.dumps(
    [
        {"id": 1, "text": ADA, "label": [{"start": 0, "end": 12, "text": "Ada Lovelace", "labels": ["PER"]}]},
        {"id": 2, "text": EMOJI, "label": [{"start": 13, "end": 19, "text": "London", "labels": ["LOC", "CITY"]}]},
    ]
)
DATATURKS = make_lines(
    {"content": ADA, "annotation": [{"label": ["PER"], "points": [{"start": 0, "end": 11, "text": "Ada Lovelace"}]}]},
    {"content": ADA, "annotation": [{"label": ["LOC"], "points": [{"start": 21, "end": 27, "text": " London"}]}]},
    {"content": "Skipped.", "annotation": None},
)
SPACY_2_TUPLES = json.dumps([[ADA, {"entities": [[0, 12, "PER"], [22, 28, "LOC"]]}], ["Nothing.", {"entities": []}]])
SPACY_2 = json.dumps(
    [
        {
            "id": 0,
            "paragraphs": [
                {
                    "raw": ADA,
                    "sentences": [
                        {
                            "tokens": [
                                {"id": number, "orth": word, "ner": tag}
                                for number, (word, tag) in enumerate(
                                    zip(
                                        ["Ada", "Lovelace", "lived", "in", "London", "."],
                                        ["B-PER", "L-PER", "O", "-", "U-LOC", "O"],
                                        strict=True,
                                    )
                                )
                            ]
                        }
                    ],
                }
            ],
        }
    ]
)
PUBTATOR = (
    "7|t|Ada in London.\n7|a|She had a cold.\n"
    "7\t0\t3\tAda\tPER\t-\n7\t25\t29\tcold\tDisease\tD003139\n7\tCID\tD1\tD2\n\n8|t|No span.\n8|a|\n"
)
WEBANNO = r"""#FORMAT=WebAnno TSV 3.3
#T_SP=de.tudarmstadt.ukp.dkpro.core.api.lexmorph.type.pos.POS|PosValue
#T_SP=de.tudarmstadt.ukp.dkpro.core.api.ner.type.NamedEntity|identifier|value


#Text=👍 Ada Lovelace\\.
1-1	0-2	👍	_	_	_	$
1-2	3-6	Ada	NNP	*[1]|*	PER[1]|FIRST	$
1-3	7-15	Lovelace	NNP	*[1]	PER[1]	$
1-4	15-16	\\	_	_	_	$
1-5	16-17	.	_	_	_	$

#Text=NewLondon
2-1	20-29	NewLondon	NNP	_	_	$
2-1.1	23-29	London	_	*	GREAT\_CITY	$
""".replace("$", "")
BRAT = (
    "T1\tPER 0 12\tAda Lovelace\nT2\tLOC 22 28\tLondon\nT3\tLOC 0 3;22 28\tAda London\n"
    "R1\tlived Arg1:T1 Arg2:T2\n#1\tAnnotatorNotes T1\tsure?\n"
)


def count_brat(content: str) -> Counter[str]:
    return Counter(re.findall(r"^T\d+\t(\S+) \d+ \d+\t", content, re.MULTILINE))


def count_labels(pattern: str) -> Callable[[str], Counter[str]]:
    """Count labels by what is around them, unlike the code under test."""
    return lambda content: Counter(re.findall(pattern, content))


CASES = {
    # name: content, kind, counted independently, left out, what else is counted
    "a.prodigy.jsonl": (PRODIGY, "ents", lambda _: Counter(PER=2, LOC=1), [1, 1], 0),
    "old.jsonl": (DOCCANO_OLD, "spans", count_labels(r'\d, "([A-Z]+)"'), [], 0),
    "new.jsonl": (DOCCANO, "ents", count_labels(r'"label": "([A-Z]+)"'), [1], 0),
    "label-studio.json": (LABEL_STUDIO, "ents", lambda _: Counter(PER=1, LOC=1), [2, 1, 1, 2], 1),
    "min.json": (LABEL_STUDIO_MIN, "spans", count_labels(r'"([A-Z]+)"'), [], 1),
    "dataturks.json": (DATATURKS, "ents", count_labels(r'"label": \["([A-Z]+)"'), [1], 1),
    "tuples.json": (SPACY_2_TUPLES, "ents", count_labels(r'\d, "([A-Z]+)"'), [], 0),
    "spacy2.json": (SPACY_2, "ents", count_labels(r'"[BU]-([A-Z]+)"'), [], 0),
    "a.pubtator": (PUBTATOR, "ents", count_labels(r"\t\d+\t\d+\t\w+\t(\w+)"), [1], 0),
    "webanno.tsv": (WEBANNO, "spans", lambda _: Counter({"PER": 1, "FIRST": 1, "GREAT_CITY": 1}), [1], 1),
    "brat.ann": (BRAT, "ents", count_brat, [1, 2], 0),
}


def read(path: Path) -> list[Doc]:
    return list(DocBin().from_disk(path).get_docs(spacy.blank("en").vocab))


@pytest.mark.parametrize("name", CASES)
def test_every_format_has_the_labels_of_an_independent_count(tmp_path, name):
    content, kind, count, left_out, n_notes = CASES[name]
    (tmp_path / name).write_text(content, encoding="utf-8")
    (tmp_path / "brat.txt").write_text(ADA)
    output = run("spacy_bertft", "convert", name, "a.spacy", "--as", kind, cwd=tmp_path)
    docs = read(tmp_path / "a.spacy")
    found = Counter(span.label_ for doc in docs for span in (doc.spans["sc"] if kind == "spans" else doc.ents))
    assert found == count(content)
    assert [int(each) for each in re.findall(r"\((\d+)[,)]", output.partition("left out: ")[2])] == left_out
    assert output.count("(the first: ") == n_notes
    known = {"Ada", "Lovelace", "London", "cold", "NewLondon"}
    assert {token.text for doc in docs for span in doc.ents for token in span} <= known


@pytest.mark.parametrize("name", CASES)
def test_the_format_is_found_by_the_content(tmp_path, name):
    (tmp_path / name).write_text(CASES[name][0], encoding="utf-8")
    (tmp_path / "brat.txt").write_text(ADA)
    assert "converted to ents" in run("spacy_bertft", "convert", name, "a.spacy", "--dry-run", cwd=tmp_path)


def test_questions_of_prodigy_say_nothing_about_the_rest(tmp_path):
    (tmp_path / "a.jsonl").write_text(PRODIGY)
    convert_spans(tmp_path / "a.jsonl", tmp_path / "a.spacy", kind="ents")
    whole, accepted, rejected = read(tmp_path / "a.spacy")
    tags = [[token.ent_iob_ for token in doc] for doc in (whole, accepted, rejected)]
    assert tags == [["B", "I", "O", "O", "B", "O"], ["B", "I", "", "", "", ""], [""] * 6]
    assert [(span.text, span.label_) for span in rejected.spans["rejected"]] == [("London", "PER")]
    report = convert_spans(tmp_path / "a.jsonl", tmp_path / "a.spacy", kind="spans")
    assert (report.n_docs, report.n_lines_left_out["questions about single entities"]) == (1, 1)


def test_what_is_not_known_is_missing(tmp_path):
    (tmp_path / "a.json").write_text(SPACY_2)
    (tmp_path / "b.ann").write_text("T1\tPER 0 3;22 28\tAda London\n")
    (tmp_path / "b.txt").write_text(ADA)
    convert_spans(tmp_path / "a.json", tmp_path / "a.spacy", kind="ents", file_format="spacy-json")
    convert_spans(tmp_path / "b.ann", tmp_path / "b.spacy", kind="ents")
    assert [token.ent_iob_ for token in read(tmp_path / "a.spacy")[0]] == ["B", "I", "O", "", "B", "O"]
    assert [token.ent_iob_ for token in read(tmp_path / "b.spacy")[0]] == ["", "O", "O", "O", "", "O"]


@pytest.mark.parametrize(
    ("mode", "spans", "tags"),
    [
        ("expand", ["Lovelace lived", "London"], ["O", "B", "I", "O", "B"]),
        ("contract", ["lived"], ["O", "", "B", "O", ""]),
        ("strict", [], ["O", "", "", "O", ""]),
    ],
)
def test_spans_that_are_not_aligned_with_tokens(tmp_path, mode, spans, tags):
    (tmp_path / "a.jsonl").write_text(
        make_lines({"text": ADA, "spans": [[6, 18, "PER"], [22, 27, "LOC"], [28, 29, "X"]]})
    )
    report = convert_spans(tmp_path / "a.jsonl", tmp_path / "a.spacy", kind="ents", alignment_mode=mode)
    [doc] = read(tmp_path / "a.spacy")
    assert [ent.text for ent in doc.ents] == [*spans, "."]
    assert [token.ent_iob_ for token in doc][:5] == tags
    assert sum(report.counts.values()) == 2
    assert all("that are not aligned with tokens" in each for each in report.counts)


def test_overlapping_spans_are_entities_if_they_are_the_longest(tmp_path):
    (tmp_path / "a.jsonl").write_text(DOCCANO_OLD)
    report = convert_spans(tmp_path / "a.jsonl", tmp_path / "a.spacy", kind="ents")
    assert report.label_counts == {"LOC": 1, "PER": 1}
    assert report.n_lines_left_out == {"spans that overlap a longer one (see --as spans)": 1}
    (tmp_path / "a.jsonl").write_text(
        make_lines({"text": "new york times square", "spans": [[0, 14, "X"], [9, 21, "Y"]]})
    )
    convert_spans(tmp_path / "a.jsonl", tmp_path / "a.spacy", kind="ents")
    [doc] = read(tmp_path / "a.spacy")
    assert [token.ent_iob_ for token in doc] == ["B", "I", "I", ""]


def test_choices_of_a_region_say_nothing_of_the_text(tmp_path):
    food = {"value": {"start": 0, "end": 3, "text": "Ada", "choices": ["good"]}, "type": "choices"}
    whole = {"value": {"choices": ["bio"]}, "type": "choices"}
    (tmp_path / "a.json").write_text(json.dumps([{"data": {"text": ADA}, "annotations": [{"result": [food, whole]}]}]))
    report = convert_texts(tmp_path / "a.json", tmp_path / "a.spacy")
    assert report.label_counts == {"bio": 1}
    assert report.n_lines_left_out == {"results that are no span or choice": 1}


def test_categories_of_label_studio_and_dataturks(tmp_path):
    (tmp_path / "a.json").write_text(LABEL_STUDIO)
    assert convert_texts(tmp_path / "a.json", tmp_path / "a.spacy").label_counts == {"bio": 2}
    rows = {"content": ADA, "annotation": {"labels": ["bio"], "note": ""}}, {"content": ADA, "annotation": None}
    (tmp_path / "b.json").write_text(make_lines(*rows))
    assert convert_texts(tmp_path / "b.json", tmp_path / "a.spacy").label_counts == {"bio": 1}
    (tmp_path / "c.json").write_text(json.dumps([{"text": ADA, "kind": {"choices": ["bio", "life"]}}]))
    report = convert_texts(tmp_path / "c.json", tmp_path / "a.spacy", label_column="kind")
    assert report.label_counts == {"bio": 1, "life": 1}


def test_docs_of_spacy_3_as_json(tmp_path):
    doc = spacy.blank("en")(ADA)
    doc.ents = [Span(doc, 0, 2, "PER")]
    doc.spans["a"], doc.spans["b"] = [Span(doc, 4, 5, "LOC")], [Span(doc, 4, 5, "CITY")]
    (tmp_path / "a.json").write_text(json.dumps(doc.to_json(), indent=1))
    assert convert_spans(tmp_path / "a.json", tmp_path / "a.spacy", kind="ents").label_counts == {"PER": 1}
    assert convert_spans(tmp_path / "a.json", tmp_path / "a.spacy").label_counts == {"CITY": 1, "LOC": 1}


def test_brat_in_a_directory_with_other_line_ends(tmp_path):
    (tmp_path / "x").mkdir()
    (tmp_path / "x" / "1.txt").write_bytes(b"Ada\r\nLovelace")
    (tmp_path / "x" / "1.ann").write_bytes(b"T1\tPER 0 13\tAda Lovelace\r\n")
    (tmp_path / "x" / "2.txt").write_text("Nothing.")
    (tmp_path / "x" / "2.ann").write_text("")
    run("spacy_bertft", "convert", "x", "a.spacy", cwd=tmp_path)
    assert [[ent.text for ent in doc.ents] for doc in read(tmp_path / "a.spacy")] == [["Ada\r\nLovelace"], []]


def test_a_layer_of_webanno_by_its_name(tmp_path):
    (tmp_path / "a.tsv").write_text(WEBANNO)
    options = {"file_format": "webanno", "kind": "spans"}
    report = convert_spans(tmp_path / "a.tsv", tmp_path / "a.spacy", label_column="POS", **options)
    assert report.label_counts == {"NNP": 3}
    with pytest.raises(DataError, match=r"no layer of spans other, among .*POS\|PosValue, .*NamedEntity\|value"):
        convert_spans(tmp_path / "a.tsv", tmp_path / "a.spacy", label_column="other", **options)


@pytest.mark.parametrize(
    ("name", "content", "problem"),
    [
        ("a.ann", "T1\tPER 0 3\tLovelace\n", "line 1: the span 'Lovelace' is not where it says. There is 'Ada'"),
        ("a.ann", "\nT1 PER 0 3\n", "line 2: an entity is 'T1 PER 0 3'"),
        ("a.ann", "T1\tPER 0 99\n", "line 1: the text has no characters 0 99. Expected ranges within its 29"),
        ("a.ann", "T1\tPER 0 3;28 99\n", "line 1: the text has no characters 0 3;28 99"),
        ("a.pubtator", "7|t|Ada\nAda\n", "line 2: the line is 'Ada'"),
        ("a.pubtator", "7|t|Ada\n7\t0\t4\tAda\tPER\n", "line 2: the text has no characters 0 to 4"),
        ("a.json", '[{"data": {"text": "a"}, "annotations": [3]}]', "the annotations are"),
        ("a.json", '[{"content": "a", "annotation": [{"label": "X", "points": 3}]}]', "the annotations are"),
        ("a.json", '[{"paragraphs": 3}]', "spaCy cannot read its JSON"),
        ("a.json", '[{"text": "a", "spans": []},\n {"text": "b", "spans": 3}]', "line 2: the spans are 3"),
        ("a.json", '[{"text": "a", "spans": []}\n {"text', "line 2: the line is not JSON"),
        ("a.json", '[{"text": "a", "spans": []},\n', "line 1: the file ends within its array. Expected ] at its end"),
        ("a.json", "[3]", "line 1: the line holds 3"),
        ("a.json", '[["a", {"entities": [[0, 1, 2]]}]]', "a span is"),
    ],
)
def test_what_cannot_be_read(tmp_path, name, content, problem):
    (tmp_path / "a.txt").write_text(ADA)
    (tmp_path / name).write_text(content)
    with pytest.raises(ColumnFormatError, match=re.escape(problem)):
        convert_spans(tmp_path / name, tmp_path / "a.spacy", kind="ents")


def test_files_of_brat_that_are_hidden_or_alone(tmp_path):
    for name in ("1.txt", "2.txt", "2.ANN", "3.txt", ".copies/4.txt", ".copies/4.ann"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("" if name.lower().endswith(".ann") else ADA)
    report = convert_spans(tmp_path, tmp_path / "a.spacy", kind="ents", file_format="brat")
    assert report.n_lines_left_out == {"texts without a file .ann": 2}
    assert len(read(tmp_path / "a.spacy")) == 1


def test_a_text_of_brat_that_is_missing(tmp_path):
    (tmp_path / "a.ann").write_text(BRAT)
    with pytest.raises(DataError, match=r"a\.txt: no such file"):
        convert_spans(tmp_path / "a.ann", tmp_path / "a.spacy")
    (tmp_path / "a.txt").write_bytes("Zoë".encode("cp1252"))
    with pytest.raises(DataError, match="--encoding"):
        convert_spans(tmp_path / "a.ann", tmp_path / "a.spacy")
    (tmp_path / "a.ann").write_bytes("T1\tPER 0 3\tZoë".encode("cp1252"))
    convert_spans(tmp_path / "a.ann", tmp_path / "a.spacy", encoding="cp1252", kind="ents")
    assert [doc.ents[0].text for doc in read(tmp_path / "a.spacy")] == ["Zoë"]
    with pytest.raises(SettingError, match="encoding = 'cp9'"):
        convert_spans(tmp_path / "a.ann", tmp_path / "a.spacy", encoding="cp9")


def test_webanno_whose_offsets_do_not_fit(tmp_path):
    for old, new, problem in [
        ("3-6", "4-7", "is not at 4"),
        ("0-2\t", "x\t", "the line has"),
        ("20-29", "999999999-9", "not at"),
    ]:
        (tmp_path / "a.tsv").write_text(WEBANNO.replace(old, new, 1))
        with pytest.raises(ColumnFormatError, match=problem):
            convert_spans(tmp_path / "a.tsv", tmp_path / "a.spacy", file_format="webanno")
