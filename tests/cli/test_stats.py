from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType

import pytest
from typer.testing import CliRunner

from spacy_bertft.cli import app


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "a.bio"
    path.write_text("O\tfilms\nB-ACTOR\tdrew\nI-ACTOR\tbarrymore\n\nB-[x]\t1980s\n")
    return path


class FakeTokenizer:
    """One piece per letter."""

    def count_pieces(self, texts: list[str]) -> list[int]:
        return [len(text) for text in texts]


@pytest.fixture
def encoders(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Replace the checkpoints with a fake, and list the names it was asked for."""
    names: list[str] = []

    def read_tokenizer(name: str) -> FakeTokenizer:
        names.append(name)
        return FakeTokenizer()

    module = ModuleType("spacy_bertft.checkpoints")
    module.__dict__["read_tokenizer"] = read_tokenizer
    monkeypatch.setitem(sys.modules, "spacy_bertft.checkpoints", module)
    return names


def test_words_only(source: Path) -> None:
    result = CliRunner().invoke(app, ["stats", str(source)])
    assert result.exit_code == 0, result.output
    assert "[x]" in result.stdout
    assert "2 texts; subword tokens not counted" in result.stdout


def test_columns(source: Path) -> None:
    source.write_text("1\tAnna\tB-PER\tO\n2\truns\tO\tB-X\n")
    result = CliRunner().invoke(app, ["stats", str(source), "--word-column", "2", "--tag-column", "3"])
    assert result.exit_code == 0, result.output
    assert "PER" in result.stdout
    assert "words in column 2, tags in column 3 of 4" in " ".join(result.stdout.split())


def test_with_an_encoder_and_a_plot(source: Path, tmp_path: Path, encoders: list[str]) -> None:
    pytest.importorskip("matplotlib")
    plot = tmp_path / "a.html"
    options = ["--encoder", "some/encoder", "--window", "10", "--plot", str(plot)]
    result = CliRunner().invoke(app, ["stats", str(source), *options])
    assert result.exit_code == 0, result.output
    assert encoders == ["some/encoder"]
    assert "1 (50.00%) longer than a window of 10 subword tokens" in result.stdout
    assert plot.read_text(encoding="utf-8").startswith("<!doctype html>")


def test_an_error_is_one_line(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["stats", str(tmp_path / "missing.bio")])
    assert result.exit_code == 1
    assert result.stderr == f"Error: {tmp_path / 'missing.bio'}: no such file. Expected the path of a file.\n"


def test_labels_of_texts(tmp_path: Path) -> None:
    source, binary = tmp_path / "a.csv", tmp_path / "a.spacy"
    source.write_text("text,label\na,ham\nb,spam\nc,ham\n")
    assert CliRunner().invoke(app, ["convert", "--as", "cats", str(source), str(binary)]).exit_code == 0
    result = CliRunner().invoke(app, ["stats", "--as", "cats", str(binary)])
    assert result.exit_code == 0, result.output
    assert "66.7%" in result.stdout
