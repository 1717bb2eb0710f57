"""What a command prints."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from spacy_bertft.errors import format_count

if TYPE_CHECKING:
    from spacy_bertft.active.suggest import Suggestions
    from spacy_bertft.demo.server import Demo
    from spacy_bertft.evaluation.evaluate import Evaluation
    from spacy_bertft.explanation.pipeline import Section

Given = Mapping[str, Any]  # the arguments of a command that were given

_N_WORDS = 10  # listed below shaded words


def print_table(rows: Sequence[Sequence[str]]) -> None:
    """Print a table: text in the first column, numbers in the others.

    Args:
        rows: Rows of equal length, the first one naming the columns.
    """
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for index, name in enumerate(rows[0]):
        table.add_column(Text(name), justify="right" if index else "left", overflow="fold")
    for row in rows[1:]:
        # As `Text`, since a label may hold what rich takes for markup.
        table.add_row(*(Text(cell) for cell in row))
    Console().print(table)


def print_notes(notes: str, *, is_error: bool = False) -> None:
    """Print a line of running text, on the error stream where the output of a command is for another one to read."""
    Console(stderr=is_error).print(Text(notes))


def show_start(source: Any) -> None:
    """Show in a terminal what is being loaded: importing torch and loading a pipeline take seconds."""
    if sys.stderr.isatty():
        names = [str(each) for each in (source if isinstance(source, (list, tuple)) else [source])]
        print_notes(f"Loading {', '.join(names[:3])} …", is_error=True)


def show_report(report: Any, _: Given) -> None:
    """Print the tables and the notes of what a function returned."""
    for name in ("format_rows", "format_label_rows"):
        rows: list[tuple[str, ...]] = getattr(report, name, list)()
        if len(rows) > 1:
            print_table(rows)
    print_notes(report.format_notes() if hasattr(report, "format_notes") else str(report))


def show_conversion(report: Any, given: Given) -> None:
    """Print what the input was read as, and then what came of it."""
    print_notes(f"Read as {report.file_format or report.kind}, converted to {report.kind}.")
    show_report(report, given)


def show_config(text: str, given: Given) -> None:
    """Print a config, or where it was written."""
    if path := given.get("output_path"):
        print_notes(f"Wrote {path}. Train with: python -m spacy train {path} --paths.train … --paths.dev …")
    else:
        typer.echo(text, nl=False)


def show_project(folder: Path, _: Given) -> None:
    """Print how the project is run."""
    print_notes(f"Wrote {folder}. Run it with: cd {folder} && python -m spacy project run all")


def show_evaluation(evaluation: Evaluation, _: Given) -> None:
    """Print scores, and then which classes were mistaken for which."""
    for rows in evaluation.format_tables():
        print_table(rows)
    print_notes(evaluation.format_notes())
    for rows in evaluation.format_confusions():
        print_table(rows)


def show_suggestions(suggestions: Suggestions, given: Given) -> None:
    """Print suggested texts, unless they were written to a file; what is said of them goes to the error stream."""
    for line in suggestions.lines if "output_path" not in given else ():
        typer.echo(line)
    print_notes(str(suggestions.report), is_error=True)


def show_explanations(sections: Sequence[Section], given: Given) -> None:
    """Print words with their weights, unless there is a page of them; in a terminal the text too, shaded."""
    from spacy_bertft.explanation.attribution import shade_words

    console = Console()
    entries = [entry for section in sections for entry in section.entries]
    if "html_path" in given:
        print_notes(f"Predictions explained: {len(entries)}, in {given['html_path']}.")
        return
    for caption, attribution in entries:
        print_notes(f"{caption}: {attribution}" if caption else str(attribution))
        if console.is_terminal:
            console.print(shade_words(attribution))
        # Where no colours are seen, as in a file, there are the weights of all words instead.
        print_table(attribution.format_rows(_N_WORDS if console.is_terminal else None))


def show_files(paths: Sequence[Path], given: Given) -> None:
    """Print how many files there are, how large, and where."""
    n_bytes = sum(path.stat().st_size for path in paths)
    print_notes(
        f"{given['name']}: {format_count(len(paths), 'file')}, {n_bytes / 1e6:,.1f} MB, in {given['output_dir']}."
    )


def wait_for_demo(demo: Demo, _: Given) -> None:
    """Print where a demo is, until Ctrl+C."""
    print_notes(f"Open on {demo.url}, until Ctrl+C.")
    demo.wait()
