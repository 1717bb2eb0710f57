"""Small trainings that are stopped and resumed."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import spacy
import srsly
from small_checkpoints import make_checkpoint
from thinc.api import Config

from spacy_bertft.data import convert

ROOT = Path(__file__).parent.parent
N_STEPS, EVERY = 30, 10
SMALL = {
    "training.optimizer.learn_rate.total_steps": N_STEPS,
    "training.eval_frequency": EVERY,
    "training.optimizer.learn_rate.warmup_steps": 3,
    "training.optimizer.learn_rate.initial_rate": 0.005,
    "components.ner.model.head_lr_scale": 1.0,
}


def make_data(folder: Path) -> Path:
    """Make a small encoder and a converted part of our corpus."""
    make_checkpoint(folder / "encoder", max_position_embeddings=128)
    lines = (ROOT / "assets" / "movie" / "train.bio").read_text(encoding="utf-8").split("\n\n")
    (folder / "train.bio").write_text("\n\n".join(lines[:60]), encoding="utf-8")
    convert(folder / "train.bio", folder / "train.spacy", dev=0.3, dev_path=folder / "dev.spacy")
    return folder


def make_config(folder: Path, changes: Mapping[str, Any]) -> Config:
    """Make a config for the data in a folder, with sections or settings of configs/ner.cfg changed."""
    paths = {
        "paths.train": str(folder / "train.spacy"),
        "paths.dev": str(folder / "dev.spacy"),
        "paths.encoder": str(folder / "encoder"),
    }
    config = spacy.util.load_config(ROOT / "configs" / "ner.cfg", overrides=paths | SMALL, interpolate=False)
    for name, value in changes.items():
        *parents, last = name.split(".")
        section = config
        for parent in parents:
            section = section[parent]
        section[last] = value
    return Config().from_str(config.to_str(interpolate=False), interpolate=False)


def read_folder(folder: Path) -> dict[str, object]:
    """Read all files; of JSON only the meaning, since the order of scores by label is that of a set."""
    paths = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    return {
        str(path.relative_to(folder)): srsly.read_json(path) if path.suffix == ".json" else path.read_bytes()
        for path in paths
    }


def check_same(left: Path, right: Path) -> None:
    """Check that two finished trainings left the same pipelines."""
    for name in ("model-best", "model-last"):
        old, new = read_folder(left / name), read_folder(right / name)
        assert old.keys() == new.keys()
        assert [key for key in old if old[key] != new[key]] == []
    assert not (right / "snapshot").exists()
