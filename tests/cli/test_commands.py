"""Every command is what the declaration of its function says."""

from __future__ import annotations

import inspect
import sys
from importlib import import_module
from io import StringIO
from pathlib import Path

import pytest
from typer.main import get_command
from typer.testing import CliRunner

from spacy_bertft import __version__
from spacy_bertft.cli import app
from spacy_bertft.cli.commands import COMMANDS, _split_overrides
from spacy_bertft.cli.declarations import Declaration, read_declaration
from spacy_bertft.models.runtime import devices

FUNCTIONS = sorted({command.function for command in COMMANDS})
# As in spaCy's own commands.
LETTERS = {
    "-b": "--build",
    "-c": "--code",
    "-f": "--force",
    "-g": "--gpu-id",
    "-n": "--name",
    "-o": "--output",
    "-v": "--version",
}
SCHEMES = "bio iob1 iob2 biluo bilou bioes iobes"
CHOICES = {
    ("import-hf", "--precision"): "auto fp32 bf16 fp16",
    ("migrate", "--precision"): "auto fp32 bf16 fp16",
    ("annotate", "--engine"): "local ray",
    ("annotate", "--format"): "jsonl parquet docbin",
    ("audit", "--format"): "prodigy label-studio doccano",
    ("convert", "--as"): "ents tags spans cats numbers choices qa",
    ("convert", "--alignment-mode"): "expand contract strict",
    ("convert", "--orphans"): "error repair",
    ("convert", "--scheme"): f"{SCHEMES} bare",
    ("explain", "--method"): "attention rollout gradients",
    ("import-hf", "--factory"): "bert_ner bert_tagger bert_textcat bert_textcat_multilabel bert_regressor bert_qa "
    "bert_multiple_choice",
    ("import-hf", "--scheme"): f"{SCHEMES} bare",
    ("init-config",): "ner tagger textcat textcat-multilabel regressor shared few qa spancat multiple-choice",
    ("package", "--precision"): "fp32 bf16 fp16",
    ("package", "--runtime"): "torch openvino",
    ("pretrain", "--precision"): "auto fp32 bf16",
    ("stats", "--as"): "ents tags spans cats numbers",
    ("suggest", "--format"): "prodigy label-studio doccano",
}
PANELS = ["Start", "Data", "Train", "Evaluate", "Deploy", "Hugging Face"]


@pytest.mark.parametrize("target", FUNCTIONS)
def test_a_declaration_is_the_signature(target):
    module, _, name = target.partition(":")
    signature = inspect.signature(getattr(import_module(f"spacy_bertft.{module}"), name))
    declared = read_declaration(target).parameters
    expected = {
        name: (each.default, each.kind is each.KEYWORD_ONLY, each.annotation)
        for name, each in signature.parameters.items()
    }
    assert {each.name: (each.default, each.is_keyword, each.annotation) for each in declared.values()} == expected


@pytest.mark.parametrize("target", FUNCTIONS)
def test_every_parameter_has_help(target):
    declaration = read_declaration(target)
    assert declaration.help
    assert [each.name for each in declaration.parameters.values() if not each.help] == []


def test_panels():
    assert list(dict.fromkeys(command.panel for command in COMMANDS)) == PANELS
    shown = CliRunner().invoke(app, ["--help"]).output
    assert all(f"─ {panel} ─" in shown for panel in PANELS)


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.name)
def test_help_is_plain(command):
    shown = CliRunner().invoke(app, [command.name, "--help"], env={"COLUMNS": "200"})
    assert shown.exit_code == 0, shown.output
    assert "`" not in shown.output
    assert "default: None" not in shown.output


def test_options_of_one_kind_of_files_have_a_panel_of_their_own():
    shown = CliRunner().invoke(app, ["convert", "--help"], env={"COLUMNS": "200"}).output
    general, columns, texts = (shown.index(text) for text in ("─ Options ─", "─ Column files (", "─ Labelled texts ("))
    assert (
        general < shown.index("--as ") < columns < shown.index("--orphans") < texts < shown.index("--label-separator")
    )


@pytest.mark.parametrize(
    ("command", "options"),
    [
        ("audit", ["--output", "--jsonl", "--format", "--component", "--limit"]),
        ("calibrate", ["--output", "--test", "--plot", "--gpu-id"]),
        ("guarantee", ["--output", "--recall", "--component", "--test", "--gpu-id"]),
        ("convert", ["--dev", "--dev-path", "--test-path", "--format", "--no-header", "--second-text-column"]),
        ("explain", ["--html", "--limit", "--steps", "--component"]),
        ("export-hf", ["--component"]),
        ("import-hf", ["--factory", "--labels", "--pairs"]),
        ("report", ["--against", "--log", "--n-errors", "--resamples"]),
        ("suggest", ["--output", "--n-texts", "--format", "--component"]),
        ("train", ["--output", "--code", "--overwrite", "--gpu-id"]),
    ],
)
def test_how_options_are_spelled(command, options):
    shown = CliRunner().invoke(app, [command, "--help"], env={"COLUMNS": "200"}).output
    assert [option for option in options if f"{option} " not in shown] == []


@pytest.mark.parametrize(("arguments", "choices"), CHOICES.items(), ids=lambda each: "".join(each))
def test_choices_are_completed_and_others_refused(arguments, choices):
    completed = CliRunner().invoke(app, env=_complete(*arguments), prog_name="bertft")
    assert completed.output.split() == choices.split()
    refused = CliRunner().invoke(app, [*arguments, "other"], env={"COLUMNS": "200"})
    assert refused.exit_code == 2
    assert f"'other' is not one of {', '.join(map(repr, choices.split()))}." in refused.output


def test_a_choice_in_capitals_is_the_same(tmp_path):
    (tmp_path / "a.bio").write_text("Ada B-PER\n")
    done = CliRunner().invoke(app, ["stats", str(tmp_path / "a.bio"), "--as", "TAGS"])
    assert done.exit_code == 0, done.output
    assert "B-PER" in done.output


def test_every_choice_is_in_the_table():
    names = {
        (command.name, parameter.name)
        for command in COMMANDS
        for parameter in read_declaration(command.function).parameters.values()
        if parameter.choices
    }
    assert len(names) == len(CHOICES)


def test_a_letter_is_the_same_option_everywhere():
    options = [each.opts for command in get_command(app).commands.values() for each in command.params]
    letters = {(each, opts[0]) for opts in options for each in opts if len(each) == 2 and each[0] == "-"}
    assert sorted(letters) == sorted(LETTERS.items())


class Stream(StringIO):
    """Standard error, in a terminal or not."""

    def __init__(self, is_terminal):
        super().__init__()
        self.isatty = lambda: is_terminal


@pytest.mark.parametrize(
    ("arguments", "shown"),
    [
        (["evaluate", "model-best", "test.spacy"], "Loading model-best …\n"),
        (["stats", "a.bio", "b.bio"], "Loading a.bio, b.bio …\n"),
        (["init-config", "ner"], ""),
    ],
)
@pytest.mark.parametrize("is_terminal", [True, False])
def test_a_terminal_shows_at_once_what_is_loaded(monkeypatch, arguments, shown, is_terminal):
    stream, seen = Stream(is_terminal), []
    monkeypatch.setattr(sys, "stderr", stream)
    monkeypatch.setattr(devices, "use_gpu", lambda _: seen.append(stream.getvalue()))
    monkeypatch.setattr(Declaration, "call", lambda *_: seen.append(stream.getvalue()) or 1 / 0)
    with pytest.raises(ZeroDivisionError):
        app(arguments, standalone_mode=False)
    assert set(seen) == {shown if is_terminal else ""}


def _complete(*arguments):
    words = ["bertft", *arguments, ""]
    return {"_BERTFT_COMPLETE": "complete_bash", "COMP_WORDS": " ".join(words), "COMP_CWORD": str(len(words) - 1)}


def test_version():
    shown = CliRunner().invoke(app, ["--version"])
    assert (shown.exit_code, shown.stdout) == (0, f"spacy-bertft {__version__}\n")


def test_overrides_after_an_argument_of_many_values():
    given = {"teachers": ["one", "two", "--paths.train", "train.spacy"], "output": Path("out")}
    assert _split_overrides(given) == ["--paths.train", "train.spacy"]
    assert given == {"teachers": ["one", "two"], "output": Path("out")}
