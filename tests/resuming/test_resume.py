"""A training that was stopped somewhere and resumed ends as if nothing had happened, to the last bit."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
import spacy
import srsly
from resumed_runs import EVERY, N_STEPS, check_same, make_config, make_data
from spacy.cli.train import train as stock_train
from spacy.tokens import DocBin
from spacy.training import Corpus
from thinc.api import Config

from spacy_bertft.errors import CheckpointError, DataError, SettingError
from spacy_bertft.resuming import replay, resume, train

ENCODER = "components.ner.model.encoder"
LORA = {"@misc": "spacy-bertft.LoRA.v1", "rank": 2, "alpha": 4}
STOCK_NER = {"factory": "ner", "model": {"@architectures": "spacy.TransitionBasedParser.v2", "state_type": "ner",
    "extra_state_tokens": False, "hidden_width": 16, "maxout_pieces": 2, "use_upper": True, "nO": None,
    "tok2vec": {"@architectures": "spacy.HashEmbedCNN.v2", "pretrained_vectors": None, "width": 16, "depth": 1,
                "embed_size": 100, "window_size": 1, "maxout_pieces": 2, "subword_features": True}}}  # fmt: skip
WAYS: dict[str, dict[str, Any]] = {
    "as in configs/ner.cfg": {},
    "a frozen encoder whose states are kept": {f"{ENCODER}.frozen_layers": "all", "training.accumulate_gradient": 2},
    "a frozen encoder with windows over sentences": {
        "nlp.pipeline": ["sentencizer", "ner"],
        "components.sentencizer": {"factory": "sentencizer", "punct_chars": ["."]},  # more are stored in any order
        "training.annotating_components": ["sentencizer"],
        f"{ENCODER}.frozen_layers": "all",
        f"{ENCODER}.windows_over": "sentences",
    },
    "an adapter that is stored merged": {f"{ENCODER}.adapter": LORA | {"save": "merged"}},
    "gradual unfreezing": {
        "training.before_update": {
            "@callbacks": "spacy-bertft.gradual_unfreezing.v1",
            "component": "ner",
            "every": 7,
            "unit": "steps",
        }
    },
    "an encoder that is still frozen when it stops": {
        "training.accumulate_gradient": 2,
        "training.before_update": {
            "@callbacks": "spacy-bertft.gradual_unfreezing.v1",
            "component": "ner",
            "every": 13,
            "unit": "steps",
        },
    },
    "entities swapped in the batcher": {
        "training.batcher.augmenter": {"@augmenters": "spacy-bertft.swap_entities.v1", "level": 0.5}
    },
    "next to a stock component, by the stock optimizer": {
        "nlp.pipeline": ["ner", "stock"],
        "components.stock": STOCK_NER,
        "training.optimizer": {"@optimizers": "Adam.v1", "learn_rate": 0.003, "use_averages": True},
        "training.max_steps": N_STEPS,
    },
    "next to a stock component, by ours": {"nlp.pipeline": ["stock", "ner"], "components.stock": STOCK_NER},
    "a stream of texts": {"training.max_epochs": -1},
    "few epochs": {"training.max_epochs": 5},
    "an encoder that is shared": {
        "nlp.pipeline": ["bert", "ner"],
        "components.bert": {"factory": "bert_encoder", "model": {"name": "${paths.encoder}"}},
        ENCODER: {"@architectures": "spacy-bertft.SharedEncoder.v1"},
    },
    "a last step between two evaluations": {"training.eval_frequency": 7},
    "an epoch that ends between two evaluations": {"training.eval_frequency": 7, "training.max_epochs": 5},
    "patience": {"training.patience": EVERY},
}


class StoppedError(Exception):
    """Stands for what kills a process."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return make_data(tmp_path_factory.mktemp("resume"))


@pytest.fixture(scope="module")
def unbroken(folder, tmp_path_factory) -> Path:
    """What a training as in configs/ner.cfg gives that nothing stops."""
    output = tmp_path_factory.mktemp("unbroken")
    train(make_config(folder, {}), output, overwrite=True)
    return output


def stop_before(monkeypatch: pytest.MonkeyPatch, step: int) -> None:
    """Let a training stop when it asks for the batch of a step."""
    draw, seen = replay.DataOrder.__next__, iter(range(step))

    def draw_or_stop(order):
        if next(seen, None) is None:
            raise StoppedError
        return draw(order)

    monkeypatch.setattr(replay.DataOrder, "__next__", draw_or_stop)


def train_stopped(config: Config, output: Path, monkeypatch: pytest.MonkeyPatch, step: int) -> None:
    with monkeypatch.context() as patch:
        stop_before(patch, step)
        with pytest.raises(StoppedError):
            train(config, output)


@pytest.mark.everyday(1)
@pytest.mark.parametrize("way", WAYS)
def test_resumed_is_unbroken(folder, way, tmp_path, monkeypatch):
    config = make_config(folder, WAYS[way])
    train(config, tmp_path / "unbroken")
    if way == "patience":
        monkeypatch.setattr("spacy_bertft.resuming.run.remove_snapshot", lambda folder: None)
        train(config, tmp_path / "killed")  # at the very end, with only the snapshot left to remove
        monkeypatch.undo()
    else:
        train_stopped(config, tmp_path / "killed", monkeypatch, EVERY + 4)
    assert (tmp_path / "killed" / "snapshot").exists()
    resume(tmp_path / "killed")
    check_same(tmp_path / "unbroken", tmp_path / "killed")


@pytest.mark.slow
def test_resumed_twice(folder, unbroken, tmp_path, monkeypatch):
    config = make_config(folder, {})
    train_stopped(config, tmp_path / "killed", monkeypatch, 3)
    with monkeypatch.context() as patch:
        stop_before(patch, 2 * EVERY + 5)
        with pytest.raises(StoppedError):
            resume(tmp_path / "killed")
    resume(tmp_path / "killed")
    check_same(unbroken, tmp_path / "killed")


def test_trains_as_spacy_does(folder, unbroken, tmp_path):
    config = make_config(folder, {})
    config.to_disk(tmp_path / "config.cfg", interpolate=False)
    stock_train(tmp_path / "config.cfg", tmp_path / "stock")
    check_same(tmp_path / "stock", unbroken)


@pytest.mark.slow
@pytest.mark.parametrize("is_chained", [False, True])
def test_the_log_is_whole(folder, tmp_path, monkeypatch, is_chained):
    log = tmp_path / "log.jsonl"
    logger = {"@loggers": "spacy.ConsoleLogger.v3", "output_file": str(log)}
    chain = {"@loggers": "spacy.ChainLogger.v1", "logger1": logger}
    config = make_config(folder, {"training.logger": chain if is_chained else logger})
    train(config, tmp_path / "unbroken")
    unbroken = list(srsly.read_jsonl(log))
    log.unlink()
    train_stopped(config, tmp_path / "killed", monkeypatch, 2 * EVERY + 2)
    resume(tmp_path / "killed")
    assert list(srsly.read_jsonl(log)) == unbroken
    assert [row["step"] for row in unbroken] == list(range(0, N_STEPS + 1, EVERY))


@pytest.mark.slow
def test_an_unfinished_training_is_not_begun_again(folder, tmp_path, monkeypatch):
    config = make_config(folder, {})
    train_stopped(config, tmp_path / "out", monkeypatch, 3)
    with pytest.raises(SettingError, match="spacy-bertft resume"):
        train(config, tmp_path / "out")
    train(config, tmp_path / "out", overwrite=True)
    assert not (tmp_path / "out" / "snapshot").exists()


def test_other_data(folder, tmp_path, monkeypatch):
    data = shutil.copytree(folder, tmp_path / "data")
    config = make_config(data, {})
    train_stopped(config, tmp_path / "out", monkeypatch, 3)
    nlp = spacy.blank("en")
    docs = [example.reference for example in Corpus(data / "train.spacy")(nlp)]
    DocBin(docs=docs[:-1]).to_disk(data / "train.spacy")
    with pytest.raises(DataError, match="not those"):
        resume(tmp_path / "out")
    assert (tmp_path / "out" / "snapshot").exists()


def test_other_annotation(folder, tmp_path, monkeypatch):
    data = shutil.copytree(folder, tmp_path / "data")
    train_stopped(make_config(data, {}), tmp_path / "out", monkeypatch, 3)
    docs = list(DocBin().from_disk(data / "train.spacy").get_docs(spacy.blank("en").vocab))
    docs[0].ents = []
    DocBin(docs=docs).to_disk(data / "train.spacy")
    with pytest.raises(DataError, match="not those"):
        resume(tmp_path / "out")


def test_nothing_to_resume(tmp_path):
    with pytest.raises(CheckpointError, match="no unfinished training"):
        resume(tmp_path)


@pytest.mark.parametrize("name", ["progress.json", "optimizer.safetensors", "torch_random.safetensors"])
def test_a_damaged_snapshot(folder, name, tmp_path, monkeypatch):
    train_stopped(make_config(folder, {}), tmp_path, monkeypatch, 3)
    path = tmp_path / "snapshot" / name
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(CheckpointError):
        resume(tmp_path)


def test_a_newer_snapshot(folder, tmp_path, monkeypatch):
    train_stopped(make_config(folder, {}), tmp_path, monkeypatch, 3)
    path = tmp_path / "snapshot" / "progress.json"
    srsly.write_json(path, srsly.read_json(path) | {"format": 99})
    with pytest.raises(CheckpointError, match="newer version"):
        resume(tmp_path)


@pytest.mark.slow
def test_other_threads_are_told(folder, tmp_path, monkeypatch, capsys):
    train_stopped(make_config(folder, {}), tmp_path, monkeypatch, 3)
    path = tmp_path / "snapshot" / "progress.json"
    content = srsly.read_json(path)
    content["progress"]["versions"]["threads"] = "64"
    srsly.write_json(path, content)
    resume(tmp_path)
    assert "threads 64 then" in " ".join(capsys.readouterr().out.split())
