"""The README: its blocks run top to bottom in one folder, its links lead somewhere, its figures are those measured."""

from __future__ import annotations

import re

import pytest
from test_examples import ROOT, folder, read_blocks, run_page, shown  # noqa: F401 (fixtures)

README = ROOT / "README.md"
TEXT = README.read_text(encoding="utf-8")
RESULTS = (ROOT / "benchmarks" / "results" / "README.md").read_text(encoding="utf-8")


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning")  # spaCy's `package` leaves files open
def test_all_blocks_in_order(folder, monkeypatch):  # noqa: F811
    run_page(README, monkeypatch)


def test_it_is_short():
    assert len(TEXT.splitlines()) <= 150
    [use] = [block for language, block in read_blocks(README) if language == "python"]
    assert len([line for line in use.splitlines() if line.strip()]) <= 6


def test_links_are_relative_so_that_they_can_be_made_absolute():
    links = re.findall(r"\]\(([^)]+)\)", TEXT)
    assert len(links) > 20
    assert all((ROOT / link).is_file() for link in links)


@pytest.mark.parametrize(("heading", "column"), [("queries", 0), ("documents", 1)])
def test_figures_of_speed_are_those_of_the_benchmark(heading, column):
    section = RESULTS.split(f"### {heading.capitalize()}")[1].split("<sub>")[0]
    measured = {f"{ratio} ({spread})" for ratio, spread in re.findall(r"\| ([\d.]+) \| ([\d.–]+) \|", section)}
    rows = re.findall(r"\| ([\d.]+ \([\d.–]+\)) \| ([\d.]+ \([\d.–]+\)) \|", TEXT)
    assert len(rows) == 6
    assert {row[column] for row in rows} <= measured


def test_words_per_second_are_those_of_the_benchmark():
    table = TEXT.split("## Why")[1].split("Words per second")[0]
    figures = re.findall(r"\b\d+,\d{3}\b", table)
    assert len(figures) == 6
    assert all(f"| {figure} |" in RESULTS for figure in figures)
