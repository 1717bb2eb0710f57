"""Runs of `annotate` in processes of their own, to be broken: what they read, and what must be there in the end."""

from __future__ import annotations

import gzip
import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil
from small_checkpoints import make_sentences
from taught_pipelines import GOLD, make_taught_pipeline
from waiting import PATIENCE

SHARD_ROWS = 50
N_BAD = 6


def save_pipeline(checkpoint: str, folder: Path) -> Path:
    """Save a pipeline that finds entities and categories in the texts that `write_inputs` writes."""
    gold = {factory: GOLD[factory] for factory in ("bert_ner", "bert_textcat")}
    make_taught_pipeline(checkpoint, gold).to_disk(folder)
    return folder


def write_inputs(folder: Path, n_rows: int) -> list[Path]:
    """Write three files of three formats with two bad rows in each, not all of them at the same place of a shard."""
    folder.mkdir(parents=True)
    texts = make_sentences(n_rows)
    third = n_rows // 3
    objects = [json.dumps({"id": i, "text": text}) for i, text in enumerate(texts[:third])]
    objects[third // 2 : third // 2] = ["{not JSON", '{"id": 1, "body": "no text"}']
    cells = [f'{i},"{text}"' for i, text in enumerate(texts[third : 2 * third], third)]
    cells[7:7] = ["7,one cell,too many"]
    lines = [text.encode() for text in texts[2 * third :]]
    lines[-3:-3] = [b"not UTF-8: \xff", b"", b"\xfe"]
    contents = {
        "a.jsonl.gz": gzip.compress("\n".join(objects).encode(), mtime=0),
        "b.csv": "\n".join(["id,text", *cells, '8,"never closed']).encode(),
        "c.txt": b"\n".join(lines),
    }
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    return [folder / name for name in contents]


def read_files(folder: Path) -> dict[str, bytes]:
    """Read all files in a folder, those in its folders too."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@dataclass
class Task:
    """What is to be annotated, and where to.

    Attributes:
        pipeline: Folder of the pipeline.
        inputs: The files.
        output: Folder of the output.
        environment: Variables for the processes, in addition to those of this one.
    """

    pipeline: Path
    inputs: list[Path]
    output: Path
    environment: Mapping[str, str] = field(default_factory=dict)

    def start(self, *options: object) -> Run:
        """Start the command, as a user types it."""
        arguments = [self.pipeline, *self.inputs, self.output, "--shard-rows", SHARD_ROWS, *options]
        return Run(["-m", "spacy_bertft", "annotate", *map(str, arguments)], self.environment)

    def finish(self, *options: object) -> str:
        """Run the command to its end, and return what it printed."""
        with self.start(*options) as run:
            code, printed = run.wait()
        assert code == 0, printed
        return printed

    def find_reports(self) -> list[Path]:
        """Find the reports of shards that are done, while the run is not over."""
        return list((self.output / "_unfinished").glob("part-*.json"))

    def find_shards(self) -> dict[str, int]:
        """Find the shards that are reported as done, and when each was written."""
        paths = [self.output / report.with_suffix(".jsonl").name for report in self.find_reports()]
        return {path.name: path.stat().st_mtime_ns for path in paths if path.exists()}

    def is_over(self) -> bool:
        """Return whether the run has said that it is over."""
        path = self.output / "run.json"
        return path.exists() and json.loads(path.read_bytes())["done"] is not None


class Run:
    """Python in a session of its own; whatever it has started and left is gone at the end.

    Args:
        arguments: Of Python.
        environment: Variables, in addition to those of this process.
    """

    def __init__(self, arguments: list[str], environment: Mapping[str, str]) -> None:
        # A test may itself run in the background, where SIGINT is ignored.
        before = signal.signal(signal.SIGINT, signal.default_int_handler)
        try:
            self.process = subprocess.Popen(
                [sys.executable, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                env={**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", **environment},
            )
        finally:
            signal.signal(signal.SIGINT, before)

    def __enter__(self) -> Run:
        return self

    def __exit__(self, *_: object) -> None:
        # By the session: the processes of Ray are no children of ours once their parents are dead.
        for process in [self.process, *self.find_processes()]:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        self.process.communicate()

    def wait(self) -> tuple[int, str]:
        """Wait for the end, and return the exit code and what was printed."""
        printed, _ = self.process.communicate(timeout=PATIENCE)
        return self.process.returncode, printed.decode()

    def is_running(self) -> bool:
        """Return whether the command itself runs."""
        return self.process.poll() is None

    def kill(self) -> int:
        """Kill the command and those of its children that are in its group, and return its exit code."""
        os.killpg(self.process.pid, signal.SIGKILL)
        return self.process.wait()

    def find_processes(self, name: str = "") -> list[psutil.Process]:
        """Find the living processes of the session, other than the first, by a part of their command lines."""
        found = []
        for process in psutil.process_iter():
            # Any of them may end at any moment; a zombie, which nobody has waited for, has no command line.
            with suppress(ProcessLookupError, psutil.NoSuchProcess):
                is_other = process.pid != self.process.pid and os.getsid(process.pid) == self.process.pid
                if is_other and name in " ".join(process.cmdline()):
                    found.append(process)
        return found
