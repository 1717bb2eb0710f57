"""Commands on a disk that fails: what they are, and what must be there afterwards."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

OLD, NEW = "old", "new"
_HIDDEN = re.compile(r"\..+\.[0-9a-f]{32}\.(tmp|old)")
# What differs from run to run.
_CLOCK = re.compile(rb'in [\d,]+ s\b|"speed": ?[\d.]+|[\d,]+ words per second')

Content = Mapping[str, bytes]


@dataclass(frozen=True)
class Command:
    """A command whose output takes the place of an earlier one.

    Attributes:
        name: What it is called in a test.
        first: Its arguments for the earlier output; none where that is there already.
        second: Its arguments for the new output. `{inputs}` stands for the folder of the inputs.
        outputs: Files and folders that it writes.
        are_joint: Whether after an error all of them are old or all are new.
        copied: A folder of the inputs that it works on, where it changes something in place.
    """

    name: str
    first: str
    second: str
    outputs: Sequence[str]
    are_joint: bool = True
    copied: str | None = None


_TEXTS = "{inputs}/texts.txt"
_OTHERS = Path(__file__).parent / "saved" / "other-packages" / "spacy-transformers-bert" / "pipeline"
COMMANDS = [
    Command(
        "convert",
        "convert {inputs}/films.bio c.spacy --dev 0.2 --test 0.2 --seed 1",
        "convert {inputs}/films.bio c.spacy --dev 0.2 --test 0.2 --seed 2",
        ("c.spacy", "c-dev.spacy", "c-test.spacy"),
    ),
    Command(
        "convert --as cats",
        "convert {inputs}/spam.csv c.spacy --as cats --dev 0.2 --seed 1",
        "convert {inputs}/spam.csv c.spacy --as cats --dev 0.2 --seed 2",
        ("c.spacy", "c-dev.spacy"),
    ),
    Command("stats", "stats {inputs}/dev.spacy --plot s.html", "stats {inputs}/films.bio --plot s.html", ["s.html"]),
    Command("fetch", "fetch {inputs}/electra encoder", "fetch {inputs}/bert encoder", ["encoder"]),
    Command(
        "pretrain",
        f"pretrain {_TEXTS} adapted --encoder {{inputs}}/bert --steps 1 --seed 1 --dev 0.3",
        f"pretrain {_TEXTS} adapted --encoder {{inputs}}/bert --steps 1 --seed 2 --dev 0.3",
        ["adapted"],
    ),
    Command(
        "import-hf",
        "import-hf {inputs}/head imported --labels O,B-A,I-A",
        "import-hf {inputs}/head imported --labels O,B-B,I-B",
        ["imported"],
    ),
    Command(
        "export-hf",
        "export-hf {inputs}/pipeline exported --component bert_ner",
        "export-hf {inputs}/pipeline exported --component bert_textcat",
        ["exported"],
    ),
    Command(
        "migrate",
        f"migrate {_OTHERS} migrated --precision fp32",
        f"migrate {_OTHERS} migrated --precision bf16",
        ["migrated"],
    ),
    Command("calibrate", "", "calibrate pipeline {inputs}/dev.spacy", ["pipeline"], copied="pipeline"),
    Command(
        "calibrate --output",
        "calibrate {inputs}/pipeline {inputs}/dev.spacy --output calibrated",
        "calibrate {inputs}/pipeline {inputs}/other.spacy --output calibrated",
        ["calibrated"],
    ),
    Command(
        "package",
        "package {inputs}/pipeline packages --build none",
        "package {inputs}/pipeline packages --build none --force --precision bf16",
        ["packages/en_pipeline-0.0.0"],
    ),
    Command(
        "evaluate",
        "evaluate {inputs}/pipeline {inputs}/other.spacy --output e.json --plot e.html",
        "evaluate {inputs}/pipeline {inputs}/dev.spacy --output e.json --plot e.html",
        ("e.json", "e.html"),
        are_joint=False,
    ),
    Command(
        "report",
        "report {inputs}/pipeline {inputs}/other.spacy r.html --resamples 50",
        "report {inputs}/pipeline {inputs}/dev.spacy r.html --resamples 50",
        ["r.html"],
    ),
    Command(
        "explain",
        "explain {inputs}/pipeline {inputs}/other.spacy --method attention --html x.html",
        "explain {inputs}/pipeline {inputs}/dev.spacy --method attention --html x.html",
        ["x.html"],
    ),
    Command(
        "suggest",
        f"suggest {{inputs}}/pipeline {_TEXTS} -o t.jsonl --n-texts 1",
        f"suggest {{inputs}}/pipeline {_TEXTS} -o t.jsonl --n-texts 2",
        ["t.jsonl"],
    ),
    # A pipeline that is saved over another one. What spaCy itself writes, it writes in place.
    Command(
        "save",
        "save {inputs}/other_pipeline saved",
        "save {inputs}/pipeline saved",
        ("saved/bert_ner", "saved/bert_encoder", "saved/bert_textcat"),
        are_joint=False,
    ),
]


class Server:
    """Runs commands in forks of a process that has imported everything."""

    def __init__(self) -> None:
        script = Path(__file__).with_name("faulty_disk.py")
        environment = {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "NO_COLOR": "1", "COLUMNS": "300"}
        self._process = subprocess.Popen(
            [sys.executable, str(script)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            bufsize=1,
            env={**os.environ, **environment},
        )

    def run(self, job: Mapping[str, Any]) -> int:
        """Run a job to its end, and return its exit code, below zero for a signal."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(job) + "\n")
        return int(self._process.stdout.readline())

    def close(self) -> None:
        """End the server."""
        self._process.communicate()


@dataclass
class Trial:
    """A command, its earlier output and its new one, and a folder where it is run again and again.

    Attributes:
        command: The command.
        server: Who runs it.
        inputs: The folder of the inputs.
        home: A folder of its own. In it stand `disk`, where the command is run, and copies of that.
        changes: What the command changes on the disk, one after the other, when nothing fails.
        outcomes: How often which fault had which outcome.
    """

    command: Command
    server: Server
    inputs: Path
    home: Path
    changes: list[str] = field(default_factory=list)
    outcomes: Counter[tuple[str, str]] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self.disk.mkdir(parents=True)
        if self.command.copied:
            shutil.copytree(self.inputs / self.command.copied, self.disk / self.command.copied)
        if self.command.first:
            assert self.run(self.command.first) == 0, self.read_said()
        shutil.copytree(self.disk, self.home / OLD)
        changes = self.home / "changes.json"
        assert self.run(self.command.second, kind="", changes=str(changes)) == 0, self.read_said()
        shutil.copytree(self.disk, self.home / NEW)
        self.changes = json.loads(changes.read_bytes())
        self.contents = {name: self._read_outputs(self.home / name) for name in (OLD, NEW)}
        for name in self.command.outputs:
            assert self.contents[OLD][name] != self.contents[NEW][name], f"{name} does not change"

    @property
    def disk(self) -> Path:
        """Where the command is run."""
        return self.home / "disk"

    def restore(self) -> None:
        """Put the earlier output back, and nothing else."""
        _empty(self.disk)
        shutil.copytree(self.home / OLD, self.disk, dirs_exist_ok=True)

    def run(self, arguments: str, **options: Any) -> int:
        """Run the command, with more options of a job, and return its exit code."""
        words = [word.format(inputs=self.inputs) for word in arguments.split()]
        said = str(self.home / "said")
        return self.server.run({"arguments": words, "cwd": str(self.disk), "said": said, **options})

    def measure(self) -> int:
        """Return the size of the largest file that is new, in bytes."""
        return max(
            len(content)
            for name in self.command.outputs
            for file, content in self.contents[NEW][name].items()
            if self.contents[OLD][name].get(file) != content
        )

    def read_said(self) -> str:
        """Read what the command has printed."""
        return (self.home / "said").read_text()

    def break_off(self, kind: str, at: int) -> str:
        """Run the command for its new output while something fails, and check what it leaves.

        Args:
            kind: The fault: `kill`, `term`, `full` or `lost`.
            at: At which change on the disk, from 1.

        Returns:
            `old` or `new`, or `both` where some of its outputs are new.
        """
        self.restore()
        return self.check(kind, self.run(self.command.second, kind=kind, at=at))

    def check(self, kind: str, code: int) -> str:
        """Check the exit code, what was printed, and what is on the disk; run the command again where that may matter.

        Returns:
            As for `break_off`.
        """
        said, outcome, left = self.read_said(), self.find_outcome(), self.find_left()
        assert "Traceback" not in said, said
        if code == 0:
            assert outcome == NEW, "it says that all is well"
        elif kind in ("kill", "term"):
            assert code == {"kill": -9, "term": -15}[kind], said
        else:
            assert code == 1, said
            last = said.splitlines()[-1]
            assert re.fullmatch(r"Error: .*", last), said
            if self.command.name != "save":  # spaCy itself does not name every file
                assert str(self.disk) in last or any(name in last for name in self.command.outputs), said
            assert not _HIDDEN.search(last), said
        if kind in ("term", "full") and self.command.are_joint:
            assert outcome != "both"
        if kind in ("term", "full"):
            assert not left
        self.outcomes[kind, outcome] += 1
        if kind == "kill" or left:
            assert self.run(self.command.second) == 0, self.read_said()
            assert self.find_outcome() == NEW
            assert not self.find_left()
        return outcome

    def find_outcome(self) -> str:
        """Find out whether the earlier outputs are there, or the new ones; all of them are whole."""
        found = self._read_outputs(self.disk)
        states = set()
        for name, content in found.items():
            matching = [state for state in (OLD, NEW) if content == self.contents[state][name]]
            assert matching, f"{name} is neither: {_compare(content, self.contents[NEW][name])}"
            states.update(matching)
        return "both" if len(states) > 1 else states.pop()

    def find_left(self) -> list[str]:
        """Find temporary files and folders."""
        return [str(path.relative_to(self.disk)) for path in self.disk.rglob("*") if _HIDDEN.fullmatch(path.name)]

    def _read_outputs(self, folder: Path) -> dict[str, Content]:
        return {name: _read(folder / name) for name in self.command.outputs}


@contextmanager
def serve() -> Iterator[Server]:
    """Give a server, and end it."""
    server = Server()
    try:
        yield server
    finally:
        server.close()


def _read(path: Path) -> Content:
    paths = [each for each in path.rglob("*") if each.is_file()] if path.is_dir() else [path]
    return {
        str(each.relative_to(path)): _CLOCK.sub(b"", each.read_bytes())
        for each in paths
        if each.exists() and not _HIDDEN.search(str(each.relative_to(path)))
    }


def _compare(one: Content, other: Content) -> list[str]:
    return sorted(name for name in {*one, *other} if one.get(name) != other.get(name))


def _empty(folder: Path) -> None:
    for path in folder.iterdir():
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()
