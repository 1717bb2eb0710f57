"""Commands as a user types them: in this process, or in one of their own, which needs seconds to import torch."""

from __future__ import annotations

import os
import subprocess
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import spacy
from spacy.cli import app as spacy_app
from typer import Typer
from typer.testing import CliRunner

from spacy_bertft.cli import app as our_app

_ENVIRONMENT = {"COLUMNS": "200", "NO_COLOR": "1", "HF_HUB_OFFLINE": "1"}
_APPS: dict[str, Typer] = {"spacy": spacy_app, "spacy_bertft": our_app}


def run(*arguments: object, cwd: Path, code: int = 0) -> str:
    """Run `spacy …` or `spacy_bertft …` in this process and return what it printed.

    Anything but success, or another exit code that is expected, is a failure of the test. Warnings are printed, as in a
    process of its own.
    """
    name, *rest = map(str, arguments)
    if name == "spacy":
        spacy.registry.cli.get_all()  # mounts ours
    with _in_folder(cwd), warnings.catch_warnings():
        warnings.simplefilter("default")
        warnings.simplefilter("ignore", ResourceWarning)  # spaCy's `package` closes no file
        done = CliRunner().invoke(_APPS[name], rest, env=_ENVIRONMENT, prog_name=f"python -m {name}")
    assert done.exit_code == code, f"{done.output}\n{done.exception!r}"
    return done.output


def run_python(*arguments: object, cwd: Path) -> str:
    """Run Python with some arguments in a process of its own and return what it printed, as `run` does."""
    environment = {**os.environ, **_ENVIRONMENT}
    command = [sys.executable, *map(str, arguments)]
    process = subprocess.run(command, capture_output=True, text=True, cwd=cwd, env=environment)
    assert process.returncode == 0, process.stdout + process.stderr
    return process.stdout + process.stderr


@contextmanager
def _in_folder(folder: Path) -> Iterator[None]:
    before = Path.cwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)
