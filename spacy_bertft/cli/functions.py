"""The functions of commands that do more than one function of the package: they read a config, or a tokenizer."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from thinc.api import Config

    from spacy_bertft.cross_validation import CrossvalReport
    from spacy_bertft.cross_validation.tune import TuneReport
    from spacy_bertft.data.stats import CorpusStats, StatsKind


def train(
    config_path: Path,
    *,
    output: Path,
    code: Path | None = None,
    overwrite: bool = False,
    all_data: bool = False,
    gpu_id: int = -1,
    overrides: Sequence[str] = (),
) -> None:
    """Train as `spacy train` does, so that interrupted training can be resumed.

    Settings are overridden as there: --training.max_steps 2000.

    Args:
        config_path: A config of spaCy.
        output: Directory of the results.
        code: A Python file with registered functions, imported first.
        overwrite: Start again where other training was interrupted.
        all_data: Train on the development data too, to the last step: model-last is then what counts.
        gpu_id: Number of the GPU, -1 for the CPU.
        overrides: Names of settings and their values.
    """
    from spacy_bertft.resuming import run

    with _read_config(config_path, code, gpu_id, overrides) as config:
        if all_data:
            from spacy_bertft.cross_validation.folds import train_on_all

            config = train_on_all(config)
        run.train(config, output, gpu_id=gpu_id, overwrite=overwrite)


def crossval(
    config_path: Path,
    *,
    output: Path,
    code: Path | None = None,
    folds: int = 5,
    seed: int = 0,
    final: bool = False,
    gpu_id: int = -1,
    overrides: Sequence[str] = (),
) -> CrossvalReport:
    """Cross-validate a config: train a pipeline for each fold of the training data and let it predict that fold.

    Settings are overridden as for train. After an interruption, the same command continues.

    Args:
        config_path: A config of spaCy.
        output: Directory of the results: the pipelines, and the predictions for all documents.
        code: A Python file with registered functions, imported first.
        folds: Into how many parts the training data are divided.
        seed: Another one divides them in another way.
        final: In the end, train on training and development data, for the number of steps that was best.
        gpu_id: Number of the GPU, -1 for the CPU.
        overrides: Names of settings and their values.
    """
    from spacy_bertft.cross_validation import crossval

    with _read_config(config_path, code, gpu_id, overrides) as config:
        return crossval(config, output, n_folds=folds, seed=seed, final=final, gpu_id=gpu_id)


def tune(
    config_path: Path,
    *,
    output: Path,
    space: Path | None = None,
    trials: int = 20,
    folds: int = 3,
    seed: int = 0,
    code: Path | None = None,
    gpu_id: int = -1,
    overrides: Sequence[str] = (),
) -> TuneReport:
    """Search for better settings by cross-validation (Optuna), and write the best config.

    Settings are overridden as for train. After an interruption, or with more trials, the same command continues.

    Args:
        config_path: A config of spaCy, which is tried first.
        output: Directory of the results: best.cfg, trials.jsonl, trials.svg.
        space: A JSON file with the lowest and highest value of each setting, or {"values": [...]}; by default the
            learning rate, the steps, weight decay, dropout and the size of batches.
        trials: How many settings to try.
        folds: Folds of each cross-validation.
        seed: Of the folds, and of the search.
        code: A Python file with registered functions, imported first.
        gpu_id: Number of the GPU, -1 for the CPU.
        overrides: Names of settings and their values.
    """
    from spacy_bertft.cross_validation.tune import read_space, tune

    with _read_config(config_path, code, gpu_id, overrides) as config:
        ranges = None if space is None else read_space(space)
        return tune(config, output, space=ranges, n_trials=trials, n_folds=folds, seed=seed, gpu_id=gpu_id)


def distill(
    config_path: Path,
    teachers: Sequence[str],
    *,
    output: Path,
    texts: Path | None = None,
    swapped: int = 0,
    weight: float = 1.0,
    temperature: float = 1.0,
    code: Path | None = None,
    overwrite: bool = False,
    gpu_id: int = -1,
    overrides: Sequence[str] = (),
) -> None:
    """Train one pipeline that also learns from the predictions of one or several others (knowledge distillation).

    Settings are overridden as for train.

    Args:
        config_path: A config of spaCy for the student.
        teachers: Pipelines with the same components and labels, or directories of crossval.
        output: Directory of the results.
        texts: A file of texts without labels, to learn what the teachers predict for them.
        swapped: How many copies of each labelled text to learn from too, with other entities of the same label.
        weight: Weight of the teachers; gold annotation has 1.
        temperature: What the scores of teachers and student are divided by.
        code: A Python file with registered functions, imported first.
        overwrite: Start again where other training was interrupted.
        gpu_id: Number of the GPU, -1 for the CPU.
        overrides: Names of settings and their values.
    """
    from spacy_bertft.distillation import distill

    with _read_config(config_path, code, gpu_id, overrides) as config:
        distill(
            config,
            teachers,
            output,
            texts_path=texts,
            n_swapped=swapped,
            weight=weight,
            temperature=temperature,
            gpu_id=gpu_id,
            overwrite=overwrite,
        )


def resume(output_dir: Path, *, code: Path | None = None, gpu_id: int = -1) -> None:
    """Resume interrupted training, to the result that it would have had, bit for bit on the same machine.

    Run it in the directory where `train` was run, if paths in the config are relative.

    Args:
        output_dir: The directory that the training was writing to.
        code: A Python file with registered functions, imported first.
        gpu_id: Number of the GPU, -1 for the CPU.
    """
    from spacy.cli._util import import_code

    from spacy_bertft.models.runtime.devices import use_gpu
    from spacy_bertft.resuming import run

    import_code(code)
    use_gpu(gpu_id)
    run.resume(output_dir, gpu_id=gpu_id)


def debug_data(
    config_path: Path,
    *,
    code: Path | None = None,
    ignore_warnings: bool = False,
    verbose: bool = False,
    overrides: Sequence[str] = (),
) -> None:
    """Check the data of a config as `spacy debug data` does, with its sections on entities, categories and tags.

    Those are about components that spaCy's own factories make, so it leaves ours out. There is one on numbers too.
    Settings are overridden as for train: --paths.train train.spacy.

    Args:
        config_path: A config of spaCy.
        code: A Python file with registered functions, imported first.
        ignore_warnings: Show figures and errors only.
        verbose: Show labels with their counts, and explanations.
        overrides: Names of settings and their values.
    """
    from spacy.cli._util import import_code, parse_config_overrides
    from spacy.cli.debug_data import debug_data

    from spacy_bertft.components.number_checks import check_numbers
    from spacy_bertft.components.pipelines import show_factories_of_spacy

    settings = parse_config_overrides(list(overrides))
    import_code(code)
    shown = {"ignore_warnings": ignore_warnings, "verbose": verbose, "no_format": False, "silent": False}
    with show_factories_of_spacy(), check_numbers(ignore_warnings):
        debug_data(config_path, config_overrides=settings, **shown)


def stats(
    paths: Sequence[Path],
    *,
    encoder: str | None = None,
    window: int = 512,
    plot: Path | None = None,
    kind: StatsKind = "ents",
    word_column: str | None = None,
    tag_column: str | None = None,
) -> CorpusStats:
    """Measure a corpus: how long its texts are, and which labels it has.

    Args:
        paths: Column files or .spacy files.
        encoder: Hub name or directory of an encoder, to count subword tokens too.
        window: Subword tokens that the encoder takes at once.
        plot: Draw the lengths: an .html, .png or .svg file.
        kind: What to count: ents (entities), tags, spans, cats (categories) or numbers; the last two in .spacy files
            only.
        word_column: The column of the words in column files, as for convert; by default found in each file.
        tag_column: The column of the tags, likewise.
    """
    from spacy_bertft.checkpoints import read_tokenizer
    from spacy_bertft.data.histogram import draw_lengths
    from spacy_bertft.data.stats import measure_corpus

    count_pieces = None if encoder is None else read_tokenizer(encoder).count_pieces
    measured = measure_corpus(paths, count_pieces, window, kind=kind, tag_column=tag_column, word_column=word_column)
    if plot is not None:
        draw_lengths(measured, plot)
    return measured


@contextmanager
def _read_config(config_path: Path, code: Path | None, gpu_id: int, overrides: Sequence[str]) -> Iterator[Config]:
    """Read a config that is trained with, and show what is wrong with it, now or later, as spaCy's commands do."""
    from spacy.cli._util import import_code, parse_config_overrides, show_validation_error
    from spacy.util import load_config

    from spacy_bertft.errors import DataError
    from spacy_bertft.models.runtime.devices import use_gpu

    if not config_path.is_file():
        raise DataError(
            f"{config_path}: no such file. Expected a config of spaCy, such as `spacy-bertft init-config ner` prints."
        )
    settings = parse_config_overrides(list(overrides))
    import_code(code)
    use_gpu(gpu_id)
    with show_validation_error(config_path):
        yield load_config(config_path, overrides=settings, interpolate=False)
