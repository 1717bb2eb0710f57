"""What is missing for a GPU is named in one line; there is none where most of these tests run."""

from __future__ import annotations

import pytest
import torch
from thinc import compat

from spacy_bertft.errors import SettingError
from spacy_bertft.models.runtime import devices as gpu


@pytest.fixture
def machine(monkeypatch):
    """Pretend to be a machine with some software and some GPUs."""

    def pretend(*, torch_cuda: str | None, n_gpus: int = 0, cupy: bool = False, cupy_gpu: bool = False) -> None:
        monkeypatch.setattr("sys.platform", "linux")
        monkeypatch.setattr(torch.version, "cuda", torch_cuda)
        monkeypatch.setattr(torch.backends.cuda, "is_built", lambda: torch_cuda is not None)
        monkeypatch.setattr(torch.cuda, "device_count", lambda: n_gpus)
        monkeypatch.setattr(compat, "has_cupy", cupy)
        monkeypatch.setattr(compat, "has_cupy_gpu", cupy_gpu)

    return pretend


CUPY = "CuPy (for CUDA 12: pip install cupy-cuda12x)"
TORCH = "PyTorch built for CUDA (see pytorch.org)"


@pytest.mark.parametrize(
    ("installed", "gpu_id", "problem"),
    [
        ({"torch_cuda": None}, 0, f"install {CUPY} and {TORCH} to use a GPU"),
        ({"torch_cuda": None, "cupy": True}, 0, f"install {TORCH} to use a GPU"),
        ({"torch_cuda": None, "cupy": True, "cupy_gpu": True}, 0, f"install {TORCH} to use a GPU"),
        (
            {"torch_cuda": "13.0", "n_gpus": 1},
            0,
            "install CuPy (for CUDA 13.0: pip install cupy-cuda13x) to use a GPU",
        ),
        (
            {"torch_cuda": "12.8", "cupy": True},
            0,
            "PyTorch finds no GPU on this machine; check its driver with nvidia-smi",
        ),
        (
            {"torch_cuda": "12.8", "n_gpus": 2, "cupy": True, "cupy_gpu": True},
            2,
            "the GPUs of this machine are numbered from 0 to 1",
        ),
        (
            {"torch_cuda": "12.8", "n_gpus": 1, "cupy": True},
            0,
            "CuPy finds no GPU where PyTorch does; install the CuPy that is for CUDA 12.8",
        ),
    ],
)
def test_what_is_missing(machine, installed, gpu_id, problem):
    machine(**installed)
    with pytest.raises(SettingError) as caught:
        gpu.use_gpu(gpu_id)
    assert str(caught.value) == f"gpu_id = {gpu_id}. Expected -1 for the CPU; {problem}."
    with pytest.raises(SettingError) as caught:
        gpu.use_gpu(gpu_id, device=f"cuda:{gpu_id}")
    assert str(caught.value) == f"device = 'cuda:{gpu_id}'. Expected cpu; {problem}."


def test_torch_alone_needs_no_cupy(machine):
    machine(torch_cuda="12.8", n_gpus=1)
    gpu.check_gpu(0, needs_cupy=False)
    machine(torch_cuda=None)
    with pytest.raises(SettingError, match="install PyTorch built for CUDA"):
        gpu.check_gpu(0, needs_cupy=False)


def test_a_gpu_that_can_be_used(machine, monkeypatch):
    machine(torch_cuda="12.8", n_gpus=2, cupy=True, cupy_gpu=True)
    used = []
    monkeypatch.setattr(gpu, "require_gpu", used.append)
    gpu.use_gpu(1)
    gpu.use_gpu(-1)
    assert used == [1]


def test_what_else_thinc_says(machine, monkeypatch):
    def refuse(gpu_id: int) -> None:
        raise ValueError("Cannot use GPU, installed PyTorch does not support MPS")

    machine(torch_cuda=None)
    monkeypatch.setattr("sys.platform", "darwin")
    monkeypatch.setattr(gpu, "require_gpu", refuse)
    with pytest.raises(SettingError, match=r"thinc cannot use the GPU \(Cannot use GPU, installed PyTorch does not"):
        gpu.use_gpu(0)
