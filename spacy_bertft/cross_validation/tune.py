"""A config and a range for some of its settings → the settings that are best in cross-validation."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import srsly
from numpy.typing import NDArray
from spacy.util import copy_config, dict_to_dot, set_dot_to_object
from thinc.api import Config
from tqdm import trange

from spacy_bertft.cross_validation.crossval import check_same, crossval, read_training_data
from spacy_bertft.errors import DataError, MissingExtraError, SettingError, check_setting, format_count
from spacy_bertft.evaluation.tables import Rows
from spacy_bertft.output import replace_when_done
from spacy_bertft.pictures.colors import COLORS
from spacy_bertft.pictures.plot import make_figure, render, style_axes

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# From the lowest to the highest value, or those of a list; only settings that the config has are varied.
Range = tuple[float, float] | list[Any]
SPACE: Mapping[str, Range] = {
    "training.optimizer.learn_rate.initial_rate": (3e-5, 5e-4),
    "training.optimizer.learn_rate.total_steps": [500, 1000, 2000],
    "training.optimizer.weight_decay": [0.0, 0.01, 0.1],
    "training.dropout": (0.0, 0.3),
    "training.batcher.size": [256, 512, 1024],
}
_SHOWN = 10  # trials in the table
TRIALS = "trials.jsonl"


@dataclass(frozen=True, eq=False)
class Trial:
    """Settings, and what cross-validation gave.

    Attributes:
        number: Number of the trial; 0 is the config as it was.
        settings: What was set, by name.
        scores: `(K,)` the score of each fold, in percent.
    """

    number: int
    settings: Mapping[str, Any]
    scores: NDArray[np.float64]

    @property
    def mean(self) -> float:
        """The mean over the folds, in percent."""
        return float(self.scores.mean())


@dataclass(frozen=True)
class TuneReport:
    """Figures of a search.

    Attributes:
        path: The directory of the results.
        trials: All trials, best first.
    """

    path: Path
    trials: tuple[Trial, ...]

    def format_rows(self) -> Rows:
        """Lay out the best trials."""
        names = list(self.trials[0].settings)
        rows = [
            (str(each.number), f"{each.mean:.2f}", *(str(each.settings[name]) for name in names))
            for each in self.trials[:_SHOWN]
        ]
        return [("trial", "score, %", *(".".join(name.split(".")[-2:]) for name in names)), *rows]

    def format_notes(self) -> str:
        """Say how much better the best trial is than the config as it was, in the same folds."""
        best, base = self.trials[0], next(each for each in self.trials if each.number == 0)
        differences = best.scores - base.scores
        error = differences.std(ddof=1) / math.sqrt(len(differences))
        return (
            f"{format_count(len(self.trials), 'trial')} of {len(best.scores)} folds. The best one has {best.mean:.2f}, "
            f"the config as it was {base.mean:.2f}: {differences.mean():+.2f} ± {error:.2f} (standard error over the "
            "folds; the best of many is also the luckiest, so expect less on new data). Its config: "
            f"{self.path / 'best.cfg'}."
        )


def tune(
    config: Config,
    output_dir: Path,
    *,
    space: Mapping[str, Range] | None = None,
    n_trials: int = 20,
    n_folds: int = 3,
    seed: int = 0,
    gpu_id: int = -1,
) -> TuneReport:
    """Search for settings by cross-validation, with the tree-structured Parzen estimator of Optuna.

    The config as it is comes first. What is finished is kept: after an interruption, or with more trials, the same call
    continues. Test data are not needed; the development data of the config are not looked at.

    Args:
        config: A config of spaCy, not interpolated.
        output_dir: Directory of the results: `trials.jsonl`, `best.cfg` and `trials.svg`.
        space: By name of the setting, the lowest and highest value, or a list of values; by default `SPACE`.
        n_trials: How many settings to try.
        n_folds: Folds of each cross-validation.
        seed: Of the folds, and of the search.
        gpu_id: Number of the GPU, -1 for the CPU; thinc must already use it.

    Raises:
        MissingExtraError: Optuna or matplotlib is not installed.
        SettingError: The config has none of the settings.
        DataError: There are fewer documents than folds, or other results are in the directory.

    Source: Bergstra et al. (2011); Akiba et al. (2019), Optuna.
    """
    if not (find_spec("optuna") and find_spec("matplotlib")):
        raise MissingExtraError("tune", "tune")
    check_setting("n_trials", n_trials, n_trials >= 1, "at least 1")
    settings = config.interpolate()
    flat = dict_to_dot(settings)
    ranges = {name: values for name, values in (space or SPACE).items() if space or name in flat}
    if not ranges or any(name not in flat for name in ranges):
        raise SettingError("space", ", ".join(ranges), "names of settings that the config has")
    distributions = {name: _make_distribution(each, flat[name]) for name, each in ranges.items()}
    data = read_training_data(settings)[-1]
    check_same(output_dir, config=config.to_str(), n_folds=n_folds, seed=seed, data=data, settings=list(ranges))
    trials = _read_trials(output_dir / TRIALS)
    for number in trange(len(trials), n_trials, desc="Tuning", unit=" trials", disable=None):
        chosen = {name: flat[name] for name in ranges} if number == 0 else suggest(trials, distributions, seed)
        folder = output_dir / f"trial-{number}"
        report = crossval(_change(config, chosen), folder, n_folds=n_folds, seed=seed, gpu_id=gpu_id)
        trials.append(Trial(number, chosen, report.scores[:, 0]))
        _write(output_dir, trials, config)
        shutil.rmtree(folder)  # its pipelines would fill the disk
    return TuneReport(output_dir, tuple(sorted(trials, key=lambda each: -each.mean)))


def read_space(path: Path) -> dict[str, Range]:
    """Read which settings to vary, from a JSON file.

    Raises:
        DataError: It is no such file.
    """
    try:
        space = srsly.read_json(path)
        return {name: each["values"] if isinstance(each, dict) else (each[0], each[1]) for name, each in space.items()}
    except (OSError, ValueError, AttributeError, LookupError, TypeError) as error:
        expected = '{"training.dropout": [0.0, 0.3], "training.batcher.size": {"values": [256, 512]}}'
        raise DataError(f"{path} cannot be read: {error}. Expected JSON such as {expected}.") from error


def suggest(trials: Sequence[Trial], distributions: Mapping[str, Any], seed: int) -> dict[str, Any]:
    """Suggest settings by what earlier trials gave; the same after an interruption."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(direction="maximize", sampler=optuna.samplers.TPESampler(seed=seed + len(trials)))
    for each in trials:
        with suppress(ValueError):  # the config as it was may lie outside
            values: dict[str, Any] = {
                "params": dict(each.settings),
                "distributions": dict(distributions),
                "value": each.mean,
            }
            study.add_trial(optuna.trial.create_trial(**values))
    found = study.ask(dict(distributions)).params
    return {name: float(f"{each:.4g}") if isinstance(each, float) else each for name, each in found.items()}


def draw_trials(trials: Sequence[Trial]) -> Figure:
    """Draw the score of each trial, and the best so far."""
    figure = make_figure(6, 3)
    axes = figure.subplots()
    means = [each.mean for each in trials]
    axes.step(range(len(means)), np.maximum.accumulate(means), where="post", color=COLORS["mark"], label="best so far")
    axes.plot(range(len(means)), means, "o", color=COLORS["bar"], label="trial")
    axes.axhline(means[0], color=COLORS["muted"], linestyle=":", label="the config as it was")
    axes.legend(frameon=False, labelcolor=COLORS["ink"])
    style_axes(axes, "Mean score over the folds, %")
    return figure


def _make_distribution(values: Range, present: Any) -> Any:
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    if isinstance(values, list):
        return CategoricalDistribution(values)
    low, high = values
    are_whole = all(isinstance(each, int) for each in (low, high, present))  # such as the size of a batch
    make: Any = IntDistribution if are_whole else FloatDistribution
    return make(low, high, log=low > 0 and high / low >= 10)


def _change(config: Config, settings: Mapping[str, Any]) -> Config:
    config = copy_config(config)
    for name, value in settings.items():
        set_dot_to_object(config, name, value)
    return config


def _read_trials(path: Path) -> list[Trial]:
    """Read the trials of an earlier call."""
    # Not by srsly, which reads some numbers as the ones next to them.
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()] if path.exists() else []
    return [Trial(row["number"], row["settings"], np.array(row["scores"])) for row in rows]


def _write(output_dir: Path, trials: Sequence[Trial], config: Config) -> None:
    rows = [{"number": t.number, "settings": t.settings, "scores": t.scores.tolist()} for t in trials]
    with replace_when_done(output_dir / TRIALS) as path:
        srsly.write_jsonl(path, rows)
    with replace_when_done(output_dir / "best.cfg") as path:
        _change(config, max(trials, key=lambda each: each.mean).settings).to_disk(path, interpolate=False)
    with replace_when_done(output_dir / "trials.svg") as path:
        path.write_bytes(render(partial(draw_trials, trials), "svg"))
