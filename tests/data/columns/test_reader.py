from __future__ import annotations

from pathlib import Path

import pytest
import spacy
from spacy.tokens import Doc

from spacy_bertft.data.columns.reader import configure_column_corpus
from spacy_bertft.errors import DataError, SettingError

FILMS = "films\tO\nwith\tO\ndrew\tB-ACTOR\nbarrymore\tI-ACTOR\n\nisn't\tO\nit\tO\n"


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "a.bio"
    path.write_text(FILMS)
    return path


def test_examples_are_tokenized_by_the_pipeline(source: Path) -> None:
    corpus = configure_column_corpus(source)
    nlp = spacy.blank("en")
    # Training goes through the corpus once per epoch.
    for _ in range(2):
        films, question = corpus(nlp)
        assert [(ent.text, ent.label_) for ent in films.reference.ents] == [("drew barrymore", "ACTOR")]
        assert films.get_aligned_ner() == ["O", "O", "B-ACTOR", "L-ACTOR"]
        assert [token.text for token in question.reference] == ["isn't", "it"]
        assert [token.text for token in question.predicted] == ["is", "n't", "it"]
        # Joining documents that have user data of a kind that spaCy does not know is a warning.
        assert not Doc.from_docs([films.reference, question.reference]).user_data


def test_limit_and_several_sentences(source: Path) -> None:
    nlp = spacy.blank("en")
    assert len(list(configure_column_corpus(source, limit=1)(nlp))) == 1
    [example] = configure_column_corpus(source, n_sents=2)(nlp)
    assert len(list(example.reference.sents)) == 2


def test_plain_tags(tmp_path: Path) -> None:
    path = tmp_path / "a.pos"
    path.write_text("dogs NNS\nrun VBP\n")
    [example] = configure_column_corpus(path, kind="tags")(spacy.blank("en"))
    assert [token.tag_ for token in example.reference] == ["NNS", "VBP"]


def test_a_config_may_give_the_path_as_a_string(source: Path) -> None:
    [first, _] = configure_column_corpus(str(source))(spacy.blank("en"))  # type: ignore[arg-type]
    assert first.reference.text == "films with drew barrymore "


def test_settings_out_of_range(source: Path) -> None:
    with pytest.raises(SettingError) as caught:
        configure_column_corpus(None)
    assert caught.value.name == "path"
    with pytest.raises(SettingError) as caught:
        configure_column_corpus(source, orphans="keep")
    assert caught.value.name == "orphans"


def test_a_missing_file_is_met_when_it_is_read(tmp_path: Path) -> None:
    corpus = configure_column_corpus(tmp_path / "missing")
    with pytest.raises(DataError, match="no such file"):
        list(corpus(spacy.blank("en")))


def test_a_config_resolves_to_the_corpus(source: Path) -> None:
    # The installed package registers the same function through its entry point.
    spacy.registry.readers.register("tests.ColumnCorpus.v1", func=configure_column_corpus)
    block = {"@readers": "tests.ColumnCorpus.v1", "path": str(source), "scheme": "bio", "limit": 1}
    corpus = spacy.registry.resolve({"corpus": block})["corpus"]
    assert len(list(corpus(spacy.blank("en")))) == 1


def test_columns_by_name(tmp_path: Path) -> None:
    path = tmp_path / "a.tsv"
    path.write_text("# global.columns = ID NE FORM X\n1\tB-PER\tAnna\tO\n2\tO\truns\tO\n")
    [example] = configure_column_corpus(path)(spacy.blank("en"))
    assert example.reference.text == "Anna runs "
    [example] = configure_column_corpus(path, tag_column="X", word_column=2)(spacy.blank("en"))
    assert (example.reference.text, example.reference.ents) == ("B-PER O ", ())


def test_spans(tmp_path: Path) -> None:
    path = tmp_path / "a.tsv"
    path.write_text("Bank\tB-ORG\tO\nof\tI-ORG\tO\nEngland\tI-ORG\tB-LOC\n")
    [example] = configure_column_corpus(path, kind="spans", spans_key="x")(spacy.blank("en"))
    assert [span.text for span in example.reference.spans["x"]] == ["Bank of England", "England"]
