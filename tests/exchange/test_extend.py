"""`extend`: a pipeline that knows two labels learns a third from data that are annotated for it alone."""

from __future__ import annotations

from pathlib import Path

import pytest
import spacy
from commands import run
from planted_words import KEYWORDS, make_example, plant
from small_checkpoints import make_checkpoint
from spacy.language import Language
from spacy.tokens import DocBin, Span
from spacy.training import Example
from spacy.util import registry
from thinc.api import fix_random_seed

from spacy_bertft.errors import DataError, SettingError
from spacy_bertft.exchange.extend import extend
from spacy_bertft.training.optimizer import configure_adamw

OLD = ("ACTOR", "TITLE")


@pytest.fixture(scope="module")
def encoder(tmp_path_factory) -> str:
    return str(make_checkpoint(tmp_path_factory.mktemp("encoder")))


def make_gold(nlp: Language, texts: list[tuple[str, str]], labels: tuple[str, ...]):
    """Make examples that are annotated for some labels only."""
    examples = [make_example(nlp, *each) for each in texts]
    for example in examples:
        example.reference.ents = [ent for ent in example.reference.ents if ent.label_ in labels]
        example.reference.cats = {}
    return examples


def write(path: Path, examples) -> Path:
    DocBin(docs=[each.reference for each in examples]).to_disk(path)
    return path


@pytest.fixture(scope="module")
def folder(encoder, tmp_path_factory) -> Path:
    """Give a folder with a trained pipeline, new data, and earlier ones."""
    folder = tmp_path_factory.mktemp("extend")
    fix_random_seed(0)
    nlp = spacy.blank("en")
    nlp.add_pipe("bert_ner", name="ner", config={"model": {"encoder": {"name": encoder, "precision": "fp32"}}})
    examples = make_gold(nlp, plant(200, seed=1), OLD)
    nlp.initialize(lambda: examples)
    optimizer = configure_adamw(3e-3)
    for step in range(40):
        nlp.update(examples[50 * (step % 4) :][:50], sgd=optimizer)
    nlp.to_disk(folder / "old")
    write(folder / "new.spacy", make_gold(nlp, plant(40, seed=2), ("TOPIC",)))
    write(folder / "replay.spacy", examples[:20])
    return folder


def read(pipeline: Path, seed: int = 3) -> dict[str, float]:
    """Return the share of entities that are found, by label."""
    nlp = spacy.load(pipeline)
    texts = plant(60, seed=seed)
    found = {label: [] for label in KEYWORDS.values()}
    for doc, (_, keyword) in zip(nlp.pipe(text for text, _ in texts), texts, strict=True):
        found[KEYWORDS[keyword]].append([(ent.text, ent.label_) for ent in doc.ents] == [(keyword, KEYWORDS[keyword])])
    return {label: sum(each) / len(each) for label, each in found.items()}


def test_a_label_is_learned_and_the_others_are_kept(folder, tmp_path):
    before = read(folder / "old")
    assert min(before[label] for label in OLD) > 0.9
    report = extend(folder / "old", folder / "new.spacy", tmp_path / "new", learn_rate=2e-3, epochs=10)
    after = read(tmp_path / "new")
    assert after["TOPIC"] > 0.9
    assert min(after[label] - before[label] for label in OLD) > -0.05
    assert (report.component, report.added, report.annotated) == ("ner", ("TOPIC",), ("TOPIC",))
    assert (report.n_examples, report.n_replayed, report.n_steps) == (40, 0, 50)
    assert report.never_predicted == ()
    assert report.losses[0] > 2 * report.losses[1]
    assert spacy.load(tmp_path / "new").meta["performance"] == {}


def test_a_label_that_was_not_learned_is_named(folder, tmp_path):
    with pytest.warns(UserWarning, match="ner predicts TOPIC in none of the examples"):
        report = extend(folder / "old", folder / "new.spacy", tmp_path / "new", learn_rate=1e-6, epochs=1)
    assert report.never_predicted == ("TOPIC",)


@pytest.mark.filterwarnings("ignore:.* in none of the examples")
def test_every_setting_of_training_counts(folder, tmp_path):
    replay = {"replay_path": folder / "replay.spacy"}
    settings = ({}, {"seed": 1}, {"dropout": 0.5}, {"batch_size": 20}, {"learn_rate": 1e-3})
    settings += (replay, replay | {"replay_ratio": 1})
    reports = [extend(folder / "old", folder / "new.spacy", tmp_path / "new", epochs=1, **each) for each in settings]
    assert [report.n_steps for report in reports] == [5, 5, 5, 2, 5, 5, 5]
    assert len({report.losses for report in reports}) == len(settings)


@pytest.mark.filterwarnings("ignore:.* in none of the examples")
def test_the_command_with_replayed_examples(folder, tmp_path):
    arguments = ["--replay", folder / "replay.spacy", "--epochs", "2", "--component", "ner"]
    printed = run("spacy_bertft", "extend", folder / "old", folder / "new.spacy", "out", *arguments, cwd=tmp_path)
    assert "TOPIC" in printed
    assert "replayed examples" in printed
    assert "never predicted" in printed
    assert spacy.load(tmp_path / "out").get_pipe("ner").labels == (*OLD, "TOPIC")


@pytest.mark.filterwarnings("ignore:.* in none of the examples")
def test_other_heads_of_a_shared_encoder_keep_what_they_predict(encoder, folder, tmp_path):
    fix_random_seed(0)
    nlp = spacy.blank("en")
    nlp.add_pipe("bert_encoder", config={"model": {"name": encoder, "precision": "fp32"}})
    shared = {"model": {"encoder": {"@architectures": "spacy-bertft.SharedEncoder.v1"}}}
    nlp.add_pipe("bert_ner", config=shared)
    nlp.add_pipe("bert_textcat", config=shared)
    nlp.add_pipe("tagger", config={"model": {"tok2vec": {"@architectures": "spacy-bertft.Listener.v1"}}})
    examples = [make_example(nlp, *each) for each in plant(40, seed=1)]
    for token in examples[0].reference:
        token.tag_ = "X"
    nlp.initialize(lambda: examples)
    optimizer = configure_adamw(1e-3)
    for _ in range(5):
        nlp.update(examples, sgd=optimizer)
    nlp.to_disk(tmp_path / "old")
    for example in examples:
        doc = example.reference
        doc.ents = [Span(doc, ent.start, ent.end, label="NEW") for ent in doc.ents]
        example.reference.cats = {}
    with pytest.warns(UserWarning, match="tagger: shares the encoder that learns, and is not rehearsed"):
        extend(tmp_path / "old", write(tmp_path / "new.spacy", examples), tmp_path / "new", epochs=1)
    extended = spacy.load(tmp_path / "new")
    assert "NEW" in extended.get_pipe("bert_ner").labels
    for example in examples[:10]:
        assert extended(example.text).cats == pytest.approx(nlp(example.text).cats, abs=0.05)


def test_what_cannot_be_extended(folder, tmp_path):
    nlp = spacy.load(folder / "old")
    nothing = write(tmp_path / "nothing.spacy", make_gold(nlp, plant(2, seed=0), ()))
    with pytest.raises(DataError, match="no labels for ner"):
        extend(folder / "old", nothing, tmp_path / "out")
    with pytest.raises(SettingError, match="one of ner"):
        extend(folder / "old", nothing, tmp_path / "out", component="textcat")
    for setting in ({"replay_ratio": 0}, {"epochs": 0}, {"batch_size": 0}, {"learn_rate": 0.0}, {"dropout": 1.0}):
        with pytest.raises(SettingError, match=next(iter(setting))):
            extend(folder / "old", nothing, tmp_path / "out", **setting)
    assert not (tmp_path / "out").exists()


def test_labels_that_are_given_to_a_new_component_are_its_own(checkpoint, tmp_path):
    nlp = spacy.blank("en")
    nlp.add_pipe("bert_textcat_multilabel", name="topic", config={"model": {"encoder": {"name": checkpoint}}})
    docs = [nlp.make_doc("good film"), nlp.make_doc("bad film")]
    docs[0].cats, docs[1].cats = {"A": 1.0, "B": 0.0}, {"A": 0.0, "B": 1.0}
    nlp.initialize(lambda: [Example(nlp.make_doc(doc.text), doc) for doc in docs])
    nlp.add_pipe("bert_textcat_multilabel", name="flags", config={"model": {"encoder": {"name": checkpoint}}})
    nlp.config["initialize"]["components"]["flags"] = {"labels": ["rude"]}
    nlp.config["paths"] |= dict.fromkeys(("train", "dev"), str(tmp_path / "train.spacy"))
    for doc in docs:
        doc.cats = {**doc.cats, "rude": 0.0}
    DocBin(docs=docs).to_disk(tmp_path / "train.spacy")
    registry.callbacks.get("spacy-bertft.add_labels.v1")()(nlp)
    assert nlp.get_pipe("topic").labels == ("A", "B")


@pytest.mark.everyday(1)
@pytest.mark.parametrize("given", [True, False])
def test_sourced_components_get_labels_in_a_config(folder, tmp_path, given):
    config = spacy.blank("en").config.copy()
    config["nlp"]["pipeline"] = ["ner"]
    config["components"]["ner"] = {"source": str(folder / "old")}
    for name in ("train", "dev"):
        config["corpora"][name]["path"] = str(folder / "new.spacy")
    config["training"] |= {"max_steps": 1, "eval_frequency": 1}
    config["training"]["optimizer"] = {"@optimizers": "spacy-bertft.AdamW.v1", "learn_rate": 1e-4}
    config["initialize"]["before_init"] = {"@callbacks": "spacy-bertft.add_labels.v1"}
    if given:
        config["initialize"]["components"]["ner"] = {"labels": ["TOPIC", "GIVEN"]}
    config.to_disk(tmp_path / "more.cfg")
    run("spacy_bertft", "train", "more.cfg", "--output", "out", cwd=tmp_path)
    ner = spacy.load(tmp_path / "out" / "model-last").get_pipe("ner")
    assert ner.labels == (*OLD, "TOPIC", *(["GIVEN"] if given else []))
    assert ner.cfg["ignore_unknown"] is given
