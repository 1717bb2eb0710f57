"""`bert_spancat`: overlapping and nested spans."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import spacy
from hypothesis import given
from hypothesis import strategies as st
from small_checkpoints import TEXTS
from spacy.tokens import DocBin
from spacy.training import Example

from spacy_bertft.active.uncertainty import measure_uncertainty
from spacy_bertft.components.spancat import select_spans
from spacy_bertft.demo.page import Question, format_answers
from spacy_bertft.errors import BertftError, DataError, SettingError, UnsupportedError
from spacy_bertft.evaluation.evaluate import evaluate_examples
from spacy_bertft.exchange.export_hf import export_hf
from spacy_bertft.explanation import attribute
from spacy_bertft.training.optimizer import configure_adamw

GOLD = [
    [(0, 33, "QUERY"), (8, 33, "QUERY"), (19, 33, "ACTOR"), (43, 48, "YEAR"), (43, 48, "QUERY")],
    [(13, 26, "TITLE"), (17, 26, "TITLE")],
    [],
]


def make_examples(nlp, key="sc"):
    return [
        Example.from_dict(nlp.make_doc(text), {"spans": {key: spans}}) for text, spans in zip(TEXTS, GOLD, strict=False)
    ]


def make_trained(checkpoint, n_steps=50, key="sc", **settings):
    nlp = spacy.blank("en")
    model = {"encoder": {"name": checkpoint, "precision": "fp32"}}
    nlp.add_pipe("bert_spancat", config={"model": model, "spans_key": key, **settings})
    examples = make_examples(nlp, key)
    nlp.initialize(lambda: examples)
    optimizer = configure_adamw(5e-3)
    for _ in range(n_steps):
        nlp.update(examples, sgd=optimizer)
    return nlp


@pytest.fixture(scope="module")
def trained(checkpoint):
    return make_trained(checkpoint, key="nested")


def read(doc, key="nested"):
    return [(span.start_char, span.end_char, span.label_) for span in doc.spans[key]]


def test_it_learns_nested_spans(trained):
    docs = list(trained.pipe(TEXTS[:3]))
    assert [sorted(read(doc)) for doc in docs] == [sorted(spans) for spans in GOLD]
    assert read(docs[0])[0] == (0, 33, "QUERY")  # the order of the text, the longest first
    probs = docs[0].spans["nested"].attrs["scores"]
    assert [span._.bertft_score for span in docs[0].spans["nested"]] == probs
    assert min(probs) >= 0.5
    scores = trained.evaluate(make_examples(trained, "nested"))
    assert (scores["spans_nested_f"], scores["spans_nested_per_type"]["ACTOR"]["r"]) == (1.0, 1.0)
    assert scores["spans_nested_calibration_error"] < 0.1
    assert not docs[0].ents


def test_it_is_stored_with_settings_of_the_config(trained, tmp_path):
    trained.to_disk(tmp_path)
    settings = {"spans_key": "other", "max_positive": 1, "overlap": "none", "threshold": 0.1}
    loaded = spacy.load(tmp_path, config={"components": {"bert_spancat": settings}})
    flat = read(loaded(TEXTS[0]), "other")
    assert all(left[1] <= right[0] for left, right in pairwise(flat))
    assert set(flat) < set(GOLD[0])
    few = spacy.load(tmp_path, config={"components": {"bert_spancat": {"max_positive": 1}}})
    assert len(read(few(TEXTS[0]))) == len(GOLD[0]) - 1  # one span has two labels
    stored = DocBin(docs=[trained(TEXTS[0])]).to_bytes()
    [again] = DocBin().from_bytes(stored).get_docs(trained.vocab)
    assert sorted(read(again)) == sorted(GOLD[0])


def test_what_it_wrote_before_is_replaced(trained):
    doc = trained(TEXTS[0])
    pipe = trained.get_pipe("bert_spancat")
    pipe.set_annotations([doc], [pipe.predict([doc])[0][:1]])
    assert read(doc) == [(0, 33, "QUERY")]
    assert doc[4:6]._.bertft_score is None


def test_predictions_and_calibration(trained):
    pipe = trained.get_pipe("bert_spancat")
    examples = make_examples(trained, "nested")
    examples[0].reference.spans["nested"] = list(examples[0].reference.spans["nested"])[1:]
    del examples[1].reference.spans["nested"]  # not annotated
    for example in examples:
        trained.get_pipe("bert_spancat")(example.predicted)
    [first, *others], unknown, nothing = map(pipe.list_predictions, examples)
    assert (first.kind, first.label, first.gold, first.is_correct) == ("span", "QUERY", "", False)
    assert len(first.overlaps) == 2
    assert [each.is_correct for each in others] == [True] * 4
    assert [each.is_correct for each in unknown] == [None, None]
    assert nothing == []
    data = pipe.collect_calibration_data(examples)
    assert (data.is_correct.tolist().count(False), len(data.is_correct), data.n_gold) == (1, 5, 4)
    probs = sorted(each.prob for each in (first, *others))
    assert sorted(data.compute_probs(1.0)) == pytest.approx(probs)
    assert data.compute_probs(2.0).max() < max(probs)


def test_what_is_not_annotated_or_no_candidate_is_not_learned(checkpoint):
    nlp = make_trained(checkpoint, 0, suggester={"@misc": "spacy.ngram_suggester.v1", "sizes": [1, 2, 3]})
    pipe = nlp.get_pipe("bert_spancat")
    examples = make_examples(nlp)
    del examples[1].reference.spans["sc"]
    scores = pipe.model.predict([example.predicted for example in examples])
    with pytest.warns(UserWarning, match=r"'show me films with drew barrymore' is not among the candidates"):
        _, gradient = pipe.get_loss(examples, scores)
    assert pipe.n_missed == 2  # of six and of four tokens
    first, second = scores.lengths[:2]
    assert not gradient[first : first + second].any()
    assert (gradient[:first] < 0).sum() == 3
    other = spacy.blank("en")
    other.add_pipe("bert_spancat", config={"model": {"encoder": {"name": checkpoint, "precision": "fp32"}}})
    with pytest.warns(UserWarning, match=r"1 of 3 examples have no doc\.spans\['sc'\]"):
        other.initialize(lambda: examples)


def test_errors(trained, checkpoint):
    pipe = trained.get_pipe("bert_spancat")
    examples = make_examples(trained, "nested")
    with pytest.raises(UnsupportedError, match=r"model\.predict\(docs\)"):
        pipe.get_loss(examples, pipe.predict([example.predicted for example in examples]))
    unknown = Example.from_dict(trained.make_doc("films"), {"spans": {"nested": [(0, 5, "FILM")]}})
    with pytest.raises(DataError, match="the label 'FILM'"):
        trained.update([unknown])
    nlp = spacy.blank("en")
    nlp.add_pipe("bert_spancat", config={"model": {"encoder": {"name": checkpoint}}})
    with pytest.raises(DataError, match=r"Expected examples with doc\.spans\['sc'\]"):
        nlp.initialize(lambda: examples)
    for name, value in (("threshold", 2.0), ("max_positive", 0), ("spans_key", ""), ("overlap", "some")):
        with pytest.raises((SettingError, ValueError), match=name):
            nlp.add_pipe("bert_spancat", name=name, config={name: value})


def test_other_tokens(trained):
    """Gold spans are found in the tokens of the predicted document, or counted."""
    pipe = trained.get_pipe("bert_spancat")
    reference = spacy.blank("en")("show me films with drew barrymore")
    reference.spans["nested"] = [reference.char_span(19, 33, "ACTOR"), reference.char_span(0, 4, "ACTOR")]
    joined = spacy.tokens.Doc(trained.vocab, ["show me", "films", "with", "drew", "barrymore"])
    example = Example(joined, reference)
    before = pipe.n_missed
    with pytest.warns(UserWarning, match="'show' is not among the candidates"):
        pipe.get_loss([example], pipe.model.predict([joined]))
    assert pipe.n_missed == before + 1


SPANS = st.lists(st.tuples(st.integers(0, 9), st.integers(1, 6), st.floats(0, 1)), max_size=12)


@pytest.mark.parametrize("overlap", ["nested", "none"])
@given(drawn=SPANS)
def test_spans_are_selected_greedily(overlap, drawn):
    spans = np.array([[start, start + length] for start, length, _ in drawn], dtype=np.intp).reshape(-1, 2)
    probs = np.array([prob for _, _, prob in drawn])

    def may_both(left, right):
        (a, b), (c, d) = spans[left], spans[right]
        is_nested = (a <= c and d <= b) or (c <= a and b <= d)
        return b <= c or d <= a or (overlap == "nested" and is_nested)

    kept: list[int] = []
    for index in np.argsort(-probs, kind="stable").tolist():
        kept += [index] if all(may_both(index, other) for other in kept) else []
    assert select_spans(spans, probs, 16, overlap).tolist() == sorted(kept)


def test_an_initialize_that_fails_changes_nothing(trained):
    pipe = trained.get_pipe("bert_spancat")
    before, labels = pipe.to_bytes(exclude=["vocab"]), pipe.labels
    with pytest.raises(BertftError):
        pipe.initialize(lambda: make_examples(trained, "nested"), labels=["NEW", ""])
    assert (pipe.to_bytes(exclude=["vocab"]), pipe.labels) == (before, labels)


def test_evaluation(trained):
    examples = make_examples(trained, "nested")
    examples[0].reference.spans["nested"] = list(examples[0].reference.spans["nested"])[1:]
    del examples[1].reference.spans["nested"]
    evaluation = evaluate_examples(trained, examples, n_errors=5)
    [result] = evaluation.results
    assert (result.kind, result.factory, [level.name for level in result.levels]) == (
        "spans",
        "bert_spancat",
        ["spans"],
    )
    assert result.levels[0].counts.is_known.tolist() == [True, False, True]
    assert {kind: n for kind, n in result.error_types["QUERY"].items() if n} == {"correct": 2, "spurious": 1}
    assert [error.caption for error in result.errors] == [
        "spurious: predicted QUERY “show me films with drew barrymore”, gold none"
    ]
    assert result.notes == ("1 without annotated spans left out",)
    [table] = evaluation.format_tables()
    assert table[0][0] == "doc.spans['nested'], strict"
    assert table[1] == ("micro average", "80.00", "100.00", "88.89")


def test_what_does_not_know_spans_says_so(trained, tmp_path):
    trained.to_disk(tmp_path / "pipeline")
    with pytest.raises(UnsupportedError, match="no class of transformers"):
        export_hf(tmp_path / "pipeline", tmp_path / "exported")
    with pytest.raises(
        SettingError,
        match="a component of ours that can be explained: bert_ner, bert_textcat, bert_textcat_multilabel or",
    ):
        attribute(trained, trained(TEXTS[0]))
    with pytest.raises(UnsupportedError, match="its uncertainty cannot be measured"):
        measure_uncertainty(trained.get_pipe("bert_spancat"), [trained.make_doc(TEXTS[0])])
    page = "".join(format_answers({"one": trained}, Question(TEXTS[0], "attention")))
    assert "ACTOR “drew barrymore”" in page
    assert 'role="alert"' not in page
