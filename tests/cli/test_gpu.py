"""`--gpu-id`: every command that runs a pipeline has it, and says in one line what is missing."""

from __future__ import annotations

import inspect
import re

import pytest
import spacy
import torch
from thinc import compat
from typer.testing import CliRunner

from spacy_bertft.cli import app

# What each command is given besides; nothing of it is read before the GPU is looked for.
ARGUMENTS = {
    "train": ["{config}", "--output", "out"],
    "resume": ["out"],
    "crossval": ["{config}", "--output", "out"],
    "tune": ["{config}", "--output", "out"],
    "distill": ["{config}", "model", "--output", "out"],
    "extend": ["model", "new.spacy", "out"],
    "pretrain": ["texts.txt", "out", "--encoder", "encoder"],
    "evaluate": ["model", "dev.spacy"],
    "report": ["model", "dev.spacy", "out.html"],
    "calibrate": ["model", "dev.spacy"],
    "guarantee": ["model", "dev.spacy"],
    "suggest": ["model", "texts.txt"],
    "annotate": ["{pipeline}", "{texts}", "{out}"],
    "explain": ["model", "a text"],
    "demo": ["model", "--no-browser"],
    "serve": ["model"],
}
# They read files and write files; no pipeline runs.
WITHOUT = {
    "init-config",
    "init-project",
    "audit",
    "convert",
    "debug-data",
    "stats",
    "fetch",
    "import-hf",
    "export-hf",
    "migrate",
    "quantize",
    "package",
}


@pytest.fixture
def paths(tmp_path):
    names = {"config": "config.cfg", "texts": "texts.txt", "pipeline": "model", "out": "out"}
    found = {key: tmp_path / name for key, name in names.items()}
    found["config"].touch()
    found["texts"].write_text("a text\n", encoding="utf-8")
    spacy.blank("en").to_disk(found["pipeline"])
    return found


def test_every_command_that_runs_a_pipeline_has_it():
    has_it = {each.name: "gpu_id" in inspect.signature(each.callback).parameters for each in app.registered_commands}
    assert {name for name, has in has_it.items() if has} == set(ARGUMENTS)
    assert {name for name, has in has_it.items() if not has} == WITHOUT


@pytest.mark.parametrize("command", ARGUMENTS)
def test_without_cupy_every_command_says_what_to_install(command, paths, monkeypatch):
    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.setattr(torch.backends.cuda, "is_built", lambda: False)
    monkeypatch.setattr(torch.version, "cuda", None)
    monkeypatch.setattr(compat, "has_cupy", False)
    arguments = [argument.format(**paths) for argument in ARGUMENTS[command]]
    done = CliRunner().invoke(app, [command, *arguments, "--gpu-id", "0"])
    assert done.exit_code == 1, done.output
    # `pretrain` computes with torch alone.
    cupy = "" if command == "pretrain" else r"CuPy \(for CUDA 12: pip install cupy-cuda12x\) and "
    cpu = "device = 'cuda:0'. Expected cpu" if command == "annotate" else "gpu_id = 0. Expected -1 for the CPU"
    pattern = rf"Error: {re.escape(cpu)}; install {cupy}PyTorch built for CUDA \(see pytorch\.org\) to use a GPU\.\n"
    assert re.fullmatch(pattern, done.stderr)
    assert not paths["out"].exists()


def test_a_device_is_named_once(paths):
    arguments = [str(paths[name]) for name in ("pipeline", "texts", "out")]
    done = CliRunner().invoke(app, ["annotate", *arguments, "--device", "cuda:1", "--gpu-id", "0"])
    assert done.exit_code == 1
    assert done.stderr == "Error: gpu_id = 0. Expected none next to --device cuda:1, which says the same.\n"
