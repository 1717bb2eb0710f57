"""The figures of entities and tokens against seqeval, scikit-learn and spaCy's own scorer."""

from __future__ import annotations

import numpy as np
import pytest
import spacy
from hypothesis import given
from hypothesis import strategies as st
from seqeval.metrics import classification_report
from seqeval.scheme import IOB2
from sklearn.metrics import accuracy_score, precision_recall_fscore_support
from spacy.scorer import get_ner_prf
from spacy.tokens import Doc, SpanGroup
from spacy.training import Example

from spacy_bertft.evaluation.bootstrap import Resampling
from spacy_bertft.evaluation.counts import measure_figures
from spacy_bertft.evaluation.entities import measure_entities

nlp = spacy.blank("en")
PIPE = nlp.add_pipe("bert_ner", name="ner")
for name in "AB":
    PIPE.add_label(name)
FEW = Resampling(2)
TAGS = st.sampled_from(["O", "B-A", "B-B", "I-A", "I-B"])


def make_example(gold: list[str] | None, predicted: list[str], probs=None, words=None, predicted_words=None) -> Example:
    words = words or ["word"] * len(predicted)
    doc = Doc(nlp.vocab, words=predicted_words or words, ents=predicted)
    probs = probs or [0.5] * len(doc.ents)
    doc.spans["ner"] = SpanGroup(doc, name="ner", attrs={"scores": probs}, spans=doc.ents)
    return Example(doc, Doc(nlp.vocab, words=words, ents=gold))


def make_legal(tags: list[str]) -> list[str]:
    legal: list[str] = []
    for tag in tags:
        follows = legal and legal[-1][1:] == tag[1:] and legal[-1] != "O"
        legal.append(tag if not tag.startswith("I") or follows else tag.replace("I", "B"))
    return legal


def measure(examples: list[Example], n_errors: int = 9, labels_of_other_components=()):
    return measure_entities("ner", "bert_ner", PIPE, examples, n_errors, labels_of_other_components)


@given(st.lists(st.lists(st.tuples(TAGS, TAGS), min_size=1, max_size=8), min_size=1, max_size=5))
def test_figures_are_those_of_seqeval_and_scikit_learn(pairs):
    gold = [make_legal([tag for tag, _ in sentence]) for sentence in pairs]
    predicted = [make_legal([tag for _, tag in sentence]) for sentence in pairs]
    result = measure([make_example(left, right) for left, right in zip(gold, predicted, strict=True)])
    entities, tokens = result.levels
    check_tokens(tokens, *[[tag for tags in side for tag in tags] for side in (gold, predicted)])
    assert sum(types["correct"] for types in result.error_types.values()) == entities.counts.by_doc[:, 0].sum()
    assert result.confusion.counts[:-1].sum() == entities.counts.by_doc[:, 2].sum()
    assert result.confusion.counts[:, :-1].sum() == entities.counts.by_doc[:, 1].sum()
    figures = measure_figures(entities.counts, FEW)
    if not figures.support[0] and np.isnan(figures.shares[0, 0]):
        return  # seqeval has no figures where there are no entities at all
    official = classification_report(gold, predicted, mode="strict", scheme=IOB2, output_dict=True, zero_division=0)
    for row, name in enumerate(figures.names):
        expected = official.get({"micro average": "micro avg", "macro average": ""}.get(name, name))
        if expected:
            shares = np.nan_to_num(figures.shares[row])
            keys = ("precision", "recall", "f1-score")
            np.testing.assert_allclose(shares, [expected[key] for key in keys], err_msg=name)
            assert figures.support[row] == expected["support"]


def check_tokens(level, gold: list[str], predicted: list[str]) -> None:
    figures = measure_figures(level.counts, FEW)
    labels = list(figures.names[2:])
    assert set(labels) == {*gold, *predicted} - {"O"}
    if labels:
        *shares, support = precision_recall_fscore_support(gold, predicted, labels=labels, zero_division=np.nan)
        np.testing.assert_allclose(figures.shares[2:], np.stack(shares, axis=1))
        assert figures.support[2:].tolist() == support.tolist()
        micro = precision_recall_fscore_support(gold, predicted, labels=labels, average="micro", zero_division=0)
        np.testing.assert_allclose(np.nan_to_num(figures.shares[0]), micro[:3])
    accuracy = measure_figures(level.accuracy, FEW).shares[0, 0]
    assert accuracy == pytest.approx(accuracy_score(gold, predicted))


MERGED = {"words": ["1980", "s", "films"], "predicted_words": ["1980s", "films"]}


@pytest.mark.parametrize(
    ("gold", "predicted"),
    [
        (["B-A", "I-A", "O"], ["B-A", "B-B"]),
        (["B-A", "B-B", "O"], ["B-A", "O"]),
        (["B-A", "", ""], ["B-A", "B-B"]),
        ([None, None, "B-B"], ["B-A", "B-B"]),
        (None, ["B-A", "O"]),
    ],
)
def test_other_tokens_and_unknown_ones_are_scored_as_spacy_does(gold, predicted):
    words, predicted_words = MERGED["words"], MERGED["predicted_words"]
    doc = Doc(nlp.vocab, words=predicted_words, ents=predicted)
    doc.spans["ner"] = SpanGroup(doc, name="ner", attrs={"scores": [0.5] * len(doc.ents)}, spans=doc.ents)
    reference = Doc(nlp.vocab, words=words, spaces=[False, True, False])
    if gold is not None:
        known = [spacy.tokens.Span(reference, i, i + 1, tag[2:]) for i, tag in enumerate(gold) if tag and tag != "O"]
        if gold[:2] == ["B-A", "I-A"]:
            known = [spacy.tokens.Span(reference, 0, 2, "A")]
        missing = [reference[i : i + 1] for i, tag in enumerate(gold) if not tag]
        reference.set_ents(known, missing=missing, default="outside")
    example = Example(doc, reference)
    counts = measure([example]).levels[0].counts
    expected = get_ner_prf([example])
    assert counts.is_known.tolist() == [gold is not None]
    figures = measure_figures(counts, FEW)
    shares = np.nan_to_num(figures.shares[0])
    np.testing.assert_allclose(shares, [expected[f"ents_{key}"] or 0 for key in "prf"], atol=1e-12)


def test_every_error_type_by_hand():
    words = [str(i) for i in range(12)]
    gold = ["B-A", "O", "B-A", "I-A", "B-A", "O", "B-A", "I-A", "O", "B-B", "O", "O"]
    predicted = ["B-A", "O", "B-A", "O", "B-B", "O", "O", "B-B", "I-B", "O", "O", "B-B"]
    result = measure([make_example(gold, predicted, [0.9, 0.8, 0.7, 0.6, 0.5], words)])
    nothing = dict.fromkeys(("correct", "label", "boundary", "label and boundary", "missed", "spurious"), 0)
    assert result.error_types == {
        "A": {**nothing, "correct": 1, "boundary": 1, "label": 1, "label and boundary": 1},
        "B": {**nothing, "missed": 1, "spurious": 1},
    }
    assert result.confusion.row_names == ("A", "B", "spurious")
    assert result.confusion.column_names == ("A", "B", "missed")
    assert result.confusion.counts.tolist() == [[2, 2, 0], [0, 0, 1], [0, 1, 0]]
    assert result.judged[0].tolist() == [0.9, 0.8, 0.7, 0.6, 0.5]
    assert result.judged[1].tolist() == [True, False, False, False, False]


def test_the_most_confident_error_of_each_document_is_shown_with_its_text():
    one = make_example(["B-A", "O", "O"], ["B-B", "O", "B-A"], [0.6, 0.9], ["first", "or", "last"])
    two = make_example(["B-A", "I-A"], ["B-A", "O"], [0.99], ["drew", "barrymore"])
    right = make_example(["B-A"], ["B-A"], [1.0], ["correct"])
    result = measure([one, two, right])
    assert [error.confidence for error in result.errors] == [0.99, 0.9]
    boundary, spurious = result.errors
    expected = "wrong boundary: predicted A “drew”, gold A “drew barrymore”"
    assert boundary.caption == expected
    assert spurious.caption == "spurious: predicted A “last”, gold none"
    gold, predicted = boundary.excerpts
    assert [(mark.char_start, mark.char_end, mark.label) for mark in gold.marks] == [(0, 14, "A")]
    assert [(mark.char_start, mark.char_end, mark.label) for mark in predicted.marks] == [(0, 4, "A")]
    assert len(measure([one, two, right], n_errors=1).errors) == 1


def test_documents_without_annotation_are_left_out():
    result = measure([make_example(None, ["B-A"]), make_example(["O"], ["B-A"])])
    assert result.levels[0].counts.is_known.tolist() == [False, True]
    assert [level.counts.by_doc[0].sum() for level in result.levels] == [0, 0]
    assert result.judged[0].tolist() == [0.5]
    assert "1 without annotated entities left out" in result.notes


@pytest.mark.parametrize("is_left", [True, False])
def test_a_group_that_a_later_component_has_changed(is_left):
    example = make_example(["B-A", "B-B"], ["B-A", "B-B"])
    kept = example.predicted.ents[:1] if is_left else ()
    if is_left:
        example.predicted.spans["ner"] = kept
    else:
        example.predicted.spans.clear()
    result = measure([example])
    figures = measure_figures(result.levels[0].counts, FEW)
    assert (figures.support[0], np.nan_to_num(figures.shares[0, 1])) == (2, len(kept) / 2)
    assert result.judged[0].tolist() == [0.0] * len(kept)


def test_labels_of_other_components_are_left_out():
    example = make_example(["B-A", "B-B"], ["B-A", "O"])
    result = measure([example], labels_of_other_components={"B"})
    assert measure_figures(result.levels[0].counts, FEW).shares[0].tolist() == [1.0, 1.0, 1.0]
    assert measure_figures(result.levels[1].accuracy, FEW).shares[0, 0] == 1.0
    assert "labels of other components left out: B" in result.notes


def test_a_label_that_the_component_does_not_know_is_missed():
    result = measure([make_example(["B-NEW"], ["O"])])
    assert result.error_types["NEW"]["missed"] == 1
    assert "gold labels that the component does not know: NEW" in result.notes
