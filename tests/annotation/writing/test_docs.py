from __future__ import annotations

import datetime
import sys

import pytest
import spacy
from row_files import read_errors, write_rows
from small_checkpoints import TEXTS
from spacy.language import Language
from spacy.tokens import Doc, DocBin

from spacy_bertft.annotation.annotate import annotate
from spacy_bertft.annotation.rows import TextRow
from spacy_bertft.annotation.settings import AnnotateSettings
from spacy_bertft.annotation.writers import DocsWriter
from spacy_bertft.errors import DataError


@Language.component("annotate_put_a_function")
def put_a_function(doc: Doc) -> Doc:
    doc.user_data["function"] = put_a_function
    return doc


def read(output, vocab=None) -> list[Doc]:
    vocab = vocab or spacy.blank("en").vocab
    return [doc for path in sorted(output.glob("*.spacy")) for doc in DocBin().from_disk(path).get_docs(vocab)]


def test_all_that_the_pipeline_has_found_is_on_the_documents(pipeline, tmp_path):
    rows = [{"text": text, "id": 1 << 70, "more": [number]} for number, text in enumerate(TEXTS)]
    write_rows(tmp_path / "a.jsonl", rows)
    annotate(pipeline, [tmp_path / "a.jsonl"], tmp_path / "out", output_format="docbin", shard_rows=2)
    nlp = spacy.load(pipeline)
    docs = read(tmp_path / "out")
    n_ents = 0
    for number, (text, doc) in enumerate(zip(TEXTS, docs, strict=True)):
        expected = nlp(text)
        assert doc.text == text
        assert [str(ent) + ent.label_ for ent in doc.ents] == [str(ent) + ent.label_ for ent in expected.ents]
        scores = [ent._.bertft_score for ent in expected.ents]
        assert [ent._.bertft_score for ent in doc.ents] == pytest.approx(scores, abs=1e-4)
        assert doc.cats == pytest.approx(expected.cats, abs=1e-4)
        assert doc.user_data["columns"] == {"id": str(1 << 70), "more": (number,)}
        n_ents += len(doc.ents)
    assert n_ents


def test_shards_are_input_too(pipeline, tmp_path):
    write_rows(tmp_path / "a.jsonl", [{"text": text, "id": number} for number, text in enumerate(TEXTS)])
    annotate(pipeline, [tmp_path / "a.jsonl"], tmp_path / "one", output_format="docbin")
    annotate(pipeline, [tmp_path / "one"], tmp_path / "two", output_format="docbin")
    for one, two in zip(read(tmp_path / "one"), read(tmp_path / "two"), strict=True):
        assert (one.text, one.user_data) == (two.text, two.user_data)
        assert [str(ent) + ent.label_ for ent in one.ents] == [str(ent) + ent.label_ for ent in two.ents]
        assert [ent._.bertft_score for ent in one.ents] == pytest.approx(
            [ent._.bertft_score for ent in two.ents], abs=1e-4
        )


def test_columns_are_plain_values():
    doc = spacy.blank("en").make_doc("a")
    columns = {"text": "a", "day": datetime.date(2020, 1, 2), "numbers": [-(1 << 63), 1 << 64, {"a": -1 << 64}, True]}
    DocsWriter(AnnotateSettings()).format_row(TextRow(1, "a", columns), doc)
    assert doc.user_data["columns"] == {
        "day": "2020-01-02",
        "numbers": [-(1 << 63), str(1 << 64), {"a": str(-1 << 64)}, True],
    }


@pytest.mark.parametrize("depth", [100, 505, 700])
def test_columns_that_are_nested_too_deeply_are_told(ruler, tmp_path, depth):
    rows = f'{{"text": "a"}}\n{{"text": "b", "n": {"[" * depth}{"]" * depth}}}\n{{"text": "c"}}\n'
    (tmp_path / "a.jsonl").write_text(rows)
    report = annotate(ruler, [tmp_path / "a.jsonl"], tmp_path / "out", output_format="docbin")
    found = [doc.text for doc in read(tmp_path / "out")]
    if report.n_failed:
        assert found == ["a", "c"]
        [problem] = read_errors(tmp_path / "out")
        assert problem["line"] == 2
        assert problem["reason"].startswith("'docbin' failed: ")
    else:
        assert found == ["a", "b", "c"]
    # Up to Python 3.11 comprehensions take frames, of which there are a thousand; msgpack knows 511 levels.
    deepest = 500 if sys.version_info < (3, 12) else 510
    assert report.n_failed == (depth > deepest)


def test_what_a_component_leaves_and_cannot_be_written_is_told(tmp_path):
    nlp = spacy.blank("en")
    nlp.add_pipe("annotate_put_a_function")
    nlp.to_disk(tmp_path / "model")
    write_rows(tmp_path / "a.txt", [{"text": "a"}])
    with pytest.raises(DataError, match=r"1 row read, none could be annotated; .*errors\.jsonl says why"):
        annotate(tmp_path / "model", [tmp_path / "a.txt"], tmp_path / "out", output_format="docbin")
    [problem] = read_errors(tmp_path / "out")
    assert problem["reason"].startswith("'docbin' failed: TypeError: ")
