"""Two heads of one kind on one corpus: each has its own labels, and sees those of the other."""

from __future__ import annotations

import pytest
import spacy
from spacy.tokens import Doc, Span
from spacy.training import Example
from text_pipelines import BOTH

from spacy_bertft.errors import DataError
from spacy_bertft.training.optimizer import configure_adamw

TEXT = "show me films"
LABELS = {"first": ["film", "plot"], "second": ["short", "long"]}
TOKEN_LABELS = {"first": ["VERB", "NOUN"], "second": ["PRON", "ADV"]}


def make_pipeline(checkpoint: str, factory: str, labels: dict[str, list[str]] | None):
    nlp = spacy.blank("en")
    config = {"model": {"encoder": {"name": checkpoint, "precision": "fp32"}}}
    for name in ("first", "second"):
        nlp.add_pipe(factory, name=name, config=config)
        if labels:
            nlp.config["initialize"]["components"][name] = {"labels": labels[name]}
    return nlp


def make_example(nlp) -> Example:
    cats = {"film": 1.0, "plot": 0.0, "short": 1.0, "long": 0.0}
    words = TEXT.split()
    doc = Doc(nlp.vocab, words, tags=["VERB", "PRON", "NOUN"])
    doc.ents = [Span(doc, index, index + 1, label=token.tag_) for index, token in enumerate(doc)]
    doc.cats = cats
    return Example(nlp.make_doc(TEXT), doc)


def train(nlp, n_steps: int = 20):
    example = make_example(nlp)
    nlp.initialize(lambda: [example])
    optimizer = configure_adamw(5e-3)
    for _ in range(n_steps):
        nlp.update([example], sgd=optimizer)
    return nlp(TEXT)


@pytest.mark.filterwarnings("ignore:.*always hold")
@pytest.mark.parametrize("factory", BOTH)
def test_text_classifiers_ignore_the_labels_of_the_other(checkpoint, factory):
    nlp = make_pipeline(checkpoint, factory, LABELS)
    with pytest.warns(UserWarning, match="not among the labels that were given") as warned:
        doc = train(nlp)
    # One for each component, however many steps.
    assert sum("not among" in str(each.message) for each in warned) == 2
    assert doc.cats["film"] > 0.9 < doc.cats["short"]
    assert nlp.get_pipe("first").unknown_labels == {"short": 20, "long": 20}
    assert nlp.get_pipe("second").unknown_labels == {"film": 20, "plot": 20}


def test_entity_recognizers_take_the_entities_of_the_other_for_none(checkpoint):
    nlp = make_pipeline(checkpoint, "bert_ner", TOKEN_LABELS)
    with pytest.warns(UserWarning, match="not among the labels that were given"):
        doc = train(nlp, 40)
    assert [(ent.text, ent.label_) for ent in doc.ents] == [("show", "VERB"), ("me", "PRON"), ("films", "NOUN")]
    assert [span.text for span in doc.spans["first"]] == ["show", "films"]
    assert nlp.get_pipe("first").unknown_labels == {"PRON": 40}


def test_taggers_do_not_learn_from_the_tags_of_the_other(checkpoint):
    nlp = make_pipeline(checkpoint, "bert_tagger", TOKEN_LABELS)
    with pytest.warns(UserWarning, match="not among the labels that were given"):
        train(nlp)
    assert nlp.get_pipe("first").unknown_labels == {"PRON": 20}
    doc = nlp.get_pipe("first")(nlp.make_doc(TEXT))
    assert (doc[0].tag_, doc[2].tag_) == ("VERB", "NOUN")


def test_without_given_labels_an_unknown_one_stays_an_error(checkpoint):
    nlp = make_pipeline(checkpoint, "bert_textcat", None)
    example = make_example(nlp)
    example.reference.cats = {"film": 1.0, "plot": 0.0}
    nlp.initialize(lambda: [example])
    with pytest.raises(DataError, match=r"the label 'short'.*\[initialize\.components\.first\]"):
        nlp.update([make_example(nlp)])


def test_a_stored_component_still_knows(checkpoint, tmp_path):
    """Training goes on after a pipeline was loaded, as in `spacy-bertft resume`."""
    nlp = make_pipeline(checkpoint, "bert_ner", TOKEN_LABELS)
    nlp.initialize(lambda: [make_example(nlp)])
    nlp.to_disk(tmp_path)
    loaded = spacy.load(tmp_path)
    with pytest.warns(UserWarning, match="not among the labels that were given"):
        loaded.update([make_example(loaded)])
