from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from installed import write_metadata
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
    options = [
        "--as",
        "tags",
        "--tag-column",
        "last",
        "--word-column",
        "1",
        "--dev",
        "0.5",
        "--dev-path",
        str(tmp_path / "d.spacy"),
    ]
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
    write_metadata(tmp_path / "installed")
    command = ["-m", "spacy", "bertft", "convert", str(source)]
    result = run_python(*command, str(tmp_path / "b.spacy"), installed=str(tmp_path / "installed"))
    assert result.returncode == 0, result.stderr
    assert (tmp_path / "b.spacy").is_file()


@pytest.mark.process
def test_an_error_of_a_command_of_spacy(source: Path, tmp_path: Path) -> None:
    write_metadata(tmp_path / "installed")
    command = ["-m", "spacy", "bertft", "convert", str(source)]
    result = run_python(*command, str(tmp_path / "b.txt"), installed=str(tmp_path / "installed"))
    assert result.returncode == 1
    assert result.stderr.startswith("Error: output = ")


@pytest.mark.process
def test_the_door_is_light() -> None:
    heavy = ("spacy", "torch", "transformers", "tokenizers", "matplotlib")
    code = f"import sys, spacy_bertft.cli; print([name for name in {heavy} if name in sys.modules])"
    result = run_python("-c", code)
    assert result.stdout.strip() == "[]", result.stderr


def test_labelled_texts(tmp_path: Path) -> None:
    source, names, output = tmp_path / "messages", tmp_path / "names", tmp_path / "a.spacy"
    source.write_text('0|1\tb"\t"a\n' + "".join(f"1\t{number}\tx\n" for number in range(9)))
    names.write_text("ham\nspam\n")
    options = ["--as", "cats", "--format", "tsv", "--no-header", "--no-quoting", "--text-column", "2"]
    options += ["--second-text-column", "3", "--label-column", "1", "--label-separator", "|", "--lang", "xx"]
    options += ["--label-names", str(names), "--dev", "0.2", "--dev-path", str(tmp_path / "d.spacy"), "--test", "0.1"]
    options += ["--test-path", str(tmp_path / "t.spacy"), "--seed", "3", "--first-label", "0"]
    result = CliRunner().invoke(app, ["convert", str(source), str(output), *options])
    assert result.exit_code == 0, result.output
    assert "a.spacy   d.spacy   t.spacy" in result.stdout
    assert "ham" in result.stdout
    assert "10 lines of 1 file read" in result.stdout


@pytest.mark.parametrize(
    ("options", "name", "kind"),
    [
        (["--as", "cats", "--scheme", "bio"], "scheme", "cats"),
        (["--as", "cats", "--tag-column", "last"], "tag_column", "cats"),
        (["--as", "cats", "--word-column", "1"], "word_column", "cats"),
        (["--first-label", "1"], "first_label", "ents"),
        (["--as", "cats", "--n-sents", "1"], "n_sents", "cats"),
        (["--as", "cats", "--orphans", "error"], "orphans", "cats"),
        (["--format", "csv", "--scheme", "bio"], "scheme", "cats"),
        (["--as", "tags", "--no-header"], "header", "tags"),
        (["--label-separator", ","], "label_separator", "ents"),
    ],
)
def test_options_of_another_kind_are_refused(
    source: Path, tmp_path: Path, options: list[str], name: str, kind: str
) -> None:
    result = CliRunner().invoke(app, ["convert", str(source), str(tmp_path / "b.spacy"), *options])
    assert result.exit_code == 1
    assert result.stderr.startswith(f"Error: {name} = ")
    assert result.stderr.endswith(f"Expected no such option with --as {kind}.\n")


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (["--lang", "zz"], "Can't import language zz"),
        (["--lang", "punctuation"], "no attribute"),  # a module of spaCy's that has the place of a language
        (["--lang", "ja"], "SudachiPy"),
    ],
)
def test_a_language_that_spacy_cannot_use(source: Path, tmp_path: Path, options: list[str], reason: str) -> None:
    result = CliRunner().invoke(app, ["convert", str(source), str(tmp_path / "b.spacy"), *options])
    assert result.exit_code == 1
    assert result.stderr.startswith(f"Error: lang = '{options[1]}'. Expected a language code that spaCy can use, such")
    assert reason in result.stderr
    assert result.stderr.count("\n") == 1


@pytest.mark.parametrize("number", ["1" * 20, "1" * 5000])
def test_numbers_without_end(source: Path, tmp_path: Path, number: str) -> None:
    output = str(tmp_path / "b.spacy")
    # As many sentences as a file can hold, and more, go into one document.
    result = CliRunner().invoke(app, ["convert", str(source), output, "--n-sents", "1" * 20])
    assert result.exit_code == 0, result.output
    texts, names = tmp_path / "a.csv", tmp_path / "names"
    texts.write_text(f"text,label\na,{number}\n")
    names.write_text("ham\nspam\n")
    labels = CliRunner().invoke(app, ["convert", "--as", "cats", str(texts), output, "--label-names", str(names)])
    assert labels.stderr.startswith(f"Error: {texts}, line 2: the label is '111111")
    columns = CliRunner().invoke(app, ["convert", "--as", "cats", str(texts), output, "--text-column", number])
    assert columns.stderr.startswith(f"Error: {texts}, line 2: there is no column '11111")
    assert (labels.exit_code, columns.exit_code) == (1, 1)


def test_an_unknown_kind(source: Path, tmp_path: Path) -> None:
    result = CliRunner().invoke(
        app, ["convert", str(source), str(tmp_path / "b.spacy"), "--as", "parts"], env={"COLUMNS": "200"}
    )
    assert result.exit_code == 2
    assert "'parts' is not one of 'ents', 'tags', 'spans', 'cats'" in result.stderr
    assert not (tmp_path / "b.spacy").exists()


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("folder.csv", "this is a directory. Expected the path of a file."),
        ("missing.csv", "no such file. Expected the path of a file."),
        ("missing", "no such file. Expected the path of a file."),
        ("empty.csv", "no text. Expected rows with a text and a label."),
        ("empty.jsonl", "no text. Expected rows with a text and a label."),
        ("header.csv", "no text. Expected rows with a text and a label."),
    ],
)
def test_files_without_texts(tmp_path: Path, name: str, message: str) -> None:
    (tmp_path / "folder.csv").mkdir()
    for empty in ("empty.csv", "empty.jsonl"):
        (tmp_path / empty).touch()
    (tmp_path / "header.csv").write_text("text,label\n")
    source, output = tmp_path / name, tmp_path / "a.spacy"
    result = CliRunner().invoke(app, ["convert", "--as", "cats", str(source), str(output)])
    assert (result.exit_code, result.stderr) == (1, f"Error: {source}: {message}\n")
    assert not output.exists()


@pytest.mark.parametrize(
    ("content", "options", "name", "kind", "example"),
    [
        ("a B-X\nb O\n", [], "columns", "ents", "[a](X) b"),
        ("a B-X\nb O\n", ["--as", "tags"], "columns", "tags", "a/B-X b/O"),
        ("1\ta\t_\tN\t_\t_\t0\troot\t_\t_\n", [], "conllu", "tags", "a/N"),
        ("text,label\na b,x\n", [], "csv", "cats", "a b x=1"),
        ("label\ttext\nx\ta b\n", [], "tsv", "cats", "a b x=1"),
        ("text,n\na,5\n", ["--number-columns", "n"], "csv", "numbers", "a n=5"),
        ('{"text": "a", "label": "x"}\n', [], "jsonl", "cats", "a x=1"),
        ('{"text": "a b", "spans": [[0, 1, "X"]]}\n', [], "spans", "ents", "[a](X) b"),
        ('{"text": "a b", "spans": [[0, 1, "X"]]}\n', ["--format", "spans"], "spans", "ents", "[a](X) b"),
    ],
)
def test_the_format_is_found_in_the_content(
    tmp_path: Path, content: str, options: list[str], name: str, kind: str, example: str
) -> None:
    source, output = tmp_path / "data", tmp_path / "a.spacy"
    source.write_text(content)
    command = ["convert", str(source), str(output), *options]
    result = CliRunner().invoke(app, [*command, "--dry-run"])
    assert (result.exit_code, output.exists()) == (0, False), result.output
    assert result.stdout.startswith(f"Read as {name}, converted to {kind}.\n")
    assert result.stdout.endswith(f"\n{example}\n")
    assert CliRunner().invoke(app, command).exit_code == 0
    assert output.is_file()


@pytest.mark.parametrize(
    ("content", "looks"),
    [
        (b"a\0b", "a binary file"),
        (b" \n", "an empty file"),
        (b"<xml/>", "XML or HTML"),
        (b'{"a": 1, "b": 2}', "JSON objects with the fields a, b"),
        (rb'{"a": 1, "\ud800": 2}', r"JSON objects with the fields a, \ud800"),
        (b"a,b\n1,2\n", "rows with the cells a, b"),
        (b'"a\nb",c\n1,2\n', "rows with the cells a b, c"),
        (b"Hello there\n", "text without columns, which begins with 'Hello there'"),
    ],
)
def test_a_file_of_no_known_format_is_one_error(tmp_path: Path, content: bytes, looks: str) -> None:
    source = tmp_path / "data"
    source.write_bytes(content)
    result = CliRunner().invoke(app, ["convert", str(source), str(tmp_path / "a.spacy")])
    assert result.exit_code == 1
    assert result.stderr.startswith(f"Error: {source}: no labelled data of a known format; it looks like {looks}. Pass")
    assert result.stderr.count("\n") == 1


def test_a_format_that_is_not_of_a_kind(source: Path, tmp_path: Path) -> None:
    command = ["convert", str(source), str(tmp_path / "a.spacy"), "--format", "squad", "--as", "cats"]
    assert "Expected one of label-studio, dataturks, jsonl, " in CliRunner().invoke(app, command).stderr
    command = ["convert", str(source), str(tmp_path / "a.spacy"), "--format", "other"]
    assert CliRunner().invoke(app, command).stderr.startswith("Error: file_format = 'other'. Expected one of lists,")


def test_labelled_texts_are_quiet_in_a_pipe(tmp_path: Path) -> None:
    source = tmp_path / "a.csv"
    source.write_text("text,label\na,x\nb,y\n")
    result = CliRunner().invoke(app, ["convert", "--as", "cats", str(source), str(tmp_path / "b.spacy")])
    assert (result.exit_code, result.stderr) == (0, "")
    assert "3 lines of 1 file read" in result.stdout


@pytest.mark.process
def test_labelled_texts_are_quiet_in_a_pipe_of_a_process(tmp_path: Path) -> None:
    source = tmp_path / "a.csv"
    source.write_text("text,label\na,x\nb,y\n")
    result = run_python("-m", "spacy_bertft", "convert", "--as", "cats", str(source), str(tmp_path / "b.spacy"))
    assert (result.returncode, result.stderr) == (0, "")
    assert "3 lines of 1 file read" in result.stdout


def test_a_folder_that_is_no_folder_is_one_line(tmp_path):
    source = tmp_path / "source.bio"
    source.write_text("O\ta\n", encoding="utf-8")
    result = CliRunner().invoke(app, ["convert", str(source), str(source / "out.spacy")])
    assert result.exit_code == 1
    assert result.output.startswith("Error: ")
    assert len(result.output.splitlines()) == 1
