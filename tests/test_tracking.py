"""The section on MLflow of the documentation, on a real run with a local store."""

from __future__ import annotations

import json
import re
from importlib.util import find_spec
from pathlib import Path

import pytest
import spacy
from commands import run_python
from small_checkpoints import make_checkpoint
from thinc.api import Config

from spacy_bertft.data import convert
from spacy_bertft.evaluation.training_log import read_training_log

ROOT = Path(__file__).parent.parent
CONFIG = ROOT / "configs" / "ner.cfg"
GUIDE = (ROOT / "docs" / "how-to" / "experiment-tracking.md").read_text(encoding="utf-8")
EXTRA = ("mlflow", "pandas", "sqlalchemy", "alembic")

READ_BACK = """
import json, mlflow
[run] = mlflow.search_runs(output_format="list")
client = mlflow.MlflowClient()
history = {name: [(each.step, each.value) for each in client.get_metric_history(run.info.run_id, name)]
           for name in run.data.metrics}
found = {"name": run.info.run_name, "history": history, "params": run.data.params, "status": run.info.status,
         "n_models": len(client.search_logged_models(["0"]))}
open("found.json", "w").write(json.dumps(found))
"""


def read_shown() -> dict:
    """Read the section that the page shows."""
    [shown] = [each for each in re.findall(r"```ini\n(.*?)```", GUIDE, flags=re.DOTALL) if "MLflow" in each]
    logger: dict = Config().from_str(f"[training]\n\n{shown}")["training"]["logger"]
    return logger


@pytest.mark.process
@pytest.mark.skipif(any(find_spec(name) is None for name in EXTRA), reason="needs the extra tracking")
def test_a_training_run_in_mlflow(tmp_path, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "sqlite:///mlflow.db")
    monkeypatch.setenv("DO_NOT_TRACK", "true")
    make_checkpoint(tmp_path / "encoder", max_position_embeddings=128)
    lines = (ROOT / "assets" / "movie" / "train.bio").read_text(encoding="utf-8").split("\n\n")
    (tmp_path / "train.bio").write_text("\n\n".join(lines[:20]), encoding="utf-8")
    convert(tmp_path / "train.bio", tmp_path / "train.spacy")
    config = spacy.util.load_config(CONFIG)
    config["training"]["logger"] = read_shown()
    config.to_disk(tmp_path / "tracked.cfg")
    paths = ["--paths.train", "train.spacy", "--paths.dev", "train.spacy", "--paths.encoder", "encoder"]
    steps = ["--training.max_steps", "2", "--training.eval_frequency", "2"]
    run_python("-m", "spacy", "train", "tracked.cfg", "--output", "training", *paths, *steps, cwd=tmp_path)
    run_python("-c", READ_BACK, cwd=tmp_path)
    found = json.loads((tmp_path / "found.json").read_text(encoding="utf-8"))
    assert (found["name"], found["status"]) == ("movie", "FINISHED")
    assert found["params"]["components.ner.factory"] == "bert_ner"
    assert found["n_models"] >= 1
    # The same run as a file, for the learning curve of the report.
    log = read_training_log(tmp_path / "training" / "log.jsonl")
    assert log.steps.tolist() == [0, 2]
    losses, scores = ([value for _, value in found["history"][name]] for name in ("loss_ner", "ents_f"))
    assert losses == pytest.approx(log.losses["ner"].tolist())
    assert losses[0] > 0
    assert [100 * score for score in scores] == pytest.approx(log.scores["ents_f"].tolist())


def test_the_shown_loggers_exist():
    shown = read_shown()
    assert shown["@loggers"] == "spacy.ChainLogger.v1"
    for logger in (shown, *(each for each in shown.values() if isinstance(each, dict))):
        assert spacy.registry.has("loggers", logger["@loggers"])


def test_weights_and_biases_goes_by_a_logger_that_exists():
    [name] = re.findall(r"@loggers = \"(spacy\.WandbLogger\.v\d)\"", GUIDE)
    assert spacy.registry.has("loggers", name)
