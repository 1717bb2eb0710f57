"""Running a pipeline over files of texts, in shards."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import closing
from dataclasses import replace
from itertools import islice
from pathlib import Path
from time import monotonic

from spacy.language import Language
from tqdm import tqdm

from spacy_bertft.annotation.chunks import cut_source, cut_unfinished
from spacy_bertft.annotation.cluster import run_on_ray
from spacy_bertft.annotation.inputs import Inputs, find_inputs
from spacy_bertft.annotation.ledger import AnnotateReport, Ledger, ShardReport
from spacy_bertft.annotation.local import run_local
from spacy_bertft.annotation.rows import TextRow, parse_rows
from spacy_bertft.annotation.settings import (
    ENGINES,
    OUTPUT_FORMATS,
    AnnotateSettings,
    Engine,
    OutputFormat,
    WorkerSettings,
)
from spacy_bertft.annotation.storage import OutputDir, is_in_memory, make_absolute
from spacy_bertft.annotation.values import find_kinds, list_answers, list_entity_groups
from spacy_bertft.annotation.worker import Annotator, load_on_device
from spacy_bertft.components.pipelines import hash_pipeline
from spacy_bertft.data.choices import parse_choice
from spacy_bertft.errors import DataError, SettingError, format_count

_SAMPLE = 1000  # rows from which the schema of JSON objects is found
_BAR = "{desc}: {percentage:3.0f}%|{bar}| {elapsed} ({remaining} left{postfix})"


def annotate(
    pipeline: Path | str,
    inputs: Sequence[Path | str],
    output: Path | str,
    *,
    engine: Engine = "local",
    n_process: int | None = None,
    device: str = "cpu",
    address: str | None = None,
    output_format: OutputFormat = "jsonl",
    text_column: str = "text",
    quoting: bool = True,
    prefix: str = "",
    shard_rows: int = 5000,
    shard_mb: float = 4.0,
    max_chars: int | None = None,
    batch_size: int | None = None,
    strict: bool = False,
) -> AnnotateReport:
    """Run a pipeline over any number of texts: entities, categories and tags next to the columns of the input.

    Run the same command again to resume an interrupted run, with either engine. Each shard holds rows of one file,
    in order (`part-00002-000013` is the fourteenth of the third file), and has its name only once it is complete.
    Rows that cannot be annotated are listed in OUTPUT/errors.jsonl, with file, line and reason.

    Args:
        pipeline: A trained pipeline: its directory, or its name if it is installed.
        inputs: Files, directories, or URLs of them: .jsonl, .csv, .tsv, .txt (a text on each line), also with .gz
            or .zst; .parquet; .arrow; .spacy; or hf://NAME:CONFIG:SPLIT, a data set of the Hugging Face hub.
        output: A directory, new or with the beginning of the same run, or its URL.
        engine: local, or ray for Ray on this machine or on a cluster.
        n_process: Processes, or actors of Ray; by default 1, or as many as Ray finds room for.
        device: cpu, cuda, or cuda:1 for the second GPU.
        address: Address of a Ray cluster, such as auto; by default Ray starts on this machine.
        output_format: jsonl, parquet or docbin.
        text_column: The column of the texts.
        quoting: Whether double quotes in CSV and TSV may enclose a cell; otherwise they are text.
        prefix: What the names of the new columns ents, cats, spans and tags start with.
        shard_rows: Maximum rows of a shard.
        shard_mb: A shard ends early after this many megabytes of input.
        max_chars: Longer texts are not annotated; by default the limit of the pipeline, 1,000,000.
        batch_size: Documents of a batch; by default more short ones, fewer long ones.
        strict: Stop at the first row that cannot be annotated.

    Returns:
        Counts of rows; those that could not be annotated are in `errors.jsonl` in the output, with file, line and
        reason.

    Raises:
        DataError: There is no such pipeline or input; or no row could be annotated; or with `strict`, one could not.
        SettingError: A setting is outside what is allowed, or the output holds another run.
        MissingExtraError: A package is missing for a format or for Ray.
        WorkerError: A worker process failed; what is finished is kept, and the same call resumes the run.
    """
    chosen = parse_choice("engine", engine, ENGINES)
    settings = AnnotateSettings(
        parse_choice("format", output_format, OUTPUT_FORMATS), text_column, quoting, shard_rows, shard_mb, max_chars
    )
    output_dir = OutputDir(str(output))
    worker = WorkerSettings(str(pipeline), output_dir.url, device, batch_size, strict)
    names = [str(name) for name in inputs]
    _check_places(names, str(output), chosen, n_process)
    found = find_inputs(names)
    ledger = Ledger(output_dir)
    # On Ray other machines annotate; this one may have no GPU.
    nlp = load_on_device(worker if chosen == "local" else replace(worker, device="cpu"))
    settings = _complete(settings, found, nlp, prefix, worker.pipeline)
    start = monotonic()
    counts = ledger.begin(found, settings, _identify(nlp))
    n_before = 0
    if counts is None:
        before = {report.shard: report.weight for report in ledger.read_reports()}
        n_before = len(before)
        if chosen == "ray":
            reports = run_on_ray(settings, worker, found.sources, before, n_process=n_process, address=address)
        else:
            chunks = cut_unfinished(found.sources, settings, before)
            reports = run_local(Annotator(settings, worker, nlp), chunks, n_process or 1)
        with closing(reports):
            _follow(reports, sum(source.n_bytes for source in found.sources), sum(before.values()), is_strict=strict)
        counts = ledger.finish()
    report = AnnotateReport(
        output=str(output),
        n_read=counts["read"],
        n_written=counts["written"],
        n_failed=counts["failed"],
        n_empty=counts["empty_lines"],
        n_shards=counts["shards"],
        n_shards_before=n_before,
        left_out=found.left_out,
        seconds=monotonic() - start,
    )
    if report.n_failed and not report.n_written:
        raise DataError(
            f"{format_count(report.n_read, 'row')} read, none could be annotated; {output}/errors.jsonl says why."
        )
    return report


def _follow(reports: Iterable[ShardReport], n_bytes: int, n_bytes_before: int, *, is_strict: bool) -> None:
    """Wait for the shards, and show how much of the input is done, how many documents per second, and the time left.

    Raises:
        DataError: With `is_strict`, a row could not be annotated.
    """
    start, n_docs = monotonic(), 0
    with tqdm(total=n_bytes, initial=n_bytes_before, desc="Annotating", disable=None, bar_format=_BAR) as bar:
        for shard in reports:
            if is_strict and shard.problems:
                line, reason = shard.problems[0]
                raise DataError(f"{shard.source}{'' if line is None else f', line {line}'}: {reason}")
            n_docs += shard.n_written
            rate = n_docs / max(1e-9, monotonic() - start)
            bar.set_postfix_str(f"{format_count(n_docs, 'doc')}, {rate:,.0f} docs/s", refresh=False)
            bar.update(shard.weight)


def _complete(
    settings: AnnotateSettings, inputs: Inputs, nlp: Language, prefix: str, pipeline: str
) -> AnnotateSettings:
    """Complete settings by what the pipeline finds and what the input holds.

    Raises:
        SettingError: The pipeline finds nothing that could be written, or what it finds has the name of the texts.
        MissingExtraError: pyarrow is not installed, and the output is Parquet.
    """
    answers = {answer: f"{prefix}{answer}" for answer in list_answers(nlp)}
    if not answers and settings.output_format != "docbin":
        expected = "one that finds entities, categories, spans, tags or answers; for others pass --format docbin"
        raise SettingError("pipeline", pipeline, expected)
    if settings.output_format != "docbin" and [*nlp.pipe_factories.values()].count("bert_qa") > 1:
        raise SettingError(
            "pipeline", pipeline, "one bert_qa, whose answers are listed; for several pass --format docbin"
        )
    if settings.text_column in answers.values():
        raise SettingError(
            "text_column", settings.text_column, f"a name other than {', '.join(answers.values())}; see prefix"
        )
    settings = replace(settings, answers=answers, entity_groups=list_entity_groups(nlp))
    source = next((source for source in inputs.sources if source.format == "jsonl"), None)
    if settings.output_format != "parquet" or source is None:
        return settings
    chunk = next(cut_source(source, settings), None)
    rows = parse_rows(chunk, settings, nlp.vocab, nlp.max_length) if chunk else iter(())
    kinds = find_kinds((row.columns for row in islice(rows, _SAMPLE) if isinstance(row, TextRow)), settings.text_column)
    return replace(settings, kinds=kinds)


def _identify(nlp: Language) -> dict[str, str]:
    """Return what identifies a pipeline: its name, and a digest of its settings and weights."""
    name = f"{nlp.meta['lang']}_{nlp.meta['name']}-{nlp.meta['version']}"
    return {"name": name, "content": hash_pipeline(nlp)}


def _check_places(inputs: Sequence[str], output: str, engine: Engine, n_process: int | None) -> None:
    """Check that every process can reach input and output, and that the output is not read as input."""
    if n_process is not None and n_process < 1:
        raise SettingError("n_process", n_process, "a number above 0")
    if engine == "ray" or (n_process or 1) > 1:
        for setting, name in [*(("inputs", name) for name in inputs if engine == "ray"), ("output", output)]:
            if is_in_memory(name):
                raise SettingError(setting, name, "a place that other processes can reach")
    for name in inputs:
        if f"{make_absolute(output)}/".startswith(f"{make_absolute(name).rstrip('/')}/"):
            raise SettingError("output", output, "a directory outside of the input")
