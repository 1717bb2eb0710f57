"""Runs on Ray. It takes many seconds to start, so tests share a start where they can."""

from __future__ import annotations

import json
import os
import random
import signal
import tempfile
from dataclasses import replace
from time import monotonic, sleep

import pytest
from annotated_runs import SHARD_ROWS, Run, read_files
from waiting import wait_until

from spacy_bertft.annotation.annotate import annotate
from spacy_bertft.annotation.chunks import Chunk
from spacy_bertft.annotation.cluster import RayAnnotator
from spacy_bertft.annotation.settings import AnnotateSettings, WorkerSettings
from spacy_bertft.errors import SettingError

pytestmark = pytest.mark.cluster

pytest.importorskip("ray", reason="needs the extra ray")

N_ROWS = 4500
# Restarts of the whole program.
N_KILLS = 10 if os.environ.get("KILLS") == "all" else 2
SUMMARY = "4,506 rows read, 4,500 written to 93 shards; 6 failed"
ACTOR = "(RayAnnotator)"  # a part of what Ray calls its process

IN_ONE_RAY = """
import json, sys
from dataclasses import replace

import ray

from spacy_bertft.annotation.annotate import annotate
from spacy_bertft.annotation.cluster import run_on_ray
from spacy_bertft.annotation.inputs import find_inputs
from spacy_bertft.annotation.settings import AnnotateSettings, WorkerSettings

if __name__ == "__main__":
    pipeline, inputs, output, shard_rows, file, told = json.loads(sys.argv[1])
    ray.init(num_cpus=1, num_gpus=0, include_dashboard=False, log_to_driver=False)
    options = {"engine": "ray", "n_process": 1, "shard_rows": shard_rows}
    settings = AnnotateSettings(answers={"ents": "ents"})
    worker = WorkerSettings(pipeline, output + "-other")
    source = find_inputs(inputs[-1:]).sources[0]

    def run(worker=worker, source=source):
        list(run_on_ray(settings, worker, [source], [], n_process=1, address=None))

    calls = {
        "device": lambda: annotate(pipeline, inputs, output + "-cuda", device="cuda", **options),
        "output": lambda: run(replace(worker, output_url=file + "/output")),
        "pipeline": lambda: run(replace(worker, pipeline=file + "/pipeline")),
        "source": lambda: run(source=replace(source, url=file + "/texts.txt")),
        "none": lambda: annotate(pipeline, inputs, output, **options),
    }
    errors = {}
    for name, call in calls.items():
        try:
            call()
        except Exception as error:
            errors[name] = [type(error).__name__, str(error)]
        assert ray.is_initialized()
    with open(told, "w") as stream:
        json.dump(errors, stream)
"""


@pytest.fixture
def task(task):
    """Give a task that leaves nothing of Ray's own in the folder for temporary files."""
    # Not in `tmp_path`: the paths of sockets must be short.
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        yield replace(task, environment={"RAY_TMPDIR": folder})


def start(task, n_process):
    return task.start("--engine", "ray", "--n-process", n_process)


def check_printed(printed):
    """Check that a run prints its summary, and of Ray at most the one line that says how much it prints."""
    lines = [line for line in printed.splitlines() if "Set ray log level" not in line]
    assert " ".join(lines).startswith(SUMMARY), printed


def test_a_run_whose_driver_is_killed_again_and_again_ends_as_an_unbroken_local_one(task, expected):
    rng = random.Random(8)
    n_steps = 0  # kills by which more was done than before
    for number in range(N_KILLS):
        before = task.find_shards()
        has_two = number % 4 == 0
        with start(task, 2 if has_two else 1) as run:
            if number % 2:  # while Ray starts
                end, n_enough = monotonic() + rng.uniform(0.5, 7), len(before) + 3
                wait_until(lambda e=end, n=n_enough: monotonic() > e or len(task.find_reports()) >= n)
            else:
                n_enough = len(before) + rng.randrange(1, 8)
                wait_until(lambda n=n_enough, run=run: len(task.find_reports()) >= n or not run.is_running())
                sleep(rng.uniform(0, 0.05))
            run.process.kill()
            assert run.process.wait() == -signal.SIGKILL
            if has_two:  # Ray ends its actors itself when their driver is gone; we do it faster
                wait_until(lambda run=run: not run.find_processes(ACTOR))
        after = task.find_shards()
        assert not task.is_over()
        assert before.items() <= after.items()  # nothing was written again
        n_steps += len(after) > len(before)
    assert n_steps >= N_KILLS // 2
    with start(task, 2) as run:
        code, printed = run.wait()
    assert code == 0, printed
    check_printed(printed)
    assert f"{len(after)} shards written before" in printed
    assert after.items() <= {path.name: path.stat().st_mtime_ns for path in task.output.iterdir()}.items()
    assert read_files(task.output) == expected


def test_a_run_whose_actor_is_killed_twice_has_all_rows_in_the_end(task, expected):
    with start(task, 1) as run:
        killed = set()
        for _ in range(2):
            n_enough = len(task.find_reports()) + 4
            wait_until(lambda n=n_enough: len(task.find_reports()) >= n or not run.is_running())
            (actor,) = run.find_processes(ACTOR)
            actor.kill()
            killed.add(actor.pid)
            assert not task.is_over()
        code, printed = run.wait()
    assert len(killed) == 2
    assert code == 0, printed
    assert SUMMARY in printed  # after what Ray says of workers that died
    assert read_files(task.output) == expected


def test_the_ray_of_this_process_is_used_and_left_and_failures_are_no_tracebacks(task, expected, tmp_path):
    file = tmp_path / "file"
    file.write_bytes(b"")
    inputs = list(map(str, task.inputs))
    arguments = [str(task.pipeline), inputs, str(task.output), SHARD_ROWS, str(file), str(tmp_path / "told.json")]
    with Run(["-c", IN_ONE_RAY, json.dumps(arguments)], task.environment) as run:
        code, printed = run.wait()
    assert code == 0, printed
    assert "Traceback" not in printed
    start, end = "A worker process failed: ", ". Finished shards are kept; run the same command again to resume."
    missing = f"[Errno 20] Not a directory: '{file}/"
    told = json.loads((tmp_path / "told.json").read_text())
    assert told.pop("device") == ["SettingError", "device = 'cuda'. Expected cpu: Ray finds no GPU on this machine."]
    assert all(kind == "WorkerError" and reason.startswith(start) for kind, reason in told.values())
    reasons = {name: reason.removeprefix(start).removesuffix(end) for name, (_, reason) in told.items()}
    assert list(reasons) == ["output", "pipeline", "source"]
    assert reasons["output"].startswith(missing)
    assert reasons["pipeline"].startswith(f"{file}/pipeline is no pipeline. Expected a folder such as")
    assert reasons["source"] == f"{missing}texts.txt'"
    assert read_files(task.output) == expected


def test_an_actor_that_cannot_write_or_load_says_so(pipeline, tmp_path):
    (tmp_path / "file").write_bytes(b"")
    settings = AnnotateSettings(answers={"ents": "ents"})
    chunk = Chunk("a.txt", "text", "part-00000-000000", rows=[(1, "show me films")])
    batch = {"chunk": [chunk.to_bytes()], "error": [""]}
    answer = RayAnnotator(settings, WorkerSettings(str(pipeline), str(tmp_path / "file" / "output")))(batch)
    assert answer["report"] == [""]
    assert "Not a directory" in answer["error"][0]
    answer = RayAnnotator(settings, WorkerSettings(str(tmp_path / "none"), str(tmp_path / "output")))(batch)
    assert answer["report"] == [""]
    assert "none is no pipeline" in answer["error"][0]


def test_the_memory_of_this_process_is_no_place_for_ray(task):
    with pytest.raises(SettingError, match="a place that other processes can reach"):
        annotate(task.pipeline, task.inputs, "memory://output", engine="ray")
    with pytest.raises(SettingError, match="a place that other processes can reach"):
        annotate(task.pipeline, ["memory://a.txt"], task.output, engine="ray")
