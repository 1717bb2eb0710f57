"""Candidates of a promised recall: what is written, how long the promise lives, and that predictions stay the same."""

from __future__ import annotations

from copy import deepcopy

import numpy as np
import pytest
import spacy
import text_pipelines
from small_checkpoints import TEXTS
from spacy.language import Language
from spacy.tokens import Doc, DocBin, Span
from spacy.training import Example
from taught_pipelines import GOLD, make_taught_pipeline

from spacy_bertft.components.calibration import calibrate
from spacy_bertft.components.category_scores import register_candidates
from spacy_bertft.components.guarantee import collect_gold_probs, guarantee
from spacy_bertft.errors import CheckpointError, DataError

ENTITIES = GOLD["bert_ner"]


def make_examples(nlp: Language, entities: list[dict] = ENTITIES, n_copies: int = 5) -> list[Example]:
    pairs = n_copies * list(zip(TEXTS[:4], entities, strict=True))
    return [Example.from_dict(nlp.make_doc(text), gold) for text, gold in pairs]


def promise(nlp: Language, recall: float = 0.8, name: str = "bert_ner", examples: list[Example] | None = None) -> None:
    pipe = nlp.get_pipe(name)
    examples = make_examples(nlp) if examples is None else examples
    guarantee(pipe, collect_gold_probs(nlp, examples, {name: pipe})[name], recall)


@pytest.fixture(scope="module")
def taught(checkpoint: str) -> bytes:
    nlp = make_taught_pipeline(checkpoint, {"bert_ner": ENTITIES}, n_steps=15)
    return nlp.config.to_bytes(), nlp.to_bytes()


@pytest.fixture
def nlp(taught) -> Language:
    """A pipeline that has learned four texts, and is not sure of them."""
    config, content = taught
    return spacy.blank("en").from_config(spacy.util.load_config_from_str(config.decode())).from_bytes(content)


def read(doc: Doc) -> dict[tuple[int, int, str], float]:
    group = doc.spans["bert_ner_candidates"]
    return dict(zip([(span.start, span.end, span.label_) for span in group], group.attrs["scores"], strict=True))


def test_entities_stay_and_candidates_are_added(nlp: Language) -> None:
    texts = [*TEXTS, "", "hello \n"]
    before = [([*map(str, doc.ents)], doc.spans["bert_ner"].attrs["scores"]) for doc in nlp.pipe(texts)]
    promise(nlp)
    threshold = nlp.get_pipe("bert_ner").candidate_threshold
    assert 0 < threshold < 1
    docs = list(nlp.pipe(texts))
    assert [[*map(str, doc.ents)] for doc in docs] == [ents for ents, _ in before]
    for doc, (_, scores) in zip(docs, before, strict=True):
        assert doc.spans["bert_ner"].attrs["scores"] == pytest.approx(scores)
        assert all(prob >= threshold for prob in read(doc).values())
        assert [span._.bertft_score for span in doc.spans["bert_ner_candidates"]] == pytest.approx(
            [*read(doc).values()]
        )
        entities = {(ent.start, ent.end, ent.label_): ent._.bertft_score for ent in doc.ents}
        assert {key for key, prob in entities.items() if prob >= threshold} <= read(doc).keys()
    assert sum(len(doc.spans["bert_ner_candidates"]) for doc in docs) > 3


def test_what_is_promised_is_found_in_what_it_was_fitted_on(nlp: Language) -> None:
    promise(nlp, 0.9)
    for doc, gold in zip(nlp.pipe(TEXTS), ENTITIES, strict=False):
        wanted = {
            (doc.char_span(*bounds).start, doc.char_span(*bounds).end, label) for *bounds, label in gold["entities"]
        }
        assert wanted <= read(doc).keys()  # 15 documents with entities; none may be missed


def test_probabilities_of_gold_entities_are_those_of_candidates(nlp: Language) -> None:
    gold = nlp.get_pipe("bert_ner").collect_gold_probs(make_examples(nlp, n_copies=1))
    assert (gold.n_docs, gold.doc.tolist()) == (4, [0, 0, 1, 3])
    nlp.get_pipe("bert_ner").cfg["guarantee"] = {"log_threshold": float(np.log(1e-9)), "n_docs": 4, "recall": 0.5}
    docs = list(nlp.pipe(TEXTS[:4]))
    found = [read(docs[0])[4, 6, "ACTOR"], read(docs[0])[8, 9, "YEAR"], read(docs[1])[2, 4, "TITLE"]]
    assert gold.probs[:3].tolist() == pytest.approx(found, rel=1e-4)
    assert gold.count_candidates(1e-9) == sum(map(len, map(read, docs)))
    assert sum(read(docs[0]).values()) > sum(ent._.bertft_score for ent in docs[0].ents)


def test_what_cannot_be_found_is_counted(nlp: Language) -> None:
    """An entity that does not fit the tokens, one that is blocked; what is on the document is not looked for."""
    [first, second, *_] = make_examples(nlp, n_copies=1)
    doc = nlp.make_doc(TEXTS[0])
    doc.set_ents([], blocked=[doc[8:9]], default="missing")
    preset = nlp.make_doc(TEXTS[1])
    preset.ents = [Span(preset, 2, 4, label="TITLE")]
    cut = Example.from_dict(nlp.make_doc(TEXTS[3]), {"words": TEXTS[3].replace("mission", "mis sion").split()})
    cut.reference.ents = [Span(cut.reference, 6, 8, label="TITLE")]
    examples = [Example(doc, first.reference), Example(preset, second.reference), cut]
    gold = nlp.get_pipe("bert_ner").collect_gold_probs(examples)
    assert gold.doc.tolist() == [0, 0, 2]
    assert gold.probs[0] > 0
    assert gold.probs[1:].tolist() == [0, 0]
    nlp.get_pipe("bert_ner").cfg["overwrite"] = True
    assert nlp.get_pipe("bert_ner").collect_gold_probs(examples).doc.tolist() == [0, 0, 1, 2]


def test_candidates_leave_out_what_is_on_the_document(nlp: Language) -> None:
    promise(nlp)
    doc = nlp.make_doc(TEXTS[0])
    doc.set_ents([Span(doc, 5, 6, label="NAME")], blocked=[doc[8:9]], default="missing")
    candidates = read(nlp(doc))
    assert not any(start <= taken < end for start, end, _ in candidates for taken in (5, 8))


def test_annotating_a_document_again_changes_nothing(nlp: Language) -> None:
    promise(nlp)
    doc = nlp(TEXTS[0])
    scores, data = read(doc), deepcopy(doc.user_data)
    assert read(nlp(doc)) == pytest.approx(scores)
    assert doc.user_data == {key: pytest.approx(value) for key, value in data.items()}


@pytest.mark.parametrize("way", ["disk", "bytes"])
def test_it_is_stored_with_the_weights(nlp: Language, way: str, tmp_path) -> None:
    pipe = nlp.get_pipe("bert_ner")
    pipe.cfg["guarantee"] = {"log_threshold": float(np.log(3e-13)), "n_docs": 4, "recall": 0.5}
    if way == "disk":
        nlp.to_disk(tmp_path / "model")
        loaded = spacy.load(tmp_path / "model")
    else:
        loaded = spacy.blank("en").from_config(nlp.config).from_bytes(nlp.to_bytes())
    assert loaded.get_pipe("bert_ner").candidate_threshold == pytest.approx(3e-13)


def test_a_pipeline_that_promises_nothing_loads(nlp: Language) -> None:
    pipe = nlp.get_pipe("bert_ner")
    stored = pipe.list_stored()
    del stored["guarantee"]  # as an earlier version stored it
    promise(nlp)
    pipe._set_stored(stored)
    assert pipe.candidate_threshold is None
    assert "bert_ner_candidates" not in nlp(TEXTS[0]).spans


@pytest.mark.parametrize(
    "stored",
    [
        3,
        {},
        {"recall": 0.9, "n_docs": 3},
        {"recall": 0.9, "n_docs": 3, "log_threshold": "0"},
        {"recall": 0.9, "n_docs": 3, "log_threshold": 0.1},
        {"recall": 0.9, "n_docs": 3, "log_threshold": -1e300},
    ],
)
def test_what_is_no_guarantee_is_named(nlp: Language, stored) -> None:
    pipe = nlp.get_pipe("bert_ner")
    with pytest.raises(CheckpointError, match="The guarantee is"):
        pipe._set_stored({**pipe.list_stored(), "guarantee": stored})


def update(nlp: Language) -> None:
    nlp.update(make_examples(nlp), sgd=nlp.resume_training())


def calibrate_anew(nlp: Language) -> None:
    examples = make_examples(nlp)
    examples[0].reference.ents = []  # where all is correct, no temperature is fitted
    calibrate(nlp, examples)


CHANGES = {
    "initialize": lambda nlp: nlp.initialize(lambda: make_examples(nlp)),
    "update": update,
    "rehearse": lambda nlp: nlp.rehearse(make_examples(nlp), sgd=nlp.resume_training()),
    "add_label": lambda nlp: nlp.get_pipe("bert_ner").add_label("NEW"),
    "calibrate": calibrate_anew,
}


@pytest.mark.parametrize("change", CHANGES)
def test_it_is_dropped_with_what_it_was_fitted_for(nlp: Language, change: str) -> None:
    promise(nlp)
    CHANGES[change](nlp)
    assert nlp.get_pipe("bert_ner").candidate_threshold is None
    assert "bert_ner_candidates" not in nlp(TEXTS[0]).spans


def test_too_few_documents_are_an_error_that_says_how_many(nlp: Language) -> None:
    with pytest.raises(DataError, match=r"bert_ner: .* 0.95 by 3 documents with gold entities\. Expected at least 19,"):
        promise(nlp, 0.95, examples=make_examples(nlp, n_copies=1))
    assert nlp.get_pipe("bert_ner").candidate_threshold is None
    blocked = make_examples(nlp)
    for example in blocked[:4]:
        example.predicted.set_ents([], blocked=[example.predicted[:]], default="missing")
    with pytest.raises(DataError, match=r"\(4 of 20 can be no candidate.*\)\. Expected a lower recall\."):
        promise(nlp, 0.9, examples=blocked)


@pytest.fixture(scope="module", params=text_pipelines.BOTH)
def classifier(request: pytest.FixtureRequest, checkpoint: str) -> Language:
    nlp = text_pipelines.make_pipeline(checkpoint, request.param, n_steps=6)
    examples = 5 * text_pipelines.make_examples(nlp, text_pipelines.CATS[request.param])
    promise(nlp, 0.8, request.param, examples)
    return nlp


def test_categories_that_are_likely_enough(classifier: Language) -> None:
    [name] = classifier.pipe_names
    pipe, gold = classifier.get_pipe(name), text_pipelines.CATS[name]
    docs = list(classifier.pipe(gold))
    for doc in docs:
        expected = [label for label, prob in doc.cats.items() if prob >= pipe.candidate_threshold]
        assert doc._.bertft_candidates == {name: sorted(expected, key=doc.cats.__getitem__, reverse=True)}
    shares = [
        np.mean([label in doc._.bertft_candidates[name] for label, value in cats.items() if value])
        for doc, cats in zip(docs, gold.values(), strict=True)
        if any(cats.values())
    ]
    assert np.mean(shares) >= 0.8


@pytest.mark.parametrize("way", ["bytes", "DocBin", pytest.param("processes", marks=pytest.mark.process)])
def test_categories_go_with_the_document(classifier: Language, way: str) -> None:
    [name] = classifier.pipe_names
    docs = list(classifier.pipe(TEXTS))
    expected = [doc._.bertft_candidates[name] for doc in docs]
    assert any(expected)
    if way == "bytes":
        docs = [Doc(classifier.vocab).from_bytes(doc.to_bytes()) for doc in docs]
    elif way == "DocBin":
        register_candidates()
        docs = list(DocBin().from_bytes(DocBin(docs=docs, store_user_data=True).to_bytes()).get_docs(classifier.vocab))
    else:
        docs = list(classifier.pipe(TEXTS, n_process=2, batch_size=2))
    assert [list(doc._.bertft_candidates[name]) for doc in docs] == expected


def test_two_classifiers_each_have_their_own(classifier: Language) -> None:
    [name] = classifier.pipe_names
    doc = classifier.make_doc(TEXTS[0])
    assert doc._.bertft_candidates is None
    doc._.bertft_candidates = {"other": ["x"]}
    assert list(classifier(doc)._.bertft_candidates) == ["other", name]
