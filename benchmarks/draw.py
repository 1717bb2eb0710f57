"""Show what `make benchmark` has saved: tables in `README.md`, and pictures next to it.

    python benchmarks/draw.py [FOLDER]

Reads all JSON files in the folder (by default `benchmarks/results`); each was written by a script with `--save FOLDER`.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from functools import partial
from itertools import groupby
from pathlib import Path

from bars import Chart, draw_bars
from record import Record, Row, read_records

from spacy_bertft.errors import MissingExtraError
from spacy_bertft.output import replace_when_done
from spacy_bertft.pictures.plot import check_plot, render

RESULTS = Path(__file__).parent / "results"
# What comes first; scripts and kinds that are not named here follow by name.
SCRIPTS = ("speed", "latency", "training", "memory", "startup")
KINDS = ("queries", "sentences", "documents")
CHARTS = {
    "speed": Chart("Words per second, as a multiple of {base}", "ratio"),
    "latency": Chart("Milliseconds per text, one at a time", "value"),
    "training": Chart("Training: sentences per second, as a multiple of the {base}", "ratio"),
}


def find_place(names: Sequence[str], name: str) -> tuple[int, str]:
    """Find what to sort a name by: known names in their order, then the others."""
    return (names.index(name) if name in names else len(names), name)


def sort_records(records: Sequence[Record]) -> list[Record]:
    """Sort records by script and kind."""
    return sorted(records, key=lambda each: (find_place(SCRIPTS, each.script), find_place(KINDS, each.kind)))


def format_value(value: float) -> str:
    """Format a number to three digits or more."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def format_row(row: Row, unit: str) -> str:
    """Format a row of a table; its unit too, where the head of the table does not name it."""
    value = format_value(row.value) + ("" if unit else f" {row.unit}")
    ratio = "" if row.ratio is None else f"{row.ratio:.2f}"
    has_spread = row.lowest is not None and row.lowest != row.highest
    spread = f"{row.lowest:.2f}–{row.highest:.2f}" if has_spread else ""
    return f"| {row.name} | {value} | {ratio} | {spread} |"


def format_table(record: Record) -> str:
    """Format the rows of a record as a table."""
    units = {row.unit for row in record.rows}
    unit = units.pop() if len(units) == 1 else ""
    head = [f"| | {unit} | ratio | spread |", "|---|---:|---:|---:|"]
    return "\n".join(head + [format_row(row, unit) for row in record.rows])


def format_notes(record: Record) -> str:
    """Format on what a record was measured, and what its ratios are."""
    texts = f"{record.texts} of `{record.corpus}`" if record.corpus else ""
    encoder = f"encoder `{record.encoder}`" if record.encoder else ""
    ratios = f"ratio to {record.relative_to}" if record.relative_to else ""
    ratios += f" ({record.spread})" if record.spread else ""
    return "; ".join(filter(None, (texts, encoder, ratios)))


def format_machine(record: Record) -> str:
    """Format when and where a record was measured."""
    machine = record.machine
    bf16 = "bfloat16 native" if machine.has_bf16 else "bfloat16 not native (`auto` is fp32)"
    versions = ", ".join(f"{name} {version}" for name, version in machine.versions.items())
    size = f"cores: {machine.n_cores}, threads: {machine.n_threads}"
    return f"<sub>{record.date} · {machine.cpu}, {size}, {bf16} · {versions}</sub>"


def format_section(records: Sequence[Record], picture: str) -> list[str]:
    """Format the records of a script: its picture, a table for each, and the machine, once if it is the same."""
    first = records[0]
    blocks = [f"## {first.script.capitalize()}", first.about, picture]
    is_same = len(set(map(format_machine, records))) == 1
    for record in records:
        heading = f"### {record.kind.capitalize()}" if record.kind else ""
        machine = "" if is_same else format_machine(record)
        blocks += [heading, format_notes(record), format_table(record), machine]
    return [*blocks, format_machine(first) if is_same else ""]


def format_page(records: Sequence[Record], pictures: Sequence[str]) -> str:
    """Format all records as one page of Markdown.

    Args:
        records: The records, sorted.
        pictures: The scripts of which there is a picture.
    """
    blocks = ["# What was measured", "Written by `make benchmark`, from the JSON files next to this page."]
    for script, group in groupby(records, key=lambda record: record.script):
        of_script = list(group)
        picture = f"![{of_script[0].about}]({script}.png)" if script in pictures else ""
        blocks += format_section(of_script, picture)
    return "\n\n".join(filter(None, blocks)) + "\n"


def draw(folder: Path) -> list[Path]:
    """Write the page and the pictures of a folder with records.

    Raises:
        ValueError: There are no records, or a JSON file is none.
        MissingExtraError: matplotlib is not installed.
    """
    records = sort_records(read_records(folder))
    if not records:
        raise ValueError(f"{folder}: no results. Run `make benchmark`, or a script of it with --save {folder}.")
    contents: dict[Path, bytes] = {}
    for script, chart in CHARTS.items():
        of_script = [record for record in records if record.script == script]
        for suffix in (".svg", ".png") if of_script else ():
            path = folder / f"{script}{suffix}"
            check_plot(path)
            contents[path] = render(partial(draw_bars, of_script, chart), "svg" if suffix == ".svg" else "png")
    pictures = [path.stem for path in contents]
    contents[folder / "README.md"] = format_page(records, pictures).encode("utf-8")
    for path, content in contents.items():
        with replace_when_done(path) as temporary_path:
            temporary_path.write_bytes(content)
    return list(contents)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, nargs="?", default=RESULTS)
    folder = parser.parse_args().folder
    try:
        paths = draw(folder)
    except (ValueError, MissingExtraError) as error:
        sys.exit(str(error))
    print(f"wrote {', '.join(path.name for path in paths)} in {folder}")


if __name__ == "__main__":
    main()
