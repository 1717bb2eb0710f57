"""`spacy-bertft explain`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from spacy_bertft.cli.arguments import GpuId, Pipeline
from spacy_bertft.cli.tables import print_notes, print_table

if TYPE_CHECKING:
    from spacy_bertft.explain import Attribution

_N_WORDS = 10  # listed below shaded words


def explain_command(
    pipeline: Pipeline,
    text: Annotated[
        str, typer.Argument(metavar="TEXT", help="A text, or a .spacy file with gold annotation, as convert writes it.")
    ],
    method: Annotated[
        str,
        typer.Option(help="gradients (integrated; needs the extra explain), attention, or rollout through all layers."),
    ] = "gradients",
    target: Annotated[
        str | None,
        typer.Option(help="The label to explain.", show_default="the best category, or else every entity"),
    ] = None,
    component: Annotated[
        str | None,
        typer.Option(
            help="Name of the component to explain.", show_default="the first with categories, or else entities"
        ),
    ] = None,
    steps: Annotated[
        int | None, typer.Option(help="At how many points the gradients are taken.", show_default="64")
    ] = None,
    html: Annotated[Path | None, typer.Option(help="Write an .html page with the words shaded.")] = None,
    limit: Annotated[
        int | None,
        typer.Option(
            "--limit", "-n", help="Of a file, how many answers to explain: half wrong ones.", show_default="20"
        ),
    ] = None,
    gpu_id: GpuId = -1,
) -> None:
    """Show which words an answer of a pipeline rests on.

    Of a text: its best category, or every entity. Of a .spacy file: wrong answers, the most confident
    first, then right ones.
    """
    from spacy_bertft.errors import SettingError
    from spacy_bertft.explain.pipeline import explain_data, explain_text
    from spacy_bertft.models.runtime.gpu import use_gpu

    use_gpu(gpu_id)
    if steps is not None and method != "gradients":
        raise SettingError("steps", steps, "none with this method; only gradients are taken in steps")
    options: dict[str, Any] = {"target": target, "method": method, "component": component}
    options |= {} if steps is None else {"n_steps": steps}
    if text.lower().endswith(".spacy"):
        options |= {} if limit is None else {"limit": limit}
        sections = explain_data(pipeline, Path(text), html, **options)
        entries = [entry for section in sections for entry in section.entries]
    else:
        if limit is not None:
            raise SettingError("limit", limit, "none for a single text; it is for a .spacy file")
        entries = [("", found) for found in explain_text(pipeline, text, html, **options)]
    if html is None:
        for entry in entries:
            _print(*entry)
    else:
        print_notes(f"Answers explained: {len(entries)}, in {html}.")


def _print(caption: str, attribution: "Attribution") -> None:
    from spacy_bertft.explain.terminal import shade_words

    print_notes(f"{caption}: {attribution}" if caption else str(attribution))
    console = Console()
    if console.is_terminal:
        console.print(shade_words(attribution))
    # Where no colours are seen, as in a file, the weights of all words stand in their place.
    print_table(attribution.format_rows(_N_WORDS if console.is_terminal else None))
