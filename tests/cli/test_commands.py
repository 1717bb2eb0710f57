"""Every command is what the declaration of its function says."""

from __future__ import annotations

import inspect
from importlib import import_module

import pytest
from typer.testing import CliRunner

from spacy_bertft.cli import app
from spacy_bertft.cli.commands import COMMANDS
from spacy_bertft.cli.declarations import read_declaration

FUNCTIONS = sorted({function for command in COMMANDS for function in command.functions})
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
    assert general < shown.index("--as ") < columns < shown.index("--orphans") < texts < shown.index("--label-names")


@pytest.mark.parametrize(
    ("command", "options"),
    [
        ("calibrate", ["--output", "--test", "--plot", "--gpu-id"]),
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
