"""Distillation: gold annotation of some labels, and for the others what the component predicted before."""

from __future__ import annotations

import numpy as np
import pytest
from small_checkpoints import TEXTS
from spacy.language import Language
from spacy.training import Example

from spacy_bertft.components.component import BertComponent


def compute(nlp: Language, head: str, gold: dict, labels: tuple[str, ...]) -> tuple[float, np.ndarray]:
    """Compute the loss of one text and its gradient by the scores."""
    pipe: BertComponent = nlp.get_pipe(head)
    example = Example.from_dict(nlp.make_doc(TEXTS[0]), gold)
    scores, tutor = (model.predict([example.predicted]) for model in (pipe.model, pipe._rehearsal_model))
    loss, gradient = pipe._compute_distillation([example], scores, tutor, labels)
    return loss, getattr(gradient, "scores", gradient)


@pytest.fixture
def nlp(all_heads) -> Language:
    all_heads.resume_training()
    for head in ("bert_ner", "bert_textcat", "bert_textcat_multilabel"):
        all_heads.get_pipe(head).add_label("NEW")
    return all_heads


def test_entities_outside_of_new_ones_are_those_of_before(nlp):
    loss, by_score = compute(nlp, "bert_ner", {"entities": [(0, 4, "NEW")]}, ("NEW",))
    tags = nlp.get_pipe("bert_ner").model.tags
    assert loss > 0
    assert by_score[0, tags.index("B-NEW")] * len(by_score) == pytest.approx(-1, abs=0.05)  # which is not learned yet
    # For the other words nothing is to be learned, but that they are not new.
    assert np.abs(by_score[2:]).max() * len(by_score) < 0.02
    assert (by_score[2:, -2:] >= 0).all()


def test_annotated_entities_of_an_old_label_replace_its_predictions(nlp):
    tags = nlp.get_pipe("bert_ner").model.tags
    _, by_score = compute(nlp, "bert_ner", {"entities": [(0, 4, "TITLE")]}, ("TITLE",))
    assert by_score[0, tags.index("B-TITLE")] < 0
    assert (by_score[1:, [tags.index("B-TITLE"), tags.index("I-TITLE")]] >= 0).all()


def test_exclusive_categories(nlp):
    probs = nlp(TEXTS[0]).cats
    _, known = compute(nlp, "bert_textcat", {"cats": {"NEW": 1.0}}, ("NEW",))
    assert known[0] == pytest.approx([probs["film"], probs["other"], -probs["film"] - probs["other"]], abs=1e-5)
    _, other = compute(nlp, "bert_textcat", {"cats": {"NEW": 0.0}}, ("NEW",))
    shares = np.array([probs["film"], probs["other"]]) / (probs["film"] + probs["other"])
    assert other[0, :2] == pytest.approx([probs["film"], probs["other"]] - shares, abs=1e-5)


def test_categories_that_may_hold_together(nlp):
    probs = nlp(TEXTS[0]).cats
    _, by_score = compute(nlp, "bert_textcat_multilabel", {"cats": {"NEW": 1.0, "me": 0.0}}, ("NEW", "me"))
    assert by_score[0] * 3 == pytest.approx([probs["me"], 0, probs["NEW"] - 1], abs=1e-5)


def test_tags(nlp):
    tagger = nlp.get_pipe("bert_tagger")
    tagger.add_label("NEW")
    n_words = len(nlp.make_doc(TEXTS[0]))
    _, by_score = compute(nlp, "bert_tagger", {"tags": ["NEW", *[""] * (n_words - 1)]}, ("NEW",))
    assert by_score[0, -1] < -0.5 / len(by_score)
    assert np.abs(by_score[1:]).max() * len(by_score) < 0.02
