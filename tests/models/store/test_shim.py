"""The bytes of a model: safetensors, never a pickle; and what an optimizer may do to it."""

from __future__ import annotations

import gc
import pickle
import re
from importlib.metadata import version

import numpy as np
import pytest
import srsly
import torch
from thinc.api import Adam

from spacy_bertft.errors import CheckpointError, NotInitializedError
from spacy_bertft.models.store.shim import FORMAT, TorchShim
from spacy_bertft.training.optimizer import configure_adamw


def build(spec):
    return torch.nn.Linear(spec["width"], 2)


def make_shim(width: int = 3) -> TorchShim:
    shim = TorchShim(build, lambda module, name: 1.0)
    shim.attach({"width": width})
    return shim


def learn(shim: TorchShim, optimizer) -> None:
    shim.module(torch.ones(1, 3)).sum().backward()
    shim.finish_update(optimizer)


def test_steps_of_the_optimizer_of_thinc_keep_no_tensors():
    shim, optimizer = make_shim(), Adam(0.01)

    def count_tensors() -> int:
        return sum(type(each) is torch.Tensor for each in gc.get_objects())

    learn(shim, optimizer)
    before = count_tensors()
    for _ in range(5):
        learn(shim, optimizer)
    assert count_tensors() == before


def test_weights_are_stored_as_safetensors():
    message = srsly.msgpack_loads(make_shim().to_bytes())
    assert message["spec"] == {"width": 3}
    header_size = int.from_bytes(message["weights"][:8], "little")
    assert srsly.json_loads(message["weights"][8 : 8 + header_size])["weight"]["shape"] == [2, 3]


class Canary:
    def __reduce__(self):
        return (open, ("canary", "w"))


@pytest.mark.parametrize("make", [lambda p: p, lambda p: srsly.msgpack_dumps({"spec": {"width": 3}, "weights": p})])
def test_a_pickle_is_not_executed(tmp_path, monkeypatch, make):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(CheckpointError, match="damaged"):
        make_shim().from_bytes(make(pickle.dumps(Canary())))
    assert not list(tmp_path.iterdir())


def test_weights_that_do_not_fit_are_named():
    message = srsly.msgpack_loads(make_shim(width=4).to_bytes())
    message["spec"]["width"] = 3
    with pytest.raises(CheckpointError, match=r"weight \(2, 4\) instead of \(2, 3\)"):
        make_shim().from_bytes(srsly.msgpack_dumps(message))


def test_a_format_without_a_number_is_the_first():
    shim = make_shim()
    message = srsly.msgpack_loads(shim.to_bytes())
    assert message.pop("format") == FORMAT
    again = make_shim().from_bytes(srsly.msgpack_dumps(message))
    assert torch.equal(again.module.weight, shim.module.weight)


def test_a_format_to_come_is_named():
    # Whatever else such a format may hold.
    content = srsly.msgpack_dumps({"format": FORMAT + 1, "weights": {"weight": "in another way"}})
    expected = rf"has format {FORMAT + 1}, but spacy-bertft {re.escape(version('spacy-bertft'))} reads .* {FORMAT}\."
    with pytest.raises(CheckpointError, match=expected):
        make_shim().from_bytes(content)


@pytest.mark.parametrize("number", ["2", None, [2]])
def test_a_format_that_is_no_number_is_damage(number):
    message = srsly.msgpack_loads(make_shim().to_bytes())
    with pytest.raises(CheckpointError, match="damaged"):
        make_shim().from_bytes(srsly.msgpack_dumps({**message, "format": number}))


def test_every_truncation_is_one_clear_error():
    content = make_shim().to_bytes()
    for size in range(1, len(content), 7):
        with pytest.raises(CheckpointError):
            make_shim().from_bytes(content[:size])


def test_an_empty_shim_round_trips():
    shim = TorchShim(build, lambda module, name: 1.0)
    assert shim.to_bytes() == b""
    with pytest.raises(NotInitializedError):
        _ = shim.from_bytes(b"").module


def test_what_is_derived_follows_the_weights():
    shim = make_shim()

    def double(module):
        return 2 * module.weight.detach()

    before = shim.derive("double", double)
    assert shim.derive("double", double) is before
    learn(shim, configure_adamw(0.1))
    after = shim.derive("double", double)
    assert torch.equal(after, 2 * shim.module.weight)
    assert not torch.equal(after, before)


def test_an_optimizer_of_thinc_works_too():
    ours, theirs = make_shim(), make_shim()
    theirs.module.load_state_dict(ours.module.state_dict())
    learn(ours, configure_adamw(0.01, weight_decay=0.0, grad_clip=0.0))
    learn(theirs, Adam(0.01, L2=0.0, grad_clip=0.0))
    torch.testing.assert_close(ours.module.weight, theirs.module.weight, atol=1e-5, rtol=0)


def test_averages_of_an_optimizer_are_used_and_put_back():
    shim, optimizer = make_shim(), Adam(0.1, use_averages=True)
    for _ in range(3):
        learn(shim, optimizer)
    weight = shim.module.weight.detach().clone()
    averages = dict(optimizer.averages)
    with shim.use_params(averages):
        np.testing.assert_array_equal(shim.module.weight.detach().numpy(), averages[shim.id, "weight"])
        assert not torch.equal(shim.module.weight, weight)
    assert torch.equal(shim.module.weight, weight)


def test_a_copy_is_a_model_of_its_own():
    shim = make_shim()
    copied = shim.copy()
    learn(copied, configure_adamw(0.1))
    assert copied.id != shim.id
    assert not torch.equal(copied.module.weight, shim.module.weight)


def test_a_module_that_has_no_place_leaves_no_description_behind(monkeypatch):
    """Before, what forked afterwards took the model for one that has been built."""

    def fail():
        raise RuntimeError("no such device")

    monkeypatch.setattr("spacy_bertft.models.store.shim.get_torch_default_device", fail)
    shim = TorchShim(build, lambda module, name: 1.0)
    with pytest.raises(RuntimeError, match="no such device"):
        shim.attach({"width": 3})
    assert not shim.spec
