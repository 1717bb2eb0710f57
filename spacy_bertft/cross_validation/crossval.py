"""A config → a pipeline for each fold, what each predicts of the documents that it did not see, and how well."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import spacy
import srsly
from numpy.typing import NDArray
from spacy.language import Language
from spacy.tokens import Doc, DocBin
from spacy.training import Example
from spacy.util import copy_config, dot_to_object, load_model_from_config
from thinc.api import Config
from wasabi import msg

from spacy_bertft.components.calibration import calibrate, find_calibrated
from spacy_bertft.components.component import BertComponent
from spacy_bertft.components.pipelines import read_corpus
from spacy_bertft.components.token_component import TokenComponent
from spacy_bertft.cross_validation.folds import hold_out, train_on_all
from spacy_bertft.distillation.teachers import TagTargets, copy_words, hash_words, score_tags
from spacy_bertft.errors import DataError, check_setting, format_count
from spacy_bertft.evaluation.tables import Rows
from spacy_bertft.evaluation.training_log import LOG_NAME, TrainingLog, read_training_log
from spacy_bertft.output import replace_folder_when_done, replace_when_done
from spacy_bertft.resuming import resume, train
from spacy_bertft.resuming.snapshot import FOLDER, has_snapshot
from spacy_bertft.training.folds import FINGERPRINT, GOLD, assign_folds

PREDICTED, TEMPERATURES, FINAL = "predicted.spacy", "temperatures.json", "final"
Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class CrossvalReport:
    """Figures of a cross-validation.

    Attributes:
        path: The directory of the results.
        names: `score`, by which pipelines are chosen, and the scores that it is made of.
        scores: `(K, N)` each of them, in percent, of the last step in each fold.
        steps: `(E,)` the steps that were evaluated.
        curve: `(E,)` the mean of `score` over the folds, in percent.
        n_docs: Documents.
        final_path: The pipeline that was trained on all data; None if there is none.
    """

    path: Path
    names: tuple[str, ...]
    scores: Floats
    steps: NDArray[np.intp]
    curve: Floats
    n_docs: int
    final_path: Path | None = None

    @property
    def best_step(self) -> int:
        """After how many steps the mean of `score` was best, the first of several; never 0, which is no training."""
        return int(self.steps[1:][np.argmax(self.curve[1:])])

    def format_rows(self) -> Rows:
        """Lay out each score: its mean, its standard deviation, and the folds."""
        rows = [("%", "mean", "deviation", *(f"fold {number}" for number in range(1, len(self.scores) + 1)))]
        for name, values in zip(self.names, self.scores.T, strict=True):
            rows.append((name, *(f"{value:.2f}" for value in (values.mean(), values.std(ddof=1), *values))))
        return rows

    def format_notes(self) -> str:
        """Say which step was best, and where everything is."""
        final = f" Trained on all data for as many: {self.final_path}." if self.final_path else ""
        return (
            f"{format_count(self.n_docs, 'document')} in {len(self.scores)} folds, each predicted by the pipeline that "
            f"did not see it: {self.path / PREDICTED}. The mean score is best after {self.best_step:,} of "
            f"{int(self.steps[-1]):,} steps ({self.curve[1:].max():.2f}).{final}"
        )


def crossval(
    config: Config, output_dir: Path, *, n_folds: int = 5, seed: int = 0, final: bool = False, gpu_id: int = -1
) -> CrossvalReport:
    """Cross-validate.

    What is finished is kept: after an interruption, the same call continues.

    Args:
        config: A config of spaCy, not interpolated. Its development data are not looked at.
        output_dir: Directory of the results: a folder for each fold, `gold.spacy`, `predicted.spacy`, and for each
            component that tags tokens an `.npz` file with the logarithm of the probability of every tag.
        n_folds: Into how many parts the training data are divided.
        seed: Another one divides them in another way.
        final: Whether to train on training and development data in the end, for the number of steps that was best.
        gpu_id: Number of the GPU, -1 for the CPU; thinc must already use it.

    Raises:
        SettingError: There are fewer than two folds, or the training corpus has an augmenter.
        DataError: There are fewer different documents than folds, or the directory has results of another config or
            other data.
    """
    check_setting("n_folds", n_folds, n_folds >= 2, "at least 2")
    settings = config.interpolate()
    nlp, examples, data = read_training_data(settings)
    # Better a missing file now than after all folds.
    dev = hash_annotation(read_corpus(settings, nlp, "dev_corpus")) if final else ""
    folds = assign_folds([example.reference.text for example in examples], n_folds, seed)
    check_same(output_dir, config=config.to_str(), n_folds=n_folds, seed=seed, data=data)
    if final:
        check_same(output_dir / FINAL, development_data=dev)
    with_labels = give_labels(config, nlp, examples)
    folders = [output_dir / f"fold-{number}" for number in range(1, n_folds + 1)]
    for fold, folder in enumerate(folders):
        if not (folder / PREDICTED).is_dir():
            msg.divider(f"Fold {fold + 1} of {n_folds}")
            train_or_resume(hold_out(with_labels, fold, n_folds, seed), folder, gpu_id)
            held_out = [example for example, its in zip(examples, folds.tolist(), strict=True) if its == fold]
            predict_fold(spacy.load(folder / "model-last"), held_out, folder / PREDICTED)
    _gather(output_dir, examples, folds, folders)
    logs = [read_training_log(folder / LOG_NAME) for folder in folders]
    weights: Mapping[str, float | None] = settings["training"]["score_weights"]
    report = _make_report(output_dir, logs, [name for name, weight in weights.items() if weight], len(examples))
    if not final:
        return report
    if not (output_dir / FINAL / TEMPERATURES).exists():
        msg.divider("All data")
        last = train_or_resume(train_on_all(config, report.best_step), output_dir / FINAL, gpu_id)
        temperatures = _set_temperatures(last, [srsly.read_json(each / PREDICTED / TEMPERATURES) for each in folders])
        srsly.write_json(output_dir / FINAL / TEMPERATURES, temperatures)
    return replace(report, final_path=output_dir / FINAL / "model-last")


def read_training_data(settings: Config) -> tuple[Language, list[Example], str]:
    """Read the pipeline of an interpolated config, not trained, its training data, and a hash of their annotation.

    Raises:
        SettingError: The corpus has an augmenter, with which it is another one each time that it is read.
    """
    name = settings["training"]["train_corpus"]
    augmenter = dot_to_object(settings, name).get("augmenter")
    expected = "none, since the same text could be in two folds; [training.batcher.augmenter] changes training alone"
    check_setting(f"{name}.augmenter", augmenter, augmenter is None, expected)
    nlp = load_model_from_config(settings, auto_fill=True)
    examples = read_corpus(settings, nlp, "train_corpus")
    return nlp, examples, hash_annotation(examples)


def hash_annotation(examples: Sequence[Example]) -> str:
    """Compute a hash of gold annotation."""
    return sha256(DocBin(docs=[example.reference for example in examples]).to_bytes()).hexdigest()


def check_same(output_dir: Path, **told: Any) -> None:
    """Raise where a directory has results of something else, or note what its results are of.

    Args:
        output_dir: The directory.
        **told: What decides on the results.

    Raises:
        DataError: It has.
    """
    path = output_dir / FINGERPRINT
    if path.exists() and (other := srsly.read_json(path)) != told:
        changed = ", ".join(key for key in told if told[key] != other.get(key))
        raise DataError(f"{output_dir} has results of something else: {changed} differ. Expected a new directory.")
    output_dir.mkdir(parents=True, exist_ok=True)
    srsly.write_json(path, told)


def give_labels(config: Config, nlp: Language, examples: Sequence[Example]) -> Config:
    """Make a config that names all labels, so that each fold has the same ones, also where it lacks a rare one."""
    config = copy_config(config)
    sections: dict[str, Any] = config["initialize"].setdefault("components", {})
    frozen = config.interpolate()["training"]["frozen_components"]
    for name, pipe in nlp.pipeline:
        if name in frozen:
            continue  # which may read other categories than those of the corpus
        if isinstance(pipe, BertComponent) and pipe.has_labels and "labels" not in sections.get(name, {}):
            sections.setdefault(name, {})["labels"] = pipe.find_labels(examples)
    return config


def train_or_resume(config: Config, folder: Path, gpu_id: int) -> Path:
    """Train, or finish what was interrupted, and keep a log."""
    if has_snapshot(folder / FOLDER):
        return resume(folder, gpu_id=gpu_id)
    config = copy_config(config)
    folder.mkdir(parents=True, exist_ok=True)
    config["training"]["logger"] = {
        "@loggers": "spacy.ConsoleLogger.v3",
        "progress_bar": "train",
        "console_output": True,
        "output_file": str(folder / LOG_NAME),
    }
    return train(config, folder, gpu_id=gpu_id)


def predict_fold(nlp: Language, examples: Sequence[Example], folder: Path) -> None:
    """Write what a pipeline predicts of documents that it did not see, and the temperatures that suit it."""
    docs = [copy_words(nlp.vocab, example.predicted) for example in examples]
    taggers = {name: pipe for name, pipe in nlp.pipeline if isinstance(pipe, TokenComponent)}
    targets = {name: score_tags(nlp, pipe, docs).normalize() for name, pipe in taggers.items()}
    predicted = list(nlp.pipe(docs))
    calibrate(nlp, examples, nlp.config.interpolate()["training"]["frozen_components"])
    with replace_folder_when_done(folder) as new:
        DocBin(docs=predicted, store_user_data=True).to_disk(new / PREDICTED)
        for name, each in targets.items():
            each.write(new / f"{name}.npz")
        srsly.write_json(new / TEMPERATURES, {name: p.cfg["temperature"] for name, p in find_calibrated(nlp).items()})


def _gather(output_dir: Path, examples: list[Example], folds: NDArray[np.intp], folders: list[Path]) -> None:
    """Put what was predicted in each fold into the order of the documents."""
    order = np.argsort(np.argsort(folds, kind="stable"))  # of each document, its place in the folds one after the other
    vocab = examples[0].reference.vocab
    docs: list[Doc] = []
    for folder in folders:
        docs += DocBin(store_user_data=True).from_disk(folder / PREDICTED / PREDICTED).get_docs(vocab)
    for name, each in ((GOLD, [example.reference for example in examples]), (PREDICTED, [docs[i] for i in order])):
        with replace_when_done(output_dir / name) as path:
            DocBin(docs=each, store_user_data=name == PREDICTED).to_disk(path)
    for path in folders[0].glob(f"{PREDICTED}/*.npz"):
        parts = [TagTargets.read(folder / PREDICTED / path.name) for folder in folders]
        rows = [scores for part in parts for scores in part.split()]
        scores, ordered = np.concatenate([rows[i] for i in order]), [docs[i] for i in order]
        n_tokens = np.array([len(doc) for doc in ordered])
        replace(parts[0], scores=scores, n_tokens=n_tokens, words=hash_words(ordered)).write(output_dir / path.name)


def _make_report(path: Path, logs: list[TrainingLog], names: list[str], n_docs: int) -> CrossvalReport:
    columns = [[log.total[-1], *(log.scores.get(name, log.total * np.nan)[-1] for name in names)] for log in logs]
    n_evaluated = min(len(log.steps) for log in logs)  # where epochs end training, folds differ
    steps = logs[0].steps[:n_evaluated].astype(np.intp)
    curve = np.mean([log.total[:n_evaluated] for log in logs], axis=0)
    return CrossvalReport(path, ("score", *names), np.array(columns), steps, curve, n_docs)


def _set_temperatures(path: Path, temperatures: list[dict[str, float]]) -> dict[str, float]:
    """Give a pipeline without data of its own the geometric mean of the temperatures of the folds."""
    nlp = spacy.load(path)
    means = {name: float(np.exp(np.mean([np.log(each[name]) for each in temperatures]))) for name in temperatures[0]}
    for name, pipe in find_calibrated(nlp).items():
        pipe.cfg["temperature"] = means[name]
    with replace_folder_when_done(path) as new:
        nlp.to_disk(new)
    return means
