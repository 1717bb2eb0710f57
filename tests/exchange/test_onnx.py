"""Graphs in ONNX for the heads of every task."""

from __future__ import annotations

from pathlib import Path

import pytest
from every_class import make_model, save_model
from small_checkpoints import FAMILIES

from spacy_bertft.errors import UnsupportedError
from spacy_bertft.exchange import onnx
from spacy_bertft.exchange.onnx import write_onnx

for module in ("onnx", "openvino"):
    pytest.importorskip(module, reason="needs the extra onnx")


@pytest.mark.everyday(4)
@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("task", ["token", "text", "span", "choice"])
def test_a_graph_computes_what_the_head_does(task: str, family: str, tmp_path: Path) -> None:
    folder = save_model(make_model(family, task), tmp_path / "hf")
    write_onnx(folder, task)  # which compares both
    assert (folder / "onnx" / "model.onnx").stat().st_size > 0


def test_a_head_that_cannot_be_traced_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = save_model(make_model("bert", "token"), tmp_path / "hf")
    monkeypatch.setattr("torch.onnx.export", lambda *args, **settings: 1 / 0)
    with pytest.raises(UnsupportedError, match="family 'bert'"):
        write_onnx(folder, "token")


def test_a_graph_that_computes_something_else_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = save_model(make_model("bert", "token"), tmp_path / "hf")
    monkeypatch.setattr(onnx, "_TOLERANCE", -1.0)
    with pytest.raises(UnsupportedError, match="family 'bert'"):
        write_onnx(folder, "token")
