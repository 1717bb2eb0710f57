"""spaCy's own commands on our configs and pipelines, as a user types them."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest
import spacy
import srsly
from commands import run
from small_checkpoints import make_checkpoint
from spacy.training import Corpus

ROOT = Path(__file__).parent.parent
CONFIG = ROOT / "configs" / "ner.cfg"


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """A folder with a small encoder, a converted part of our corpus, and a pipeline trained on it by `spacy train`."""
    folder = tmp_path_factory.mktemp("project")
    make_checkpoint(folder / "encoder", max_position_embeddings=128)
    lines = (ROOT / "assets" / "movie" / "train.bio").read_text(encoding="utf-8").split("\n\n")
    (folder / "train.bio").write_text("\n\n".join(lines[:150]), encoding="utf-8")
    command = ["spacy_bertft", "convert", "train.bio", "train.spacy", "--dev", "0.2", "--dev-path", "dev.spacy"]
    run(*command, cwd=folder)
    output = run("spacy", "train", CONFIG, "--output", "training", *paths(), *small(), cwd=folder)
    assert "ENTS_F" in output
    return folder


def paths() -> list[str]:
    return ["--paths.train", "train.spacy", "--paths.dev", "dev.spacy", "--paths.encoder", "encoder"]


def small() -> list[str]:
    """Settings for a run of seconds: enough to learn something, no more."""
    return [
        "--training.optimizer.learn_rate.total_steps=300",
        "--training.eval_frequency=150",
        "--training.optimizer.learn_rate.warmup_steps=5",
        "--training.optimizer.learn_rate.initial_rate=0.005",
        "--components.ner.model.head_lr_scale=1.0",
        "--components.ner.model.encoder.precision=fp32",
    ]


def test_train(folder):
    meta = srsly.read_json(folder / "training" / "model-best" / "meta.json")
    assert meta["performance"]["ents_f"] > 0.1
    assert spacy.load(folder / "training" / "model-last").pipe_names == ["ner"]


def test_train_with_a_column_file_and_labels_from_a_file(folder):
    run("spacy", "init", "labels", CONFIG, "labels", *paths(), cwd=folder)
    labels = srsly.read_json(folder / "labels" / "ner.json")
    assert "ACTOR" in labels
    config = spacy.util.load_config(CONFIG)
    config["corpora"]["train"] = {"@readers": "spacy-bertft.ColumnCorpus.v1", "path": "train.bio"}
    read_labels = {"@readers": "spacy.read_labels.v1", "path": "labels/ner.json"}
    config["initialize"]["components"] = {"ner": {"labels": read_labels}}
    config.to_disk(folder / "column.cfg")
    once = ["--training.max_steps=1", "--training.eval_frequency=1"]
    run("spacy", "train", "column.cfg", "--output", "training-2", *paths(), *once, cwd=folder)
    trained = spacy.load(folder / "training-2" / "model-last")
    assert list(trained.get_pipe("ner").labels) == labels


def test_train_a_tagger(folder):
    sentences = ["show VERB\nme PRON\nfilms NOUN", "who PRON\ndirected VERB\nit PRON", "find VERB\nthe DET\nplot NOUN"]
    (folder / "tags.conll").write_text("\n\n".join(sentences) + "\n", encoding="utf-8")
    run("spacy_bertft", "convert", "tags.conll", "tags.spacy", "--as", "tags", cwd=folder)
    same = ["--paths.train", "tags.spacy", "--paths.dev", "tags.spacy", "--paths.encoder", "encoder"]
    command = ["train", ROOT / "configs" / "tagger.cfg", "--output", "tagger", *same]
    settings = [setting.replace("components.ner", "components.tagger") for setting in small()]
    settings += ["--training.optimizer.learn_rate.total_steps=60", "--training.eval_frequency=30"]
    run("spacy", *command, *settings, "--components.tagger.set_pos=true", cwd=folder)
    doc = spacy.load(folder / "tagger" / "model-best")("find the plot")
    assert [token.pos_ for token in doc] == [token.tag_ for token in doc] == ["VERB", "DET", "NOUN"]
    output = run("spacy_bertft", "evaluate", "tagger/model-best", "tags.spacy", cwd=folder)
    assert "tag accuracy 100.00 %" in output


def test_a_student_of_few_labels_and_many_texts(folder):
    """The commands of the README: one pipeline annotates texts, another learns from a folder of both."""
    texts = [{"text": "show me films with drew barrymore"}, {"text": "who directed the godfather"}]
    srsly.write_jsonl(folder / "texts.jsonl", texts)
    (folder / "corpus").mkdir()
    shutil.copy(folder / "dev.spacy", folder / "corpus" / "few.spacy")
    run("spacy", "apply", "training/model-best", "texts.jsonl", "corpus/silver.spacy", cwd=folder)
    command = [
        "spacy",
        "train",
        ROOT / "configs" / "few.cfg",
        "--output",
        "student",
        "--paths.train",
        "corpus",
    ]
    once = ["--training.max_steps=1", "--training.eval_frequency=1"]
    run(*command, *paths()[2:], *once, cwd=folder)
    docs = list(Corpus(folder / "corpus")(spacy.blank("en")))
    assert len(docs) == len(list(Corpus(folder / "dev.spacy")(spacy.blank("en")))) + len(texts)
    assert set(spacy.load(folder / "student" / "model-last").get_pipe("ner").labels) >= {"ACTOR", "TITLE"}


def test_train_on_from_a_trained_component(folder):
    config = spacy.util.load_config(CONFIG)
    config["components"]["ner"] = {"source": "training/model-best"}
    config.to_disk(folder / "source.cfg")
    once = ["--training.max_steps=1", "--training.eval_frequency=1"]
    run("spacy", "train", "source.cfg", "--output", "training-3", *paths(), *once, cwd=folder)
    before, after = (
        srsly.read_json(folder / name / "model-best" / "meta.json")["performance"]["ents_f"]
        for name in ("training", "training-3")
    )
    assert after == pytest.approx(before, abs=0.05)


def test_training_twice_with_a_seed_gives_the_same_weights(folder):
    for name in ("one", "two"):
        short = ["--training.max_steps=4", "--training.eval_frequency=4"]
        run("spacy", "train", CONFIG, "--output", name, *paths(), *short, cwd=folder)
    one, two = ((folder / name / "model-last" / "ner" / "model").read_bytes() for name in ("one", "two"))
    assert one == two


def test_spacy_evaluate(folder):
    run("spacy", "evaluate", "training/model-best", "dev.spacy", "--output", "metrics.json", cwd=folder)
    assert srsly.read_json(folder / "metrics.json")["ents_f"] > 0.1


@pytest.mark.slow
def test_debug_data(folder):
    """The sections that spaCy's command has for its own components, also when the other command has run before."""
    for names, has_section in ((["spacy", "debug", "data"], False), (["spacy_bertft", "debug-data"], True)):
        output = run(*names, CONFIG, *paths(), cwd=folder)
        assert "Corpus is loadable" in output
        assert ("Named Entity Recognition" in output) == has_section
    assert re.search(r"Low number of examples for label '\w+'", output)
    (folder / "imported.py").write_text("print('imported')", encoding="utf-8")
    options = ["--ignore-warnings", "--verbose", "--code", "imported.py"]
    quiet = run("spacy_bertft", "debug-data", CONFIG, *paths(), *options, cwd=folder)
    assert not re.search(r"Low number of examples", quiet)
    assert re.search(r"Labels in train data: .*'ACTOR' \(\d+\)", quiet)
    assert not re.search(r"'ACTOR' \(\d+\)", output)
    assert "imported" in quiet
    assert spacy.load(folder / "training" / "model-best").pipe_factories["ner"] == "bert_ner"


def test_evaluate(folder):
    command = ["evaluate", "training/model-best", "dev.spacy", "--output", "ours.json", "--entities", "entities.html"]
    output = run("spacy_bertft", *command, cwd=folder)
    page = (folder / "entities.html").read_text(encoding="utf-8")
    assert page.startswith("<!DOCTYPE html>")
    assert '<mark class="entity"' in page
    scores = srsly.read_json(folder / "ours.json")
    assert "token-level micro F1" in output
    assert f"{100 * scores['ents_f']:.2f}" in output
    assert scores["ents_f"] == pytest.approx(
        srsly.read_json(folder / "training/model-best/meta.json")["performance"]["ents_f"]
    )


def test_a_trained_pipeline_can_be_trained_on(folder):
    """Its stored config gives an optimizer, without the command line of the training run."""
    nlp = spacy.load(folder / "training" / "model-best")
    optimizer = nlp.resume_training()
    example = spacy.training.Example.from_dict(nlp.make_doc("drew barrymore"), {"entities": [(0, 14, "ACTOR")]})
    for _ in range(3):
        losses = nlp.update([example], sgd=optimizer)
    assert losses["ner"] >= 0


def test_debug_config(folder):
    assert "Config validation" in run("spacy", "debug", "config", CONFIG, *paths(), cwd=folder)


def test_init_fill_config(folder):
    minimal = '[nlp]\nlang = "en"\npipeline = ["ner", "tagger"]\n[components]\n'
    minimal += '[components.ner]\nfactory = "bert_ner"\n[components.tagger]\nfactory = "bert_tagger"\n'
    (folder / "minimal.cfg").write_text(minimal, encoding="utf-8")
    run("spacy", "init", "fill-config", "minimal.cfg", "filled.cfg", cwd=folder)
    filled = spacy.util.load_config(folder / "filled.cfg")
    assert filled["components"]["ner"]["model"]["decoder"] == "crf"
    assert filled["components"]["tagger"]["model"]["encoder"]["@architectures"] == "spacy-bertft.BertEncoder.v1"
    assert filled["training"]["score_weights"]["ents_f"] == 0.5


@pytest.mark.parametrize("config", sorted((ROOT / "configs").glob("*.cfg")), ids=lambda path: path.name)
def test_our_configs_are_complete(folder, config):
    """`debug data` and `debug config` take only configs in which every setting is spelled out."""
    run("spacy", "init", "fill-config", config, "same.cfg", cwd=folder)
    ours = spacy.util.load_config(config)
    ours["components"] = {name: ours["components"][name] for name in ours["nlp"]["pipeline"]}  # text_pair is for pairs
    assert spacy.util.load_config(folder / "same.cfg") == ours


@pytest.mark.slow
def test_benchmark_speed(folder):
    command = [
        "benchmark",
        "speed",
        "training/model-best",
        "dev.spacy",
        "--no-shuffle",
        "--batches",
        "30",
        "--warmup",
        "1",
    ]
    assert "words/s" in run("spacy", *command, cwd=folder)


def test_find_threshold(folder):
    command = ["find-threshold", "training/model-best", "dev.spacy", "ner", "min_score", "ents_f", "--n_trials", "3"]
    output = run("spacy", *command, cwd=folder)
    rows = [line.split() for line in output.splitlines() if line[:1].isdigit()]
    scores = {float(row[0]): float(row[1]) for row in rows}
    assert set(scores) == {0.0, 0.5, 1.0}
    assert scores[0.0] > scores[1.0] == 0.0


def test_package(folder):
    (folder / "packages").mkdir()
    command = ["package", "training/model-best", "packages", "--name", "test_ner", "--build", "none"]
    run("spacy", *command, cwd=folder)
    [meta] = folder.glob("packages/en_test_ner-*/meta.json")
    assert any(requirement.startswith("spacy-bertft") for requirement in srsly.read_json(meta)["requirements"])
    assert spacy.load(meta.parent / "en_test_ner" / meta.parent.name).pipe_names == ["ner"]


def test_mounted_in_spacy(folder):
    assert "convert" in run("spacy", "bertft", "--help", cwd=folder)
    assert "words" in run("spacy", "bertft", "stats", "train.bio", "--encoder", "encoder", cwd=folder)
