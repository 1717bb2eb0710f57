"""Child processes share what the parent has made, and do not take each other's cores."""

import multiprocessing
import os
from concurrent.futures import ProcessPoolExecutor

import pytest
import spacy
import torch
from counted_threads import count_in_children
from small_checkpoints import make_checkpoint

from spacy_bertft.models.encoder.build import build_bert_encoder


@pytest.fixture
def model(tmp_path):
    model = build_bert_encoder(str(make_checkpoint(tmp_path / "checkpoint", "bert", 3, "token")))
    model.initialize()
    return model


@pytest.mark.process
@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_the_copy_that_predicts_is_made_before_a_fork(model):
    shim = model.shim
    assert not shim.derived
    process = multiprocessing.get_context("fork").Process(target=lambda: os._exit(len(shim.derived)))
    process.start()
    process.join()
    assert process.exitcode == len(shim.derived) == 1
    assert list(shim.derived) == ["inference copy"]


@pytest.mark.process
@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_what_has_no_weights_yet_does_not_stop_a_fork():
    model = build_bert_encoder("/nowhere")
    process = multiprocessing.get_context("fork").Process(target=os._exit, args=(7,))
    process.start()
    process.join()
    assert process.exitcode == 7
    assert not model.shim.derived


@pytest.mark.process
@pytest.mark.parametrize(("setting", "expected"), [(None, 1), ("2", 2)])
def test_a_spawned_process_takes_one_thread_unless_told_otherwise(model, monkeypatch, setting, expected):
    if setting is None:
        monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    else:
        monkeypatch.setenv("OMP_NUM_THREADS", setting)
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        pool.submit(id, model.shim).result()
        assert pool.submit(torch.get_num_threads).result() == expected


@pytest.mark.process
@pytest.mark.parametrize("method", multiprocessing.get_all_start_methods())
def test_children_of_a_stream_share_the_threads(checkpoint, method, monkeypatch):
    """In a forked one each pass takes one thread, and as many run side by side."""
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr(spacy.language, "mp", multiprocessing.get_context(method))
    of_a_pass = 1 if method == "fork" else 2
    assert count_in_children(checkpoint, n_threads=4, n_process=2) == [(of_a_pass, 2)] * 2
    if method == "fork":
        assert count_in_children(checkpoint, n_threads=4, n_process=5) == [(1, 1)] * 5
