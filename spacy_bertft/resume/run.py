"""Train as `spacy train` does, with snapshots to go on from."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

from spacy.schemas import ConfigSchemaTraining
from spacy.training.initialize import init_nlp
from spacy.training.loop import (
    DIR_MODEL_BEST,
    DIR_MODEL_LAST,
    create_before_to_disk_callback,
    create_evaluation_callback,
    create_train_batches,
    train_while_improving,
    update_meta,
)
from spacy.util import registry, resolve_dot_names
from thinc.api import Config, Optimizer, fix_random_seed
from wasabi import msg

from ..components.pipelines import copy_pipeline_dir
from ..errors import SettingError
from ..output import replace_folder_when_done
from .data_order import Batch, DataOrder
from .replay import Replay
from .snapshot import FOLDER, Progress, Snapshot, has_snapshot, list_versions, remove_snapshot, write_snapshot


def train(config: Config, output_dir: Path, *, gpu_id: int = -1, overwrite: bool = False) -> Path:
    """Train a pipeline.

    At each look at the development set `model-last` and, if it is the best so far, `model-best` are replaced, each in
    one step, and then `snapshot`, from which `resume` goes on. The snapshot is removed at the end.

    Args:
        config: A config of spaCy, not interpolated, as `spacy.util.load_config` reads it.
        output_dir: Folder of the results.
        gpu_id: Number of the GPU, -1 for the CPU; thinc must already use it.
        overwrite: Whether to begin anew where another training was stopped.

    Returns:
        The folder of the pipeline after the last step.

    Raises:
        SettingError: The training in this folder is unfinished.
    """
    if has_snapshot(output_dir / FOLDER):
        if not overwrite:
            expected = f"a folder without unfinished training; `spacy-bertft resume {output_dir}` ends it"
            raise SettingError("output", str(output_dir), f"{expected}, --overwrite drops it")
        remove_snapshot(output_dir / FOLDER)
    return _Run(config, output_dir, gpu_id, None).go()


def resume(output_dir: Path, *, gpu_id: int = -1) -> Path:
    """Go on with a training that was stopped, to the result that it would have had, bit for bit on the same machine.

    Args:
        output_dir: The folder that it was writing to.
        gpu_id: Number of the GPU, -1 for the CPU; thinc must already use it.

    Returns:
        The folder of the pipeline after the last step.

    Raises:
        CheckpointError: The folder has no snapshot, or it is damaged.
        DataError: The training data are not those of before.
    """
    snapshot = Snapshot(output_dir / FOLDER)
    changed = [
        f"{name} {old} then, {new} now"
        for name, new in list_versions().items()
        if (old := snapshot.progress.versions.get(name)) != new
    ]
    if changed:
        msg.warn(f"The result may differ from that of an unbroken training: {', '.join(changed)}.")
    return _Run(snapshot.config, output_dir, gpu_id, snapshot).go()


class _Run:
    """A training from its first step or from a snapshot on."""

    def __init__(self, config: Config, output_dir: Path, gpu_id: int, snapshot: Snapshot | None) -> None:
        self.config = config
        self.output_dir = output_dir
        self.nlp = init_nlp(config, use_gpu=gpu_id)
        settings = self.nlp.config.interpolate()
        if settings["training"]["seed"] is not None:
            fix_random_seed(settings["training"]["seed"])
        if snapshot is not None:
            snapshot.put_weights(self.nlp)
            _remove_log(settings)
        training: dict[str, Any] = registry.resolve(settings["training"], schema=ConfigSchemaTraining)
        self.training = training
        self.optimizer: Optimizer = training["optimizer"]
        corpora = resolve_dot_names(settings, [training["train_corpus"], training["dev_corpus"]])
        self.evaluate = create_evaluation_callback(self.nlp, corpora[1], training["score_weights"])
        self.before_to_disk = create_before_to_disk_callback(training["before_to_disk"])
        self.batches = DataOrder(
            create_train_batches(self.nlp, corpora[0], training["batcher"], training["max_epochs"]),
            snapshot.progress.data_start if snapshot else None,
        )
        self.replay = Replay(snapshot, self.nlp, self.optimizer, self.batches, training["accumulate_gradient"])

    def go(self) -> Path:
        """Train to the end."""
        last, frozen = self.output_dir / DIR_MODEL_LAST, self.training["frozen_components"]
        msg.info(f"Pipeline: {self.nlp.pipe_names}")
        with self.nlp.select_pipes(disable=frozen):
            log_step, finalize_log = self.training["logger"](self.nlp, sys.stdout, sys.stderr)
        try:
            for _, info, is_best in self._make_steps():
                if is_best is None:
                    if self.replay.is_over:
                        log_step(None)
                    continue
                info = self.replay.note(info)
                with self.nlp.select_pipes(disable=frozen):
                    update_meta(self.training, self.nlp, info)
                if self.replay.is_over:
                    self._save(is_best)
                    self._write_snapshot()
                log_step(info | {"output_path": str(last)})
            self.replay.end()
            self._save(is_best=False)
        except BaseException:
            if has_snapshot(self.output_dir / FOLDER):
                msg.warn(f"Training is not at its end. To go on: spacy-bertft resume {self.output_dir}")
            raise
        finally:
            finalize_log()
        remove_snapshot(self.output_dir / FOLDER)
        msg.good("Saved pipeline to output directory", last)
        return last

    def _make_steps(self) -> Iterator[tuple[Batch, dict[str, Any], bool | None]]:
        training = self.training
        steps: Iterator[tuple[Batch, dict[str, Any], bool | None]] = train_while_improving(
            self.nlp,
            self.optimizer,
            self.replay.draw(),
            partial(self.replay.evaluate, self.evaluate),
            dropout=training["dropout"],
            accumulate_gradient=training["accumulate_gradient"],
            patience=training["patience"],
            max_steps=training["max_steps"],
            eval_frequency=training["eval_frequency"],
            exclude=training["frozen_components"],
            annotating_components=training["annotating_components"],
            before_update=training["before_update"],
        )
        return steps

    def _save(self, is_best: bool) -> None:
        last = self.output_dir / DIR_MODEL_LAST
        with self.nlp.use_params(self.optimizer.averages), replace_folder_when_done(last) as new:
            self.before_to_disk(self.nlp).to_disk(new)
        if is_best:
            with replace_folder_when_done(self.output_dir / DIR_MODEL_BEST) as new:
                copy_pipeline_dir(last, new)

    def _write_snapshot(self) -> None:
        progress = Progress(self.batches.start, self.batches.fingerprint, self.replay.evaluations, list_versions())
        write_snapshot(self.output_dir / FOLDER, self.config, self.nlp, self.optimizer, progress)


def _remove_log(settings: Config) -> None:
    """Remove the log of the past, which is written again, since spaCy's loggers never go on with one."""
    path = settings["training"]["logger"].get("output_file")
    if path is not None:
        Path(path).unlink(missing_ok=True)
