"""A temperature changes how sure a component is, never what it answers, and lives as long as the weights."""

from __future__ import annotations

import numpy as np
import pytest
import spacy
import text_pipelines
from small_checkpoints import TEXTS
from spacy.language import Language
from spacy.tokens import Doc, DocBin
from spacy.training import Example
from thinc.api import fix_random_seed

from spacy_bertft.components.calibration import (
    calibrate,
    collect_calibration_data,
    configure_calibrate,
    find_calibrated,
)
from spacy_bertft.errors import SettingError
from spacy_bertft.training.calibration import log_loss, measure_reliability
from spacy_bertft.training.optimizer import configure_adamw

LEARNED = {
    TEXTS[0]: {"entities": [(19, 33, "ACTOR"), (43, 48, "YEAR")]},
    TEXTS[1]: {"entities": [(13, 26, "TITLE")]},
    TEXTS[3]: {"entities": [(20, 38, "TITLE")]},
}
# Of the first text the gold differs from what was learned: an answer there is wrong.
GOLD = LEARNED | {TEXTS[0]: {"entities": [(19, 33, "TITLE"), (43, 48, "YEAR")]}}


def make_examples(nlp: Language, gold: dict) -> list[Example]:
    return [Example.from_dict(nlp.make_doc(text), each) for text, each in gold.items()]


@pytest.fixture
def nlp(checkpoint: str) -> Language:
    """A pipeline that has learned three texts by heart."""
    fix_random_seed(0)
    nlp = spacy.blank("en")
    nlp.add_pipe("bert_ner", config={"model": {"encoder": {"name": checkpoint, "precision": "fp32"}}})
    examples = make_examples(nlp, LEARNED)
    nlp.initialize(lambda: examples)
    optimizer = configure_adamw(5e-3)
    for _ in range(40):
        nlp.update(examples, sgd=optimizer)
    return nlp


def read(nlp: Language) -> tuple[list, list[float]]:
    docs = list(nlp.pipe([*TEXTS, "hello", ""]))
    ents = [[(ent.start, ent.end, ent.label_) for ent in doc.ents] for doc in docs]
    return ents, [ent._.bertft_score for doc in docs for ent in doc.ents]


def test_entities_stay_and_their_scores_become_less_sure(nlp: Language) -> None:
    ents, scores = read(nlp)
    answers = calibrate(nlp, make_examples(nlp, GOLD))["bert_ner"]
    assert answers.is_correct.tolist() == [False, True, True, True]
    assert answers.n_gold == 4
    temperature = nlp.get_pipe("bert_ner").cfg["temperature"]
    assert temperature > 1.2  # three of four are right, and it was surer than that
    before, after = (log_loss(answers.compute_probs(t), answers.is_correct) for t in (1.0, temperature))
    assert after < before
    now_ents, now_scores = read(nlp)
    assert now_ents == ents
    assert all(now < then for now, then in zip(now_scores, scores, strict=True))


def test_what_was_collected_is_what_the_pipeline_gives(nlp: Language) -> None:
    nlp.get_pipe("bert_ner").cfg["temperature"] = 1.7
    answers = collect_calibration_data(nlp, make_examples(nlp, LEARNED))["bert_ner"]
    scores = [ent._.bertft_score for doc in nlp.pipe(LEARNED) for ent in doc.ents]
    np.testing.assert_allclose(answers.compute_probs(1.7), scores, rtol=1e-5)
    examples = make_examples(nlp, GOLD)
    collected = collect_calibration_data(nlp, examples)["bert_ner"]
    evaluated = [Example(nlp(example.text), example.reference) for example in examples]
    error = measure_reliability(collected.compute_probs(1.7), collected.is_correct).calibration_error
    assert nlp.get_pipe("bert_ner").score(evaluated)["ents_calibration_error"] == pytest.approx(error, abs=1e-5)


def test_entities_on_unknown_tokens_do_not_count(nlp: Language) -> None:
    [example, *_] = make_examples(nlp, LEARNED)
    words = [token.text for token in example.reference]
    tags = ["O", *[None] * (len(words) - 1)]
    reference = Doc(nlp.vocab, words=words, spaces=[bool(t.whitespace_) for t in example.reference], ents=tags)
    answers = collect_calibration_data(nlp, [Example(nlp.make_doc(example.text), reference)])["bert_ner"]
    assert len(answers.is_correct) == 0


@pytest.mark.parametrize("way", ["disk", "bytes"])
def test_it_is_stored_with_the_weights(nlp: Language, way: str, tmp_path) -> None:
    nlp.get_pipe("bert_ner").cfg["temperature"] = 1.7
    if way == "disk":
        nlp.to_disk(tmp_path / "model")
        loaded = spacy.load(tmp_path / "model")
    else:
        loaded = spacy.blank("en").from_config(nlp.config).from_bytes(nlp.to_bytes())
    assert loaded.get_pipe("bert_ner").cfg["temperature"] == pytest.approx(1.7)
    np.testing.assert_allclose(read(loaded)[1], read(nlp)[1], rtol=1e-5)


def test_new_weights_begin_anew(nlp: Language) -> None:
    nlp.get_pipe("bert_ner").cfg["temperature"] = 1.7
    nlp.initialize(lambda: make_examples(nlp, LEARNED))
    assert nlp.get_pipe("bert_ner").cfg["temperature"] == 1.0


def test_a_pipeline_without_one_loads(nlp: Language) -> None:
    content = nlp.get_pipe("bert_ner").list_stored()
    assert content.pop("temperature") == 1.0
    nlp.get_pipe("bert_ner")._set_stored(content)
    assert nlp.get_pipe("bert_ner").cfg["temperature"] == 1.0


def test_training_does_not_see_it(nlp: Language) -> None:
    def compute_loss() -> float:
        pipe = nlp.get_pipe("bert_ner")
        examples = make_examples(nlp, LEARNED)
        return pipe.get_loss(examples, pipe.model.predict([example.predicted for example in examples]))[0]

    before = compute_loss()
    nlp.get_pipe("bert_ner").cfg["temperature"] = 1.7
    assert compute_loss() == before


@pytest.mark.parametrize("factory", text_pipelines.BOTH)
def test_categories(checkpoint: str, factory: str) -> None:
    nlp = text_pipelines.make_pipeline(checkpoint, factory, n_steps=30)
    cats = dict(text_pipelines.CATS[factory])
    first, second = list(cats)[:2]
    cats[first], cats[second] = cats[second], cats[first]  # some answers are wrong now
    before = [doc.cats for doc in nlp.pipe(TEXTS)]
    answers = calibrate(nlp, text_pipelines.make_examples(nlp, cats))[factory]
    n_labels = len(nlp.get_pipe(factory).labels)
    is_exclusive = factory == "bert_textcat"
    assert len(answers.is_correct) == len(cats) * (1 if is_exclusive else n_labels)
    assert nlp.get_pipe(factory).cfg["temperature"] > 1
    for old, new in zip(before, (doc.cats for doc in nlp.pipe(TEXTS)), strict=True):
        assert max(new, key=new.__getitem__) == max(old, key=old.__getitem__)
        assert [value >= 0.5 for value in old.values()] == [value >= 0.5 for value in new.values()] or is_exclusive
        assert sum(new.values()) == pytest.approx(1.0) or not is_exclusive


def mark_document(doc: Doc) -> Doc:
    doc.user_data["marked"] = True
    return doc


def test_heads_of_one_encoder_and_a_component_between(checkpoint: str) -> None:
    fix_random_seed(0)
    nlp = spacy.blank("en")
    nlp.add_pipe("bert_encoder", config={"model": {"name": checkpoint, "precision": "fp32"}})
    encoder = {"@architectures": "spacy-bertft.SharedEncoder.v1"}
    nlp.add_pipe("bert_ner", config={"model": {"encoder": encoder}})
    nlp.add_pipe("sentencizer")
    Language.component("mark_document", func=mark_document)
    nlp.add_pipe("mark_document")  # a plain function, without a `pipe` of its own
    nlp.add_pipe("bert_textcat", config={"model": {"pooling": "mean", "encoder": encoder}})
    gold = [each | {"cats": {"a": 1.0, "b": 0.0}} for each in LEARNED.values()]
    examples = [Example.from_dict(nlp.make_doc(text), each) for text, each in zip(LEARNED, gold, strict=True)]
    nlp.initialize(lambda: examples)
    collected = collect_calibration_data(nlp, examples)
    assert list(collected) == list(find_calibrated(nlp)) == ["bert_ner", "bert_textcat"]
    assert len(collected["bert_textcat"].is_correct) == 3
    assert all(example.predicted.has_annotation("SENT_START") for example in examples)
    assert all(example.predicted.user_data["marked"] for example in examples)


def test_the_callback_calibrates_what_is_saved(nlp: Language, tmp_path) -> None:
    DocBin(docs=[example.reference for example in make_examples(nlp, GOLD)]).to_disk(tmp_path / "dev.spacy")
    section = {"@callbacks": "spacy-bertft.calibrate.v1", "path": str(tmp_path / "dev.spacy")}
    callback = spacy.registry.resolve({"x": section})["x"]
    nlp.config["training"]["frozen_components"] = ["bert_ner"]
    assert callback(nlp).get_pipe("bert_ner").cfg["temperature"] == 1.0
    nlp.config["training"]["frozen_components"] = []
    assert callback(nlp) is nlp
    assert nlp.get_pipe("bert_ner").cfg["temperature"] > 1.2


@pytest.mark.parametrize("name", ["none.spacy", "dev.bio"])
def test_the_callback_needs_its_file(tmp_path, name) -> None:
    """One of another kind would be passed over."""
    (tmp_path / "dev.bio").write_text("O\ta\n", encoding="utf-8")
    with pytest.raises(SettingError, match="development data"):
        configure_calibrate(tmp_path / name)


@pytest.mark.parametrize("is_given", [True, False])
def test_development_data_in_a_directory_or_of_the_config(nlp: Language, tmp_path, is_given) -> None:
    DocBin(docs=[example.reference for example in make_examples(nlp, GOLD)]).to_disk(tmp_path / "dev.spacy")
    nlp.config["paths"]["dev"] = str(tmp_path)
    section = {"@callbacks": "spacy-bertft.calibrate.v1", "path": str(tmp_path) if is_given else None}
    spacy.registry.resolve({"x": section})["x"](nlp)
    assert nlp.get_pipe("bert_ner").cfg["temperature"] > 1.2
