"""What all components with a head share: here, that an `initialize` that fails changes nothing."""

from __future__ import annotations

import shutil

import pytest
import spacy
from small_checkpoints import TEXTS, make_checkpoint
from spacy.training import Example
from thinc.api import fix_random_seed

from spacy_bertft.errors import BertftError, SettingError
from spacy_bertft.training.optimizer import configure_adamw

GOLD = [
    {"entities": [(19, 33, "ACTOR")], "cats": {"film": 1.0, "other": 0.0}, "tags": list("ABABABABA")},
    {"entities": [(17, 26, "TITLE")], "cats": {"film": 0.0, "other": 1.0}},
]
# Also of labels that are new to what was trained before.
OTHER_GOLD = [
    {"entities": [(0, 4, "VERB")], "cats": {"new": 1.0, "film": 0.0}, "tags": list("CACACACAC")},
    {"entities": [], "cats": {"new": 0.0, "film": 1.0}},
]
HEADS = ("bert_ner", "bert_tagger", "bert_textcat", "bert_textcat_multilabel")
SETTINGS = {"bert_textcat": {"class_weights": {"film": 1.0, "other": 2.0}}}


@pytest.fixture
def folder(tmp_path):
    return make_checkpoint(tmp_path / "checkpoint")


def make_examples(nlp, golds=GOLD):
    return [Example.from_dict(nlp.make_doc(text), gold) for text, gold in zip(TEXTS, golds, strict=False)]


def make_trained(factory: str, folder):
    """Make a pipeline of one component, trained a little and calibrated."""
    fix_random_seed(0)
    nlp = spacy.blank("en")
    model = {"encoder": {"name": str(folder), "precision": "fp32"}}
    pipe = nlp.add_pipe(factory, config={"model": model, **SETTINGS.get(factory, {})})
    nlp.initialize(lambda: make_examples(nlp))
    for _ in range(3):
        nlp.update(make_examples(nlp), sgd=configure_adamw(5e-3))
    if "temperature" in pipe.cfg:
        pipe.cfg["temperature"] = 1.7
    return nlp


def read(nlp, text: str):
    """Read all that is predicted, to the bit."""
    doc = nlp(text)
    scores = [group.attrs["scores"] for group in doc.spans.values()]
    return [(ent.text, ent.label_) for ent in doc.ents], scores, doc.cats, [token.tag_ for token in doc]


def store(nlp, name: str) -> bytes:
    """Store a component; the vocabulary may grow."""
    return nlp.get_pipe(name).to_bytes(exclude=["vocab"])


def remove(folder) -> None:
    shutil.rmtree(folder)


def damage(folder) -> None:
    """Leave the weights of another encoder, which are read when the new module is there already."""
    other = make_checkpoint(folder.parent / "other", hidden_size=16)
    shutil.copyfile(other / "model.safetensors", folder / "model.safetensors")


def interrupt():
    yield from ()
    raise KeyboardInterrupt


FAILURES = {
    "the checkpoint is gone": (remove, {}, None),
    "other weights": (damage, {}, None),
    "a label that is none": (None, {"labels": ["NEW", ""]}, None),
    "a label that is no string": (None, {"labels": ["NEW", 3]}, None),
    "Ctrl-C": (None, {}, interrupt),
}


@pytest.mark.everyday(6)
@pytest.mark.parametrize("failure", FAILURES)
@pytest.mark.parametrize("head", HEADS)
def test_a_failing_initialize_changes_nothing(head, failure, folder, tmp_path):
    change, settings, get_examples = FAILURES[failure]
    nlp = make_trained(head, folder)
    expected, content = [read(nlp, text) for text in TEXTS], store(nlp, head)
    if change is not None:
        change(folder)
    with pytest.raises((BertftError, KeyboardInterrupt)):
        nlp.get_pipe(head).initialize(get_examples or (lambda: make_examples(nlp, OTHER_GOLD)), nlp=nlp, **settings)
    check_unchanged(nlp, head, expected, content, tmp_path)


def check_unchanged(nlp, head, expected, content, tmp_path) -> None:
    assert [read(nlp, text) for text in TEXTS] == expected
    assert store(nlp, head) == content
    nlp.to_disk(tmp_path / "saved")
    loaded = spacy.load(tmp_path / "saved")
    for text, (ents, scores, cats, tags) in zip(TEXTS, expected, strict=True):
        # Where arrays lie in memory may change the last bit of a sum.
        assert read(loaded, text) == (ents, [pytest.approx(each, rel=1e-12) for each in scores], cats, tags)
    nlp.update(make_examples(nlp), sgd=configure_adamw(1e-3))


@pytest.mark.parametrize("setting", ["positive_label", "class_weights"])
def test_also_if_it_fails_at_its_end(setting, folder, tmp_path):
    nlp = make_trained("bert_textcat", folder)
    pipe = nlp.get_pipe("bert_textcat")
    expected, content = [read(nlp, text) for text in TEXTS], store(nlp, "bert_textcat")
    if setting == "class_weights":
        pipe.cfg["class_weights"] = {"nobody": 2.0}
    with pytest.raises(SettingError, match=f"{setting}.*nobody"):
        pipe.initialize(lambda: make_examples(nlp, OTHER_GOLD), nlp=nlp, positive_label="nobody")
    check_unchanged(nlp, "bert_textcat", expected, content, tmp_path)


def test_a_head_of_a_checkpoint_that_does_not_fit_leaves_no_labels(tmp_path):
    names = {"id2label": dict(enumerate(["O", "B-PER", "I-PER"]))}
    folder = str(make_checkpoint(tmp_path / "checkpoint", "bert", 3, **names))
    nlp = spacy.blank("en")
    encoder = {"name": folder, "precision": "fp32", "layers": "concat_last_four"}
    ner = nlp.add_pipe("bert_ner", config={"model": {"encoder": encoder, "decoder": "viterbi"}})
    before = store(nlp, "bert_ner")
    with pytest.raises(BertftError):
        nlp.initialize()
    assert ner.labels == ()
    assert store(nlp, "bert_ner") == before


@pytest.mark.parametrize("change", [remove, damage])
def test_a_failing_initialize_of_a_shared_encoder_changes_nothing(change, folder, tmp_path):
    nlp = spacy.blank("en")
    nlp.add_pipe("bert_encoder", config={"model": {"name": str(folder), "precision": "fp32"}})
    nlp.add_pipe("bert_ner", config={"model": {"encoder": {"@architectures": "spacy-bertft.SharedEncoder.v1"}}})
    nlp.initialize(lambda: make_examples(nlp))
    for _ in range(3):
        nlp.update(make_examples(nlp), sgd=configure_adamw(5e-3))
    expected, content = [read(nlp, text) for text in TEXTS], store(nlp, "bert_encoder")
    change(folder)
    with pytest.raises(BertftError):
        nlp.initialize(lambda: make_examples(nlp))
    check_unchanged(nlp, "bert_encoder", expected, content, tmp_path)


@pytest.mark.parametrize("factory", HEADS)
def test_a_stream_is_what_its_texts_are_alone(folder, factory, two_threads):
    nlp = make_trained(factory, folder)
    texts = [f"{text} {number}" for number in range(9) for text in TEXTS]
    for doc, text in zip(nlp.pipe(texts, batch_size=7), texts, strict=True):
        alone = nlp(text)
        assert (doc.text, doc.cats) == (text, pytest.approx(alone.cats, abs=1e-5))
        assert [(each.ent_type_, each.tag_) for each in doc] == [(each.ent_type_, each.tag_) for each in alone]


def test_a_batch_that_fails_is_handled_alone(folder, two_threads, monkeypatch):
    nlp = make_trained("bert_ner", folder)
    pipe, failed = nlp.get_pipe("bert_ner"), []
    predict = pipe.predict

    def fail_on_one(docs):
        if any("fail" in doc.text for doc in docs):
            raise ValueError("wrong")
        return predict(docs)

    monkeypatch.setattr(pipe, "predict", fail_on_one)
    nlp.set_error_handler(lambda name, _, docs, error: failed.append((name, [doc.text for doc in docs], str(error))))
    texts = ["a", "b", "c", "fail", "e", "f", "g"]
    assert [doc.text for doc in nlp.pipe(texts, batch_size=2)] == ["a", "b", "e", "f", "g"]
    assert failed == [("bert_ner", ["c", "fail"], "wrong")]
