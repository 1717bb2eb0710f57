"""`spacy-bertft import-hf`."""

from pathlib import Path
from typing import Annotated

import typer

from spacy_bertft.cli.tables import print_notes


def import_hf_command(
    checkpoint: Annotated[
        str, typer.Argument(metavar="CHECKPOINT", help="A folder or hub id with a head for tokens or for texts.")
    ],
    output_dir: Annotated[Path, typer.Argument(metavar="OUT_DIR", help="The pipeline folder to write.")],
    lang: Annotated[str, typer.Option(help="Language code of the pipeline.")] = "en",
    component: Annotated[
        str | None,
        typer.Option(
            help="bert_ner, bert_tagger, bert_textcat or bert_textcat_multilabel.", show_default="what fits the head"
        ),
    ] = None,
    labels: Annotated[
        str | None,
        typer.Option(
            help="New names for the outputs: all of them in order (O,PER,LOC), or some (LABEL_0=O,LABEL_1=PER). A tag "
            "named - is never predicted (O,PER,- or X=-)."
        ),
    ] = None,
    scheme: Annotated[
        str | None,
        typer.Option(help="bio, iob1, biluo, bioes or bare (no prefixes).", show_default="what the tags look like"),
    ] = None,
    pairs: Annotated[
        bool, typer.Option("--pairs", help="The head classifies pairs of texts: texts with U+001F are read as pairs.")
    ] = False,
) -> None:
    """Make a spaCy pipeline of a Hugging Face checkpoint: its encoder, its head, its labels, its tokenizer."""
    from spacy_bertft.exchange.import_hf import import_hf
    from spacy_bertft.tags import parse_tag_scheme

    report = import_hf(
        checkpoint,
        output_dir,
        lang=lang,
        component=component,
        labels=_parse_labels(labels) if labels else None,
        scheme=parse_tag_scheme(scheme) if scheme else None,
        pairs=pairs,
    )
    print_notes(str(report))


def _parse_labels(labels: str) -> dict[str, str] | list[str]:
    parts = [part.strip() for part in labels.split(",")]
    if all("=" in part for part in parts):
        pairs = (part.partition("=") for part in parts)
        return {old: new for old, _, new in pairs}
    return parts
