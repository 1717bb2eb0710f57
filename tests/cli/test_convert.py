from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from spacy_bertft.cli import app

FILMS = "O\tfilms\nB-ACTOR\tdrew\nI-ACTOR\tbarrymore\n\nB-YEAR\t1980s\n"


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "a.bio"
    path.write_text(FILMS)
    return path


def run_python(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    root = str(Path(__file__).parents[2])
    path = os.pathsep.join([root, *environment.values()])
    return subprocess.run(
        [sys.executable, *arguments], capture_output=True, text=True, env={**os.environ, "PYTHONPATH": path}
    )


def test_convert_prints_its_report(source: Path, tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["convert", str(source), str(source), str(tmp_path / "b.spacy")])
    assert result.exit_code == 0, result.output
    assert "ACTOR" in result.stdout
    assert "10 lines of 2 files read" in result.stdout
    assert (tmp_path / "b.spacy").is_file()


def test_every_option_arrives(source: Path, tmp_path: Path) -> None:
    source.write_text("dogs NNS\nrun VBP\n\ncats NNS\n")
    options = ["--as", "tags", "--tag-column", "last", "--dev", "0.5", "--dev-path", str(tmp_path / "d.spacy")]
    options += ["--seed", "1", "--n-sents", "2", "--lang", "xx", "--orphans", "repair", "--scheme", "bio"]
    result = CliRunner().invoke(app, ["convert", str(source), str(tmp_path / "b.spacy"), *options])
    assert result.exit_code == 0, result.output
    assert "plain tags" in result.stdout
    assert (tmp_path / "d.spacy").is_file()


def test_an_error_is_one_line(source: Path, tmp_path: Path) -> None:
    source.write_text("a\tB-X\n\nb\tI-X\n")
    result = CliRunner().invoke(app, ["convert", str(source), str(tmp_path / "b.spacy")])
    assert result.exit_code == 1
    assert result.stderr == (
        f"Error: {source}, line 3: tag 'I-X' opens the sentence. "
        "Expected B-X; pass --orphans repair to read it as B-X.\n"
    )
    assert not (tmp_path / "b.spacy").exists()


def test_as_a_module(source: Path, tmp_path: Path) -> None:
    result = run_python("-m", "spacy_bertft", "convert", str(source), str(tmp_path / "b.spacy"))
    assert (result.returncode, result.stderr) == (0, "")
    assert "5 lines of 1 file read" in result.stdout


def test_as_a_command_of_spacy(source: Path, tmp_path: Path) -> None:
    # What an installed package tells spaCy, without installing one.
    info = tmp_path / "plugin" / "bertft_plugin-0.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: bertft-plugin\nVersion: 0.0\n")
    (info / "entry_points.txt").write_text("[spacy_cli]\nbertft = spacy_bertft.cli:app\n")
    command = ["-m", "spacy", "bertft", "convert", str(source)]
    result = run_python(*command, str(tmp_path / "b.spacy"), plugin=str(info.parent))
    assert result.returncode == 0, result.stderr
    assert (tmp_path / "b.spacy").is_file()
    result = run_python(*command, str(tmp_path / "b.txt"), plugin=str(info.parent))
    assert result.returncode == 1
    assert result.stderr.startswith("Error: output = ")


def test_the_door_is_light() -> None:
    heavy = ("spacy", "torch", "transformers", "tokenizers", "matplotlib")
    code = f"import sys, spacy_bertft.cli; print([name for name in {heavy} if name in sys.modules])"
    result = run_python("-c", code)
    assert result.stdout.strip() == "[]", result.stderr
