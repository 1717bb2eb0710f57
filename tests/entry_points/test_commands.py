from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType

import pytest
from installed import run_python, write_metadata

from spacy_bertft.entry_points import commands
from spacy_bertft.entry_points.commands import run_commands

# The typer that is installed, with an argument without which versions before 0.9 raise.
OLD_TYPER = """
import sys
from importlib.machinery import PathFinder
from importlib.util import module_from_spec
from pathlib import Path

spec = PathFinder.find_spec("typer", [path for path in sys.path if Path(path) != Path(__file__).parent])
typer = sys.modules["typer"] = module_from_spec(spec)
spec.loader.exec_module(typer)
make_argument = typer.Argument

def Argument(default, *args, **settings):
    return make_argument(default, *args, **settings)

typer.Argument = Argument
"""
SCRIPT = "import sys; from spacy_bertft.entry_points.commands import run_commands; sys.exit(run_commands())"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_metadata(tmp_path)
    return tmp_path


@pytest.fixture
def old_typer(folder: Path) -> Path:
    (folder / "typer.py").write_text(OLD_TYPER)
    info = folder / "typer-0.7.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: typer\nVersion: 0.7.0\n")
    return folder


@pytest.mark.process
@pytest.mark.parametrize(("command", "found"), [("--help", "Fine-tuned BERT in a spaCy pipeline."), ("info", "spaCy")])
def test_commands_of_spacy_work_with_an_old_typer(old_typer: Path, command: str, found: str) -> None:
    done = run_python("-m", "spacy", command, folder=old_typer)
    assert done.returncode == 0, done.stderr
    assert found in done.stdout


@pytest.mark.process
@pytest.mark.parametrize("start", [("-m", "spacy", "bertft"), ("-m", "spacy_bertft"), ("-c", SCRIPT)])
def test_our_commands_say_in_one_line_that_typer_is_too_old(old_typer: Path, start: tuple[str, ...]) -> None:
    done = run_python(*start, "--help", folder=old_typer)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        "Error: This command needs typer>=0.16 (0.7.0 is installed). Install it with: pip install 'typer>=0.16' "
        "[TypeError: Argument() missing 1 required positional argument: 'default']\n"
    )


@pytest.mark.process
def test_spacy_passes_arguments_on_as_they_are(folder: Path) -> None:
    done = run_python("-m", "spacy", "bertft", "stats", "--", "--x", folder=folder)
    assert (done.returncode, done.stderr) == (1, "Error: --x: no such file. Expected the path of a file.\n")
    done = run_python("-m", "spacy", "bertft", "stats", "--help", folder=folder)
    assert "Usage: python -m spacy bertft stats" in done.stdout
    assert done.returncode == 0


class App(ModuleType):
    """A command line that fails."""

    def __init__(self, error: Exception) -> None:
        super().__init__("spacy_bertft.cli")
        self.error = error

    def app(self, arguments: list[str], prog_name: str) -> None:
        raise self.error


BUG, OURS = KeyError("bug"), ImportError("no name", name="spacy_bertft.cli.nothing")
BROKEN = ImportError("libcudart.so.12: cannot open shared\nobject file", name="torch._C")


@pytest.mark.parametrize("error", [BUG, OURS])
def test_a_bug_of_ours_keeps_its_traceback(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    monkeypatch.setitem(sys.modules, "spacy_bertft.cli", App(error))
    monkeypatch.setattr(commands, "find_unmet", dict)
    with pytest.raises(type(error)) as caught:
        run_commands([])
    assert caught.value is error


@pytest.mark.parametrize(
    ("error", "unmet", "expected"),
    [
        (
            BROKEN,
            {},
            "Error: This command cannot be used: ImportError: libcudart.so.12: cannot open shared object file. "
            "Run `pip check`, or install again what is broken.",
        ),
        (
            BUG,
            {"torch>=2.6": "2.0", "srsly>=2": ""},
            "Error: This command needs torch>=2.6 (2.0 is installed), srsly>=2 (not installed). "
            "Install it with: pip install 'torch>=2.6' 'srsly>=2' [KeyError: 'bug']",
        ),
    ],
)
def test_what_the_environment_lacks_is_one_line(
    monkeypatch: pytest.MonkeyPatch, error: Exception, unmet: dict[str, str], expected: str
) -> None:
    monkeypatch.setitem(sys.modules, "spacy_bertft.cli", App(error))
    monkeypatch.setattr(commands, "find_unmet", lambda: unmet)
    with pytest.raises(SystemExit) as caught:
        run_commands([])
    assert caught.value.code == expected
