"""Spans that are known to be wrong, and tokens that are known to be in some entity: `incorrect_spans_key`."""

from __future__ import annotations

import warnings
from dataclasses import replace

import numpy as np
import pytest
import spacy
from small_checkpoints import TEXTS
from spacy.language import Language
from spacy.tokens import Doc, Span
from spacy.training import Example
from thinc.api import fix_random_seed

from spacy_bertft.errors import DataError
from spacy_bertft.tags.forward_backward import run_forward_backward
from spacy_bertft.training.optimizer import configure_adamw

KEY = "wrong"


def make_ner(checkpoint: str, **model: object) -> Language:
    fix_random_seed(0)
    nlp = spacy.blank("en")
    settings = {"encoder": {"name": checkpoint, "precision": "fp32"}, "token_loss": 0.0, "label_smoothing": 0.0}
    nlp.add_pipe("bert_ner", config={"model": settings | model, "incorrect_spans_key": KEY})
    nlp.get_pipe("bert_ner").add_label("ACTOR")
    nlp.get_pipe("bert_ner").add_label("YEAR")
    with pytest.warns(UserWarning, match=r"no example has doc\.spans\['wrong'\]"):
        nlp.initialize()
    return nlp


def make_example(nlp: Language, *wrong: tuple[int, int, str], gold: tuple[int, int, str] | None = None) -> Example:
    """Make an example of which nothing is known but some spans that are wrong, and perhaps an entity."""
    reference = nlp.make_doc(TEXTS[0])
    reference.set_ents([Span(reference, *gold[:2], label=gold[2])] if gold else [], default="missing")
    reference.spans[KEY] = [Span(reference, start, end, label=label) for start, end, label in wrong]
    return Example(nlp.make_doc(TEXTS[0]), reference)


def compute_loss(nlp: Language, example: Example) -> float:
    ner = nlp.get_pipe("bert_ner")
    return ner.get_loss([example], ner.model.predict([example.predicted]))[0]


def read(doc: Doc) -> list[tuple[int, int, str]]:
    return [(ent.start, ent.end, ent.label_) for ent in doc.ents]


@pytest.mark.parametrize("decoder", ["crf", "viterbi"])
def test_the_loss_is_the_probability_that_the_prediction_is_wrong_and_training_removes_it(checkpoint, decoder):
    nlp = make_ner(checkpoint, decoder=decoder)
    doc = nlp(TEXTS[0])
    ent = doc.ents[0]
    example = make_example(nlp, (ent.start, ent.end, ent.label_))
    if decoder == "crf":  # otherwise the chain that is trained is not the one that predicts
        expected = -np.log1p(-ent._.bertft_score) / len(ent)
        assert compute_loss(nlp, example) == pytest.approx(expected, rel=1e-4)
    optimizer = configure_adamw(3e-3)
    for _ in range(30):
        nlp.update([example], sgd=optimizer)
    assert (ent.start, ent.end, ent.label_) not in read(nlp(TEXTS[0]))
    assert compute_loss(nlp, example) < 0.05


def test_a_wrong_span_of_o_is_in_some_entity(checkpoint):
    nlp = make_ner(checkpoint)
    example = make_example(nlp, (4, 5, "O"))
    scores = nlp.get_pipe("bert_ner").model.predict([example.predicted])
    sums = run_forward_backward(scores.scores, scores.lengths, scores.training_chain)
    outside = np.exp(sums.alpha[4, 0] + sums.beta[4, 0] - sums.log_partition[0])
    assert compute_loss(nlp, example) == pytest.approx(-np.log1p(-outside), rel=1e-5)


def test_gold_entities_and_wrong_spans_add_up(checkpoint):
    nlp = make_ner(checkpoint)
    both, wrong, gold = (
        make_example(nlp, *spans, gold=ent)
        for spans, ent in (([(7, 8, "ACTOR")], (4, 6, "ACTOR")), ([(7, 8, "ACTOR")], None), ([], (4, 6, "ACTOR")))
    )
    assert 3 * compute_loss(nlp, both) == pytest.approx(compute_loss(nlp, wrong) + 2 * compute_loss(nlp, gold))


def test_two_passes_count_each(checkpoint):
    nlp = make_ner(checkpoint, consistency=1.0)
    ner, example = nlp.get_pipe("bert_ner"), make_example(nlp, (7, 8, "YEAR"))
    once = ner.model.predict([example.predicted])
    twice = replace(once, scores=np.tile(once.scores, (2, 1)), lengths=np.tile(once.lengths, 2))
    (loss, gradient), (loss_of_both, both) = (ner.get_loss([example], scores) for scores in (once, twice))
    assert loss_of_both == pytest.approx(loss)
    np.testing.assert_allclose(both.scores, np.tile(gradient.scores / 2, (2, 1)), atol=1e-9)


def test_what_contradicts_itself_or_is_unknown_is_an_error(checkpoint):
    nlp = make_ner(checkpoint)
    for wrong in ((4, 6, "ACTOR"), (4, 5, "O")):
        example = make_example(nlp, wrong, gold=(4, 6, "ACTOR") if wrong[2] == "ACTOR" else None)
        if wrong[2] == "O":
            example.reference.set_ents([], default="outside")
        with pytest.raises(
            DataError, match=rf"is {wrong[2]} by the gold annotation, and wrong by doc\.spans\['wrong'\]"
        ):
            compute_loss(nlp, example)
    with pytest.raises(DataError, match="'ACTRESS'"):
        compute_loss(nlp, make_example(nlp, (4, 6, "ACTRESS")))


def test_a_wrong_span_within_tokens_cannot_be_predicted_in_any_case(checkpoint):
    nlp = make_ner(checkpoint)
    reference = Doc(nlp.vocab, words=["barry", "more", "films"], spaces=[False, True, False])
    reference.spans[KEY] = [Span(reference, 0, 1, label="ACTOR")]
    assert compute_loss(nlp, Example(nlp.make_doc(reference.text), reference)) == pytest.approx(0, abs=1e-9)


def test_examples_with_the_group_are_no_warning(checkpoint):
    nlp = make_ner(checkpoint)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        nlp.initialize(lambda: [make_example(nlp, (7, 8, "YEAR"), gold=(4, 6, "ACTOR"))])
