from __future__ import annotations

import json
import os
import random
import re
import signal
from time import monotonic, sleep

import pytest
import spacy
import torch
from annotated_runs import N_BAD, SHARD_ROWS, read_files, write_inputs
from fsspec import register_implementation
from fsspec.implementations.local import LocalFileSystem
from typer.testing import CliRunner
from waiting import wait_until

from spacy_bertft.annotation import local
from spacy_bertft.annotation.annotate import annotate
from spacy_bertft.cli import app
from spacy_bertft.errors import SettingError
from spacy_bertft.models.runtime.processes import adapt_to_fork, count_workers

pytestmark = pytest.mark.process

# Restarts of the whole program, and enough rows for some to be left after each.
N_KILLS, N_ROWS = (10, 9000) if os.environ.get("KILLS") == "all" else (3, 6000)


class PowerCutError(BaseException):
    """Nothing catches it and goes on."""


class MortalFileSystem(LocalFileSystem):
    """A disk that is there for a number of changes only."""

    protocol = "mortal"
    n_changes_left = 0

    @classmethod
    def _strip_protocol(cls, path):
        # fsspec's own, until 2024, takes off no protocol but the one of its class.
        return super()._strip_protocol(str(path).removeprefix(f"{cls.protocol}://"))

    def _count(self):
        if type(self).n_changes_left == 0:
            raise PowerCutError
        type(self).n_changes_left -= 1

    def makedirs(self, path, exist_ok=False):
        self._count()
        super().makedirs(path, exist_ok)

    def _open(self, path, mode="rb", **options):
        if "w" in mode:
            self._count()
        return super()._open(path, mode, **options)

    def mv(self, path1, path2, **options):
        self._count()
        super().mv(path1, path2, **options)

    def rm(self, path, recursive=False, maxdepth=None):
        for file_path in self.find(path):
            self._count()
            super().rm(file_path)
        self._count()
        super().rm(path, recursive)


register_implementation("mortal", MortalFileSystem, clobber=True)


def test_a_run_may_end_after_any_change_on_the_disk(tmp_path):
    nlp = spacy.blank("en")
    nlp.add_pipe("entity_ruler").add_patterns([{"label": "MAN", "pattern": "bill murray"}])
    nlp.to_disk(tmp_path / "pipeline")
    pipeline = tmp_path / "pipeline"
    inputs = write_inputs(tmp_path / "input", 9)
    settings = {"shard_rows": 3, "batch_size": 2}
    annotate(pipeline, inputs, tmp_path / "unbroken", **settings)
    expected = read_files(tmp_path / "unbroken")
    n_changes, is_over = 0, False
    while not is_over:
        output = tmp_path / str(n_changes)
        MortalFileSystem.n_changes_left = n_changes
        try:
            annotate(pipeline, inputs, f"mortal://{output}", **settings)
            is_over = True
        except PowerCutError:
            annotate(pipeline, inputs, output, **settings)
        assert read_files(output) == expected, n_changes
        assert not (output / "_unfinished").exists(), n_changes
        n_changes += 1
    assert n_changes > 3 * len(expected)


def test_an_unbroken_run_has_every_row_once(expected):
    rows = [json.loads(line) for name in sorted(expected) if "part-" in name for line in expected[name].splitlines()]
    assert [int(row["id"]) for row in rows if "id" in row] == list(range(2 * N_ROWS // 3))
    assert len(rows) == N_ROWS
    assert any(row["ents"] for row in rows)
    assert len(expected["errors.jsonl"].splitlines()) == N_BAD


def test_a_run_that_is_killed_again_and_again_ends_as_an_unbroken_one(task, expected):
    rng = random.Random(8)
    n_steps = 0  # kills by which more was done than before
    for number in range(N_KILLS):
        before = task.find_shards()
        with task.start("--n-process", 1 + number % 2) as run:
            if number % 3 == 0:  # while it starts or plans
                end, n_enough = monotonic() + rng.uniform(0.1, 4), len(before) + 3
                wait_until(lambda e=end, n=n_enough: monotonic() > e or len(task.find_reports()) >= n)
            else:
                n_enough = len(before) + rng.randrange(1, 20)
                wait_until(lambda n=n_enough, run=run: len(task.find_reports()) >= n or not run.is_running())
                sleep(rng.uniform(0, 0.05))
            assert run.kill() == -signal.SIGKILL
        after = task.find_shards()
        assert not task.is_over()
        assert before.items() <= after.items()  # nothing was written again
        n_steps += len(after) > len(before)
    assert n_steps >= N_KILLS // 2
    assert f"{len(task.find_reports())} shards written before" in task.finish("--n-process", 2)
    assert after.items() <= {path.name: path.stat().st_mtime_ns for path in task.output.iterdir()}.items()
    assert read_files(task.output) == expected


def count_ready_children(run):
    """Count the children that are ready for signals: they follow their parent, in a second thread."""
    return sum(child.num_threads() > 1 for child in run.find_processes())


def test_a_run_of_two_processes_that_ends_early_leaves_no_child_behind_and_goes_on(task, expected):
    ends = {
        "SIGTERM": (lambda run: run.process.terminate(), (-signal.SIGTERM, "")),
        "SIGKILL": (lambda run: run.process.kill(), (-signal.SIGKILL, "")),
        # It goes to all processes of a terminal.
        "Ctrl+C": (lambda run: os.killpg(run.process.pid, signal.SIGINT), (130, "")),
        "a child that is killed": (
            lambda run: run.find_processes()[0].kill(),
            (
                1,
                "Error: A worker process failed: it was killed, perhaps for want of memory. "
                "Finished shards are kept; run the same command again to resume.\n",
            ),
        ),
    }
    for name, (end, result) in ends.items():
        n_before = len(task.find_reports())
        with task.start("--n-process", 2) as run:
            wait_until(lambda n=n_before, run=run: len(task.find_reports()) > n + 2 or not run.is_running())
            wait_until(lambda run=run: count_ready_children(run) == 2 or not run.is_running())
            assert run.is_running(), name
            end(run)
            assert run.wait() == result, name
            wait_until(lambda run=run: not run.find_processes())
        assert not task.is_over(), name
    task.finish("--n-process", 2)
    assert read_files(task.output) == expected


def test_the_memory_of_one_process_is_no_place_for_two(task):
    with pytest.raises(SettingError, match="a place that other processes can reach"):
        annotate(task.pipeline, task.inputs, "memory://output", n_process=2, shard_rows=SHARD_ROWS)


@pytest.mark.skipif(torch.cuda.is_available(), reason="needs a machine without a GPU")
@pytest.mark.parametrize("device", ["cuda", "cuda:1"])
def test_a_gpu_that_is_missing_is_one_line(task, device):
    arguments = [task.pipeline, *task.inputs, task.output, "--device", device]
    done = CliRunner().invoke(app, ["annotate", *map(str, arguments)])
    assert done.exit_code == 1
    assert re.fullmatch(r"Error: .*\n", done.stderr)
    assert f"device = '{device}'. Expected cpu; " in done.stderr
    assert not task.output.exists()


class ThreadCounter:
    """What a child is sent in place of an annotator: it tells how many passes run side by side there."""

    def __call__(self, chunk: int) -> int:
        adapt_to_fork()
        return count_workers()

    @property
    def worker(self) -> ThreadCounter:
        return self

    def find_gpu(self) -> None:
        return None


def test_children_share_the_threads(monkeypatch):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr(local, "count_threads", lambda: 7)
    assert list(local.run_local(ThreadCounter(), range(4), 2)) == [3] * 4
