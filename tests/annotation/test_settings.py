from __future__ import annotations

import math

import pytest

from spacy_bertft.annotation.settings import AnnotateSettings, WorkerSettings
from spacy_bertft.errors import SettingError


@pytest.mark.parametrize("name", ["shard_rows", "shard_mb", "max_chars"])
@pytest.mark.parametrize("value", [0, -1, math.nan, math.inf])
def test_numbers_above_zero(name, value):
    with pytest.raises(SettingError, match=f"{name} = {value}. Expected a number above 0") as caught:
        AnnotateSettings(**{name: value})
    assert caught.value.name == name


@pytest.mark.parametrize(("shard_mb", "n_bytes"), [(4, 4_000_000), (0.5, 500_000), (1e-9, 1)])
def test_bytes_of_a_shard(shard_mb, n_bytes):
    assert AnnotateSettings(shard_mb=shard_mb).shard_bytes == n_bytes


@pytest.mark.parametrize(("device", "gpu"), [("cpu", None), ("cuda", 0), ("cuda:0", 0), ("cuda:12", 12)])
def test_devices(device, gpu):
    assert WorkerSettings("a", "b", device).find_gpu() == gpu


@pytest.mark.parametrize("device", ["", "gpu", "cuda:", "cuda:x", "cuda:-1", "cpu:0", "mps"])
def test_devices_that_there_are_not(device):
    with pytest.raises(SettingError, match="Expected cpu, cuda, or cuda:N for the GPU number N"):
        WorkerSettings("a", "b", device)


def test_a_batch_of_nothing():
    with pytest.raises(SettingError, match=r"batch_size = 0\. Expected a number above 0"):
        WorkerSettings("a", "b", batch_size=0)
