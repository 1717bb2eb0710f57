"""The search finds what is better, starts with the config as it was, and continues where it was interrupted."""

from __future__ import annotations

import numpy as np
import pytest
import srsly
from resumed_runs import make_config, make_data
from spacy.util import load_config

from spacy_bertft.cross_validation import tune as module
from spacy_bertft.cross_validation.tune import read_space, tune
from spacy_bertft.errors import DataError, MissingExtraError, SettingError

pytest.importorskip("optuna")
pytestmark = pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")
SPACE = {"training.dropout": (0.0, 0.5), "training.batcher.size": [256, 512]}


class Calls(list):
    def __init__(self):
        super().__init__()
        self.options = []


class FakeReport:
    def __init__(self, config):
        training = config["training"]
        score = 90 - 100 * (training["dropout"] - 0.4) ** 2 - (training["batcher"]["size"] == 512)
        self.scores = np.array([[score - 1], [score + 1]])


@pytest.fixture
def calls(monkeypatch):
    """Replace cross-validation by a function with a known best point; give the configs it was asked for."""
    asked = Calls()

    def fake(config, folder, **options):
        folder.mkdir()
        asked.append(config)
        asked.options.append(options)
        return FakeReport(config)

    monkeypatch.setattr(module, "crossval", fake)
    return asked


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return make_data(tmp_path_factory.mktemp("tune"))


@pytest.fixture
def config(folder):
    return make_config(folder, {})


def test_it_finds_what_is_better(config, calls, tmp_path):
    report = tune(config, tmp_path, space=SPACE, n_trials=25, n_folds=2)
    best, base = report.trials[0], next(each for each in report.trials if each.number == 0)
    assert base.settings == {"training.dropout": 0.1, "training.batcher.size": 512}
    assert best.settings["training.batcher.size"] == 256
    assert best.settings["training.dropout"] == pytest.approx(0.4, abs=0.1)
    written = load_config(tmp_path / "best.cfg", interpolate=False)
    assert written["training"]["dropout"] == best.settings["training.dropout"]
    assert written["corpora"]["train"]["path"] == "${paths.train}"
    assert f"{best.mean - base.mean:+.2f}" in report.format_notes()
    assert len(report.format_rows()) == 11
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "best.cfg",
        "fingerprint.json",
        "trials.jsonl",
        "trials.svg",
    ]


def test_a_range_of_whole_numbers(config, calls, tmp_path):
    tune(config, tmp_path, space={"training.batcher.size": (128, 2048)}, n_trials=6)
    sizes = [each["training"]["batcher"]["size"] for each in calls]
    assert sizes[0] == 512
    assert len({*sizes}) > 3
    assert all(type(size) is int and 128 <= size <= 2048 for size in sizes)


def test_it_continues_where_it_was(config, calls, tmp_path):
    whole = tune(config, tmp_path / "whole", space=SPACE, n_trials=6)
    tune(config, tmp_path / "parts", space=SPACE, n_trials=2)
    parts = tune(config, tmp_path / "parts", space=SPACE, n_trials=6)
    assert [each.settings for each in parts.trials] == [each.settings for each in whole.trials]
    assert len(calls) == 12


def test_settings_that_the_config_does_not_have(config, calls, tmp_path):
    with pytest.raises(SettingError, match="names of settings that the config has"):
        tune(config, tmp_path, space={"training.speed": (0.0, 1.0)})
    tune(config, tmp_path, n_trials=1)  # of those by default, the ones that it has
    with pytest.raises(DataError, match=r"results of something else: settings differ\."):
        tune(config, tmp_path, space=SPACE)


def test_trials_of_something_else(config, calls, tmp_path):
    tune(config, tmp_path, space=SPACE, n_trials=1)
    for changes in ({"seed": 1}, {"n_folds": 2}):
        with pytest.raises(DataError, match=f"something else: {next(iter(changes))} differ"):
            tune(config, tmp_path, space=SPACE, n_trials=2, **changes)
    config["training"]["accumulate_gradient"] = 2
    with pytest.raises(DataError, match="something else: config differ"):
        tune(config, tmp_path, space=SPACE, n_trials=2)


def test_settings_that_are_no_numbers(config, calls, tmp_path):
    space = {"components.ner.model.decoder": ["crf", "viterbi"]}
    report = tune(config, tmp_path, space=space, n_trials=2)
    assert [row[-1] for row in report.format_rows()][1] in ("crf", "viterbi")


def test_folds_and_seed_are_those_of_cross_validation(config, calls, tmp_path):
    tune(config, tmp_path / "a", space=SPACE, n_trials=3, n_folds=4, seed=7)
    assert calls.options == [{"n_folds": 4, "seed": 7, "gpu_id": -1}] * 3
    others = [tune(config, tmp_path / str(s), space=SPACE, n_trials=3, seed=s).trials for s in (0, 1)]
    assert {str(each.settings) for each in others[0]} != {str(each.settings) for each in others[1]}


def test_without_optuna(config, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r"spacy-bertft\[tune\]"):
        tune(config, tmp_path)


def test_a_space_in_a_file(tmp_path):
    srsly.write_json(tmp_path / "space.json", {"a.b": [0.1, 0.5], "a.c": {"values": [1, 2]}})
    assert read_space(tmp_path / "space.json") == {"a.b": (0.1, 0.5), "a.c": [1, 2]}
    srsly.write_json(tmp_path / "space.json", {"a.b": 3})
    with pytest.raises(DataError, match=r"space\.json cannot be read"):
        read_space(tmp_path / "space.json")


@pytest.mark.slow
def test_a_search_with_trainings(config, tmp_path):
    report = tune(config, tmp_path, space={"training.dropout": [0.0, 0.1]}, n_trials=2, n_folds=2)
    assert [len(each.scores) for each in report.trials] == [2, 2]
    assert not list(tmp_path.glob("trial-*"))
