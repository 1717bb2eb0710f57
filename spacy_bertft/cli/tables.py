"""Tables on the terminal."""

from collections.abc import Sequence

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text


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


def print_notes(notes: str, *, beside_output: bool = False) -> None:
    """Print a line of running text, on the error stream where the output of a command is for another one to read."""
    Console(stderr=beside_output).print(Text(notes))
