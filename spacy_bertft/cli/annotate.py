"""`spacy-bertft annotate`."""

from typing import Annotated

import typer

from spacy_bertft.cli.arguments import GpuId, Pipeline
from spacy_bertft.cli.ending import end_at_once_when_terminated
from spacy_bertft.cli.tables import print_notes


def annotate_command(
    pipeline: Pipeline,
    inputs: Annotated[
        list[str],
        typer.Argument(
            metavar="INPUT...",
            help="Files, folders, or URLs of them: .jsonl, .csv, .tsv, .txt (a text on each line), also with .gz or "
            ".zst; .parquet; .spacy.",
        ),
    ],
    output: Annotated[
        str, typer.Argument(metavar="OUTPUT", help="A folder, new or with the beginning of the same run, or its URL.")
    ],
    engine: Annotated[str, typer.Option(help="local, or ray for Ray on this machine or on a cluster.")] = "local",
    n_process: Annotated[
        int | None,
        typer.Option(
            "--n-process", "-n", help="Processes, or actors of Ray.", show_default="1, or as many as Ray finds room for"
        ),
    ] = None,
    device: Annotated[str, typer.Option(help="cpu, cuda, or cuda:1 for the second GPU.")] = "cpu",
    gpu_id: GpuId = -1,
    address: Annotated[
        str | None, typer.Option(help="Of a cluster of Ray, such as auto.", show_default="a new one on this machine")
    ] = None,
    output_format: Annotated[str, typer.Option("--format", help="jsonl, parquet or docbin.")] = "jsonl",
    text_column: Annotated[str, typer.Option(help="The column of the texts.")] = "text",
    prefix: Annotated[str, typer.Option(help="What the names of the new columns ents, cats and tags start with.")] = "",
    shard_rows: Annotated[int, typer.Option(help="Most rows of a shard.")] = 5000,
    shard_mb: Annotated[float, typer.Option(help="Megabytes of input from which on a shard ends before that.")] = 4.0,
    max_chars: Annotated[
        int | None,
        typer.Option(help="Longer texts are not annotated.", show_default="the limit of the pipeline, 1,000,000"),
    ] = None,
    batch_size: Annotated[
        int | None, typer.Option(help="Documents of a batch.", show_default="more of short ones, fewer of long ones")
    ] = None,
    strict: Annotated[bool, typer.Option("--strict", help="Stop at the first row that cannot be annotated.")] = False,
) -> None:
    """Run a pipeline over any number of texts: entities, categories and tags beside the columns that came.

    A run that was killed goes on when the same command is run again. Rows that cannot be annotated stand in
    OUTPUT/errors.jsonl, with file, line and reason.
    """
    from spacy_bertft.annotate.annotate import annotate
    from spacy_bertft.errors import SettingError

    if gpu_id >= 0:
        if device != "cpu":
            raise SettingError("gpu_id", gpu_id, f"none next to --device {device}, which says the same")
        device = f"cuda:{gpu_id}"
    end_at_once_when_terminated()  # a run may be killed at any moment and goes on later, and its processes with it
    report = annotate(
        pipeline,
        inputs,
        output,
        engine=engine,
        n_process=n_process,
        device=device,
        address=address,
        output_format=output_format,
        text_column=text_column,
        prefix=prefix,
        shard_rows=shard_rows,
        shard_mb=shard_mb,
        max_chars=max_chars,
        batch_size=batch_size,
        strict=strict,
    )
    print_notes(str(report))
