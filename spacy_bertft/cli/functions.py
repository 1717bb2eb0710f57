"""The functions of commands that do more than one function of the package: they read a config, or a tokenizer."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from spacy_bertft.data.stats import CorpusStats, StatsKind


def train(
    config_path: Path,
    *,
    output: Path,
    code: Path | None = None,
    overwrite: bool = False,
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
        gpu_id: Number of the GPU, -1 for the CPU.
        overrides: Names of settings and their values.
    """
    from spacy.cli._util import import_code, parse_config_overrides, show_validation_error
    from spacy.util import load_config

    from spacy_bertft.errors import DataError
    from spacy_bertft.models.runtime.devices import use_gpu
    from spacy_bertft.resuming import run

    if not config_path.is_file():
        raise DataError(f"{config_path}: no such file. Expected a config of spaCy, such as configs/ner.cfg.")
    settings = parse_config_overrides(list(overrides))
    import_code(code)
    use_gpu(gpu_id)
    with show_validation_error(config_path):
        config = load_config(config_path, overrides=settings, interpolate=False)
        run.train(config, output, gpu_id=gpu_id, overwrite=overwrite)


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
