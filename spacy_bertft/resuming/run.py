"""Training as by `spacy train`, with snapshots from which it can be resumed, and an evaluation of the last step."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from spacy.schemas import ConfigSchemaTraining
from spacy.training import loop
from spacy.training.initialize import init_nlp
from spacy.util import registry, resolve_dot_names, walk_dict
from thinc.api import Config, Optimizer, fix_random_seed
from wasabi import msg

from spacy_bertft.components.pipelines import copy_pipeline_dir
from spacy_bertft.components.training import TrainingConfigWarning, check_training, find_end, find_missing_scores
from spacy_bertft.errors import DataError, SettingError
from spacy_bertft.output import replace_folder_when_done
from spacy_bertft.resuming.replay import DataOrder, Replay
from spacy_bertft.resuming.snapshot import (
    FOLDER,
    Progress,
    Snapshot,
    has_snapshot,
    list_versions,
    remove_snapshot,
    write_snapshot,
)

# Settings of `[training]` that spaCy's loop takes under the same names.
_LOOP_SETTINGS = (
    *("dropout", "accumulate_gradient", "patience", "max_steps", "eval_frequency"),
    *("annotating_components", "before_update"),
)

LogStep = Callable[[dict[str, Any] | None], None]


def train(config: Config, output_dir: Path, *, gpu_id: int = -1, overwrite: bool = False) -> Path:
    """Train a pipeline.

    At each evaluation `model-last` and, if it is the best so far, `model-best` are replaced, each in one step, and then
    `snapshot`, which `resume` starts from. The snapshot is removed at the end. Unlike in `spacy train`, the last step
    is always evaluated.

    Args:
        config: A config of spaCy, not interpolated, as `spacy.util.load_config` reads it.
        output_dir: Directory of the results.
        gpu_id: Number of the GPU, -1 for the CPU; thinc must already use it.
        overwrite: Start again where other training was interrupted.

    Returns:
        The folder of the pipeline after the last step.

    Raises:
        SettingError: The training in this folder is unfinished; or a setting in `[training]` makes no sense, such as a
            weight of a score that no component gives.
        DataError: There is no batch to train on.
    """
    if not overwrite:
        check_finished(output_dir)
    elif has_snapshot(output_dir / FOLDER):
        remove_snapshot(output_dir / FOLDER)
    return _Run(config, output_dir, gpu_id, None).go()


def check_finished(output_dir: Path) -> None:
    """Raise where a directory has unfinished training, which would be lost.

    Raises:
        SettingError: It has.
    """
    if has_snapshot(output_dir / FOLDER):
        expected = f"a directory without unfinished training; `spacy-bertft resume {output_dir}` finishes it"
        raise SettingError("output", str(output_dir), f"{expected}, --overwrite drops it")


def resume(output_dir: Path, *, gpu_id: int = -1) -> Path:
    """Resume interrupted training, to the result that it would have had, bit for bit on the same machine.

    Args:
        output_dir: The folder that it was writing to.
        gpu_id: Number of the GPU, -1 for the CPU; thinc must already use it.

    Returns:
        The folder of the pipeline after the last step.

    Raises:
        CheckpointError: The folder has no snapshot, or it is damaged.
        DataError: The training data have changed.
    """
    snapshot = Snapshot(output_dir / FOLDER)
    changed = [
        f"{name} {old} then, {new} now"
        for name, new in list_versions().items()
        if (old := snapshot.progress.versions.get(name)) != new
    ]
    if changed:
        msg.warn(f"The result may differ from that of uninterrupted training: {', '.join(changed)}.")
    return _Run(snapshot.config, output_dir, gpu_id, snapshot).go()


class _Run:
    """Training, from its first step or from a snapshot."""

    def __init__(self, config: Config, output_dir: Path, gpu_id: int, snapshot: Snapshot | None) -> None:
        self.config = config
        self.output_dir = output_dir
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", TrainingConfigWarning)  # is for spaCy's loop; this one is checked below
            self.nlp = init_nlp(config, use_gpu=gpu_id)
        check_training(self.nlp)
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
        self.evaluate = loop.create_evaluation_callback(self.nlp, corpora[1], training["score_weights"])
        self.before_to_disk = loop.create_before_to_disk_callback(training["before_to_disk"])
        self.batches = DataOrder(
            loop.create_train_batches(self.nlp, corpora[0], training["batcher"], training["max_epochs"]),
            snapshot.progress.data_start if snapshot else None,
        )
        self.replay = Replay(snapshot, self.nlp, self.optimizer, self.batches, training["accumulate_gradient"])

    def go(self) -> Path:
        """Train to the end."""
        last = self.output_dir / loop.DIR_MODEL_LAST
        msg.info(f"Pipeline: {self.nlp.pipe_names}")
        self._warn_of_settings()
        with self.nlp.select_pipes(disable=self.training["frozen_components"]):
            log_step, finalize_log = self.training["logger"](self.nlp, sys.stdout, sys.stderr)
        try:
            results = self._learn(log_step)
        except BaseException:
            if has_snapshot(self.output_dir / FOLDER):
                msg.warn(f"Training is not finished. To resume it: spacy-bertft resume {self.output_dir}")
            raise
        finally:
            finalize_log()
        remove_snapshot(self.output_dir / FOLDER)
        self._warn_of_step_0(results)
        msg.good("Saved pipeline to output directory", last)
        return last

    def _learn(self, log_step: LogStep) -> list[tuple[float, int]]:
        """Make all steps, and return the score and the number of each that was evaluated; the last one always is."""
        is_best, info = None, None
        settings = {name: self.training[name] for name in _LOOP_SETTINGS}
        evaluate, frozen = partial(self.replay.evaluate, self.evaluate), self.training["frozen_components"]
        steps = loop.train_while_improving(
            self.nlp, self.optimizer, self.replay.draw(), evaluate, exclude=frozen, **settings
        )
        for _, info, is_best in steps:
            if is_best is not None:
                self._keep(info, is_best, log_step)
            elif self.replay.is_over:
                log_step(None)
        self.replay.end()
        if info is None:
            raise DataError("The batcher returned no batch. Expected training data that fit its size.")
        results: list[tuple[float, int]] = info["checkpoints"]
        if is_best is not None:
            self._save(is_best=False)
            return results
        with self.nlp.use_params(self.optimizer.averages):
            score, other_scores = self.evaluate()
        results = [*results, (score, info["step"])]
        # Among equal scores the last one is the best, as in spaCy's loop.
        is_best = score == max(results)[0]
        self._keep(info | {"score": score, "other_scores": other_scores}, is_best, log_step, has_snapshot=False)
        return results

    def _keep(self, info: dict[str, Any], is_best: bool, log_step: LogStep, *, has_snapshot: bool = True) -> None:
        """Save what was evaluated, unless that was done before the interruption."""
        info = self.replay.note(info)
        with self.nlp.select_pipes(disable=self.training["frozen_components"]):
            loop.update_meta(self.training, self.nlp, info)
        if self.replay.is_over:
            self._save(is_best)
            if has_snapshot:
                done, batches = self.replay.evaluations, self.batches
                progress = Progress(batches.start, batches.fingerprint, done, list_versions())
                write_snapshot(self.output_dir / FOLDER, self.config, self.nlp, self.optimizer, progress)
        log_step(info | {"output_path": str(self.output_dir / loop.DIR_MODEL_LAST)})

    def _warn_of_settings(self) -> None:
        """Warn of settings that are allowed but hardly intended."""
        if missing := find_missing_scores(self.nlp, self.training["score_weights"]):
            msg.warn(f"No component of this pipeline gives {', '.join(missing)}: the weight is ignored.")
        end = find_end(self.training)
        if end is not None and end.setting == "patience" and end.step < self.training["eval_frequency"]:
            eval_frequency = self.training["eval_frequency"]
            msg.warn(
                f"training.patience = {end.step} stops training at step {end.step} at the latest, before a second "
                f"evaluation (eval_frequency = {eval_frequency}). Raise patience; 0 never stops training early."
            )

    def _warn_of_step_0(self, results: list[tuple[float, int]]) -> None:
        score, best_step = max(results)
        if best_step == 0 < results[-1][1]:
            msg.warn(
                f"The best score, {score:.4f}, is that of step 0: {loop.DIR_MODEL_BEST} has hardly been trained. "
                f"{loop.DIR_MODEL_LAST}, the last pipeline, has {results[-1][0]:.4f}."
            )

    def _save(self, is_best: bool) -> None:
        last = self.output_dir / loop.DIR_MODEL_LAST
        with self.nlp.use_params(self.optimizer.averages), replace_folder_when_done(last) as new:
            self.before_to_disk(self.nlp).to_disk(new)
        if is_best:
            with replace_folder_when_done(self.output_dir / loop.DIR_MODEL_BEST) as new:
                copy_pipeline_dir(last, new)


def _remove_log(settings: Config) -> None:
    """Remove the log, which is written again from the start: spaCy's loggers never append."""
    for keys, path in walk_dict(settings["training"]["logger"]):  # a logger of several has sections
        if keys[-1] == "output_file" and path is not None:
            Path(path).unlink(missing_ok=True)
