"""The README: short, with links that can be made absolute, and with figures that were measured.

Its blocks run from top to bottom in `test_examples.py`, as those of every page.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
RESULTS = (ROOT / "benchmarks" / "results" / "README.md").read_text(encoding="utf-8")


def test_it_is_short():
    assert len(README.splitlines()) <= 150
    [use] = re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL)
    assert len([line for line in use.splitlines() if line.strip()]) <= 6


def test_links_are_relative_so_that_they_can_be_made_absolute():
    links = re.findall(r"\]\(([^)]+)\)", README)
    assert len(links) > 20
    assert all((ROOT / link).is_file() for link in links)


@pytest.mark.parametrize(("heading", "column"), [("Queries", 0), ("Documents", 1)])
def test_ratios_of_speed_are_those_of_the_benchmark(heading, column):
    section = RESULTS.split(f"### {heading}")[1].split("<sub>")[0]
    measured = {f"{ratio} ({spread})" for ratio, spread in re.findall(r"\| ([\d.]+) \| ([\d.–]+) \|", section)}
    rows = re.findall(r"\| ([\d.]+ \([\d.–]+\)) \| ([\d.]+ \([\d.–]+\)) \|", README)
    assert len(rows) == 7
    assert {row[column] for row in rows} <= measured


def test_words_per_second_are_those_of_the_benchmark():
    table = README.split("## Why")[1].split("Words per second")[0]
    figures = re.findall(r"\b\d+,\d{3}\b", table)
    assert len(figures) == 11
    assert all(f"| {figure} |" in RESULTS for figure in figures)


def test_files_that_are_named_exist():
    pages = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
    shown = {
        page.name: re.findall(r"`((?:[\w.-]+/)+[\w-]+\.[a-z]+)`", page.read_text(encoding="utf-8")) for page in pages
    }
    assert len(shown["CONTRIBUTING.md"]) > 10  # what to open for a change
    assert not [(page, path) for page, paths in shown.items() for path in paths if not (ROOT / path).exists()]
