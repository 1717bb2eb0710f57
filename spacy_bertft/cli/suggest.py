"""`spacy-bertft suggest`."""

from pathlib import Path
from typing import Annotated

import typer

from spacy_bertft.cli.arguments import GpuId, Pipeline
from spacy_bertft.cli.tables import print_notes


def suggest_command(
    pipeline: Pipeline,
    texts_path: Annotated[
        Path,
        typer.Argument(metavar="TEXTS", help="Unlabelled texts: a .jsonl file, or a .txt file with one on each line."),
    ],
    output_path: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            help="The file to write: JSON objects, one a line, or one array if the name ends in .json.",
            show_default="standard output",
        ),
    ] = None,
    n_texts: Annotated[int, typer.Option("--n-texts", "-n", help="How many texts to suggest.")] = 100,
    file_format: Annotated[
        str, typer.Option("--format", help="The tool that reads them: prodigy, label-studio or doccano.")
    ] = "prodigy",
    text_column: Annotated[str, typer.Option(help="The field of the texts.")] = "text",
    component: Annotated[
        str | None,
        typer.Option(
            help="Name of the component whose uncertainty counts.", show_default="the mean over all with labels"
        ),
    ] = None,
    diversity: Annotated[
        float,
        typer.Option(help="From 0, the most uncertain texts, to 1, texts as different from each other as possible."),
    ] = 0.5,
    candidates: Annotated[
        int, typer.Option(help="Choose among the most uncertain texts, this many times as many as are suggested.")
    ] = 10,
    gpu_id: GpuId = -1,
) -> None:
    """Suggest which texts to label next: those that the pipeline is unsure of, and that differ from each other.

    What it would answer stands with each text, to be corrected. In Label Studio the configuration
    has to name its tags `text`, and `label` for entities or `category` for categories.
    """
    from spacy_bertft.active.suggest import suggest
    from spacy_bertft.models.runtime.gpu import use_gpu

    use_gpu(gpu_id)
    suggestions = suggest(
        pipeline,
        texts_path,
        output_path,
        n_texts=n_texts,
        file_format=file_format,
        text_column=text_column,
        component=component,
        diversity=diversity,
        candidates=candidates,
    )
    if output_path is None:
        for line in suggestions.lines:
            typer.echo(line)
    print_notes(str(suggestions.report), beside_output=True)
