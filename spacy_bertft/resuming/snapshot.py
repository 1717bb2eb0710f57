"""A training run on disk: everything that its next step depends on."""

from __future__ import annotations

import json
import shutil
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from spacy.language import Language
from thinc.api import Config, Optimizer

from spacy_bertft.checkpoints.weights import read_weight_file, write_weight_file
from spacy_bertft.errors import CheckpointError, wrap_errors
from spacy_bertft.models.encoder.trainable import keep_adapters
from spacy_bertft.models.heads.head import find_own_encoder
from spacy_bertft.output import replace_folder_when_done
from spacy_bertft.resuming.optimizer_state import put_optimizer, read_optimizer
from spacy_bertft.training import randomness

FORMAT = 1
FOLDER = "snapshot"
_PIPELINE, _PROGRESS = "pipeline", "progress.json"
_OPTIMIZER, _RANDOM = "optimizer.safetensors", "torch_random.safetensors"


@dataclass(frozen=True)
class Evaluation:
    """The result of an evaluation, and what spaCy's log says next to it.

    Args:
        step: After which step, from 0.
        score: The score by which the best pipeline is chosen.
        other_scores: All scores.
        losses: Of each component since the last evaluation.
        words: How many words the training had seen.
        seconds: How long it had lasted.
    """

    step: int
    score: float
    other_scores: dict[str, Any]
    losses: dict[str, float]
    words: int
    seconds: int


@dataclass(frozen=True)
class Progress:
    """The progress of a run.

    Args:
        data_start: Where the random numbers of the order of the data started.
        fingerprint: Of all words that it has seen.
        evaluations: All evaluations, the last one just before the snapshot.
        versions: What `list_versions` gave.
    """

    data_start: randomness.RandomState
    fingerprint: int
    evaluations: list[Evaluation]
    versions: dict[str, str]

    @property
    def step(self) -> int:
        """The last step, from 0."""
        return self.evaluations[-1].step


def write_snapshot(folder: Path, config: Config, nlp: Language, optimizer: Optimizer, progress: Progress) -> None:
    """Replace the snapshot; at any moment either the old or the new one is complete.

    Args:
        folder: Where it is to stand.
        config: The config of the training, as it was given.
        nlp: The pipeline, with the weights that learn next, not their averages.
        optimizer: Its optimizer.
        progress: How far the training has come.
    """
    with replace_folder_when_done(folder) as new:
        encoders = [find_own_encoder(getattr(pipe, "model", None)) for _, pipe in nlp.pipeline]
        with keep_adapters(encoder.shim for encoder in encoders if encoder):
            nlp.to_disk(new / _PIPELINE)
        write_weight_file(new / _OPTIMIZER, read_optimizer(optimizer, nlp))
        write_weight_file(new / _RANDOM, randomness.get_torch_states())
        content = {
            "format": FORMAT,
            "config": config.to_str(interpolate=False),
            "random": randomness.get_random_state(),
            "progress": asdict(progress),
        }
        # Python's own: srsly rounds, and a score that is not the same to the bit may not be the best any more. Scores
        # may be numbers of NumPy.
        text = json.dumps(content, default=lambda number: number.item())
        (new / _PROGRESS).write_text(text, encoding="utf-8")


def has_snapshot(folder: Path) -> bool:
    """Tell whether a directory holds a snapshot."""
    return (folder / _PROGRESS).is_file()


def remove_snapshot(folder: Path) -> None:
    """Remove a snapshot; one that was removed in part does not count as one."""
    (folder / _PROGRESS).unlink(missing_ok=True)
    shutil.rmtree(folder, ignore_errors=True)


class Snapshot:
    """A snapshot that was written.

    Args:
        folder: Its directory.

    Attributes:
        config: The config of the training, as it was given.
        progress: How far the training had come.

    Raises:
        CheckpointError: There is none, or it cannot be read.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        if not has_snapshot(folder):
            raise CheckpointError(
                f"{folder.parent} holds no unfinished training. Expected a folder that `spacy-bertft train` was "
                "writing to when it was interrupted, after its first evaluation."
            )
        with wrap_errors(f"{folder} is damaged", "Start the training again."):
            content = json.loads((folder / _PROGRESS).read_text(encoding="utf-8"))
            if content["format"] > FORMAT:
                raise CheckpointError(
                    f"{folder} was written by a newer version of spacy-bertft (format {content['format']}, known here: "
                    f"up to {FORMAT}). Install that version, or start the training again."
                )
            self._random = content["random"]
            stored = content["progress"]
            evaluations = [Evaluation(**each) for each in stored.pop("evaluations")]
            self.progress = Progress(evaluations=evaluations, **stored)
            self.config = Config().from_str(content["config"], interpolate=False)

    def put_weights(self, nlp: Language) -> None:
        """Give a pipeline the weights that it had."""
        nlp.from_disk(self._folder / _PIPELINE)

    def put_state(self, nlp: Language, optimizer: Optimizer) -> None:
        """Give the optimizer its moments, and the generators their places in the order of random numbers."""
        put_optimizer(optimizer, nlp, read_weight_file(self._folder / _OPTIMIZER))
        randomness.set_torch_states(read_weight_file(self._folder / _RANDOM))
        randomness.set_random_state(self._random)


def list_versions() -> dict[str, str]:
    """List what may change how numbers are rounded."""
    return {
        **{name: version(name) for name in ("spacy", "thinc", "torch", "transformers")},
        "threads": str(torch.get_num_threads()),
    }
