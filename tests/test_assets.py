"""The corpus in `assets/messages` is what its README says."""

from __future__ import annotations

import csv
import json
import re
from collections import Counter
from pathlib import Path

import pytest

FOLDER = Path(__file__).parent.parent / "assets" / "messages"
README = (FOLDER / "README.md").read_text(encoding="utf-8")

# RFC 2606. A host is dotted and ends in letters, which 8.30 does not.
HOST = re.compile(r"(?:[\w-]+\.)+[a-z]{2,}\b", flags=re.IGNORECASE)
RESERVED_HOST = re.compile(r"(?:.+\.)?(?:example\.com|example|test)")

# Seven digits and more, with at most one separator between two. Ofcom and the North American numbering plan keep these
# free for drama: London, mobiles, premium rate, and 555-01xx in any area.
NUMBER = re.compile(r"\+?\d(?:[ ()./-]?\d){6,}")
RESERVED_NUMBER = re.compile(r"020 7946 0\d{3}|07700 900\d{3}|0909 8790 \d{3}|(?:[2-9]\d{2}-)?555-01\d{2}")


def read_spam() -> list[tuple[str, list[str]]]:
    with (FOLDER / "spam.csv").open(encoding="utf-8", newline="") as file:
        header, *rows = csv.reader(file, strict=True)
    assert header == ["text", "label"]
    return [(text, [label]) for text, label in rows]


def read_topics() -> list[tuple[str, list[str]]]:
    records = [json.loads(line) for line in (FOLDER / "topics.jsonl").read_text(encoding="utf-8").splitlines()]
    assert all(list(record) == ["text", "labels"] for record in records)
    return [(record["text"], record["labels"]) for record in records]


CORPORA = {"spam.csv": read_spam(), "topics.jsonl": read_topics()}
TEXTS = [text for rows in CORPORA.values() for text, _ in rows]


def read_table(heading: str) -> dict[str, list[str]]:
    """Read a table of the README: its further cells by its first."""
    _, _, table = README.partition(f"| {heading} |")
    rows = [line.strip("| ").split(" | ") for line in table.partition("\n\n")[0].splitlines()[2:]]
    return {name.strip("`"): cells for name, *cells in rows}


@pytest.mark.parametrize("name", CORPORA)
def test_sizes_are_as_stated(name):
    texts = [text for text, _ in CORPORA[name]]
    n_words = sum(len(text.split()) for text in texts)
    assert read_table("File")[name][:2] == [f"{len(texts):,}", f"{n_words:,}"]


@pytest.mark.parametrize("name", CORPORA)
def test_every_label_is_as_frequent_as_stated(name):
    stated = {label: int(cells[-1]) for label, cells in read_table(f"Label of `{name}`").items()}
    assert Counter(label for _, labels in CORPORA[name] for label in labels) == stated


def test_labels_per_message_are_as_stated():
    counts = Counter(len(labels) for _, labels in CORPORA["topics.jsonl"])
    stated = [int(cells[-1]) for cells in read_table("Labels of a message in `topics.jsonl`").values()]
    assert [counts[n] for n in range(4)] == stated
    assert sum(stated) == len(CORPORA["topics.jsonl"])


def test_labels_stand_in_the_order_of_the_readme():
    order = list(read_table("Label of `topics.jsonl`"))
    for _, labels in CORPORA["topics.jsonl"]:
        assert labels == [label for label in order if label in labels]


def test_examples_of_the_readme_are_rows():
    [spam_rows, topic_rows] = re.findall(r"```text\n(.*?)```", README, flags=re.DOTALL)
    for name, rows in {"spam.csv": spam_rows, "topics.jsonl": topic_rows}.items():
        assert set(rows.splitlines()) <= set((FOLDER / name).read_text(encoding="utf-8").splitlines())


def test_no_text_comes_twice():
    counts = Counter(" ".join(re.findall(r"\w+", text.casefold())) for text in TEXTS)
    assert [text for text, n in counts.items() if n > 1] == []


def test_no_text_has_blanks_around_it():
    assert [text for text in TEXTS if not text or text != text.strip()] == []


def test_some_cells_of_the_csv_need_quotes():
    assert sum('"' in text for text, _ in CORPORA["spam.csv"]) >= 5
    assert sum("," in text for text, _ in CORPORA["spam.csv"]) >= 5


def test_hosts_are_reserved_for_examples():
    hosts = {host for text in TEXTS for host in HOST.findall(text)}
    assert hosts
    assert [host for host in hosts if not RESERVED_HOST.fullmatch(host)] == []


def test_telephone_numbers_are_reserved_for_fiction():
    numbers = {number for text in TEXTS for number in NUMBER.findall(text)}
    assert numbers
    assert [number for number in numbers if not RESERVED_NUMBER.fullmatch(number)] == []
