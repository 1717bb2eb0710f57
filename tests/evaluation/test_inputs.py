from __future__ import annotations

import pytest

from spacy_bertft.components.pipelines import read_inputs
from spacy_bertft.errors import DataError

GOOD = [("good", {"POS": 1.0, "NEG": 0.0})]


def test_a_pipeline_and_examples(pipelines, write):
    nlp, examples = read_inputs(pipelines("textcat"), write(GOOD))
    assert nlp.pipe_names == ["textcat"]
    assert [(example.text, example.reference.cats) for example in examples] == GOOD


def test_missing_things(pipelines, write, tmp_path):
    with pytest.raises(DataError, match="is no file"):
        read_inputs(pipelines("textcat"), tmp_path / "missing.spacy")
    with pytest.raises(DataError, match="is no pipeline"):
        read_inputs(tmp_path / "missing", write(GOOD))
    with pytest.raises(DataError, match="holds no documents"):
        read_inputs(pipelines("textcat"), write([]))


def test_a_directory(pipelines, write):
    """As spaCy's own commands read it."""
    _, examples = read_inputs(pipelines("textcat"), write(GOOD).parent)
    assert {example.text for example in examples} == {text for text, _ in GOOD}


@pytest.mark.parametrize(
    ("name", "problem"), [("a.csv", "does not end in .spacy"), ("a.spacy", "cannot be read"), ("", "cannot be read")]
)
def test_other_files(pipelines, tmp_path, name, problem):
    (tmp_path / "a.csv").write_bytes(b"text,label\n")
    (tmp_path / "a.spacy").write_bytes(b"")
    with pytest.raises(DataError, match=rf"{name} {problem}\. Expected a \.spacy file"):
        read_inputs(pipelines("textcat"), tmp_path / name)
