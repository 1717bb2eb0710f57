"""`import spacy_bertft` costs nothing and has the functions behind the commands."""

from __future__ import annotations

import ast
import subprocess
import sys
from importlib import import_module
from importlib.metadata import version
from pathlib import Path

import pytest

import spacy_bertft
from spacy_bertft.cli.commands import COMMANDS

STUB = Path(spacy_bertft.__file__).with_suffix(".pyi")
FUNCTIONS = [name for name in spacy_bertft.__all__ if name != "__version__"]


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_function_is_that_of_the_stub(name):
    tree = ast.parse(STUB.read_text(encoding="utf-8"))
    [module] = [
        node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.names[0].name == name
    ]
    assert getattr(spacy_bertft, name) is getattr(import_module(module), name)
    assert callable(getattr(spacy_bertft, name))


def test_no_function_has_the_name_of_a_module():
    """To import that module would replace the function."""
    folder = Path(spacy_bertft.__file__).parent
    assert not {path.stem for path in folder.iterdir()} & set(FUNCTIONS)


def test_every_command_has_its_function():
    behind = {command.function.partition(":")[2] for command in COMMANDS}
    # `stats` prints what measure_corpus returns, `debug-data` what spaCy says;
    # `fetch` copies a checkpoint, `demo` serves.
    assert behind - set(FUNCTIONS) == {"stats", "debug_data", "copy_checkpoint", "open_demo"}


def test_version_and_names():
    assert spacy_bertft.__version__ == version("spacy-bertft")
    assert dir(spacy_bertft) == sorted(spacy_bertft.__all__)
    with pytest.raises(AttributeError, match="has no attribute 'converts'"):
        _ = spacy_bertft.converts


@pytest.mark.process
def test_importing_it_imports_nothing_of_others():
    code = (
        "import spacy_bertft, sys; print(*{name.partition('.')[0] for name in sys.modules} - sys.stdlib_module_names)"
    )
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", f"import sys; sys.path.append({str(STUB.parents[1])!r}); {code}"],
        check=True,
        capture_output=True,
        text=True,
    )
    assert set(done.stdout.split()) == {"spacy_bertft", "__main__"}
