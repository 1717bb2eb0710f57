"""`train` evaluates the last step, which spaCy's loop does not, and says so where step 0 is the best all the same."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import spacy
import srsly
from resumed_runs import N_STEPS, make_config, make_data, read_folder
from spacy.training import Corpus

from spacy_bertft.errors import DataError, SettingError
from spacy_bertft.resuming import train


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return make_data(tmp_path_factory.mktemp("last_step"))


@pytest.fixture
def run(folder, tmp_path, capsys):
    """Train with some settings changed, and give the steps that were evaluated and what was printed."""

    def run_with(**changes: Any) -> tuple[list[int], str]:
        log = tmp_path / "log.jsonl"
        settings = {f"training.{name}": value for name, value in (SCORE | changes).items()}
        train(make_config(folder, settings | {"training.logger.output_file": str(log)}), tmp_path / "out")
        return [row["step"] for row in srsly.read_jsonl(log)], " ".join(capsys.readouterr().out.split())

    return run_with


# In so few steps the small model learns to leave most tokens out of entities, and no more.
SCORE = {"score_weights": {"ents_f": 0.0, "ents_token_f": 1.0}}
ENDS = {
    "fewer steps than eval_frequency": ({"eval_frequency": 1000}, N_STEPS),
    "a last step between two evaluations": ({"eval_frequency": 20}, N_STEPS),
    "patience below eval_frequency": ({"eval_frequency": 1000, "patience": 25}, 25),
}


@pytest.mark.everyday(1)
@pytest.mark.parametrize("way", ENDS)
def test_the_last_step_is_evaluated_and_kept_if_it_is_the_best(run, way, folder, tmp_path):
    changes, last = ENDS[way]
    steps, printed = run(**changes)
    assert steps == [*range(0, last, changes["eval_frequency"]), last]
    best, trained = (read_folder(tmp_path / "out" / name) for name in ("model-best", "model-last"))
    assert best == trained
    nlp = spacy.load(tmp_path / "out" / "model-best")
    scores = nlp.evaluate(list(Corpus(folder / "dev.spacy")(nlp)))
    assert nlp.meta["performance"]["ents_token_f"] == pytest.approx(scores["ents_token_f"])
    assert scores["ents_token_f"] > 0.5
    assert ("training.patience = 25 stops training at step 25 at the latest" in printed) == ("patience" in changes)
    assert "The best score" not in printed


def test_epochs_that_end_between_two_evaluations(run, tmp_path):
    steps, _ = run(eval_frequency=1000, max_epochs=4, max_steps=0)
    assert len(steps) == 2
    assert steps[0] == 0 < steps[1]
    assert read_folder(tmp_path / "out" / "model-best") == read_folder(tmp_path / "out" / "model-last")


def test_where_step_0_is_the_best_it_is_kept_and_that_is_said(run, tmp_path):
    steps, printed = run(eval_frequency=20, score_weights={"ents_f": 0.0, "ents_token_f": -1.0})
    assert steps == [0, 20, N_STEPS]
    first, last = (srsly.read_json(tmp_path / "out" / name / "meta.json") for name in ("model-best", "model-last"))
    scores = [-meta["performance"]["ents_token_f"] for meta in (first, last)]
    assert scores[0] > scores[1]
    assert f"The best score, {scores[0]:.4f}, is that of step 0: model-best has hardly been trained." in printed
    assert f"model-last, the last pipeline, has {scores[1]:.4f}." in printed


@pytest.mark.parametrize(
    ("name", "value"), [("patience", -1), ("max_steps", -1), ("eval_frequency", 0), ("eval_frequency", -200)]
)
def test_steps_below_what_is_allowed(run, name, value, tmp_path):
    with pytest.raises(SettingError, match=rf"training\.{name} = {value}\. Expected a .*number of steps"):
        run(**{name: value})
    assert not (tmp_path / "out").exists()


def test_a_batcher_that_gives_nothing(run, tmp_path):
    batcher = {"@batchers": "spacy.batch_by_words.v1", "size": 1, "tolerance": 0.0, "discard_oversize": True}
    with pytest.raises(DataError, match="returned no batch"):
        run(batcher=batcher, max_epochs=1)
    assert not (tmp_path / "out").exists()
