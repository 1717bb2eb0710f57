"""What a pipeline is loaded into: built without random numbers, and equal to what was stored."""

from __future__ import annotations

import pytest
import spacy
import torch
from small_checkpoints import FAMILIES, MORE_FAMILIES, TEXTS, make_checkpoint
from thinc.api import fix_random_seed

from spacy_bertft.models.encoder.build import build_bert_encoder
from spacy_bertft.models.encoder.loading import build_bert
from spacy_bertft.models.store.building import EmptyWeights, build_empty
from spacy_bertft.models.store.shim import TorchShim


@pytest.fixture
def docs():
    return [spacy.blank("en").make_doc(text) for text in TEXTS]


# transformers 4 compiles parts of ModernBERT while torch 2.13 advises against it.
@pytest.mark.everyday(3)
@pytest.mark.filterwarnings("ignore:`torch.jit.script_method` is deprecated:DeprecationWarning")
@pytest.mark.parametrize("family", [*FAMILIES, *MORE_FAMILIES, "modernbert"])
def test_a_loaded_encoder_is_the_stored_one_and_draws_no_numbers(family, tmp_path, docs):
    name = str(make_checkpoint(tmp_path, family))
    stored, loaded = (build_bert_encoder(name, precision="fp32") for _ in range(2))
    stored.initialize()
    content = stored.to_bytes()
    fix_random_seed(0)
    before = torch.get_rng_state()
    loaded.from_bytes(content)
    assert torch.equal(torch.get_rng_state(), before)
    if family != "modernbert":  # which transformers 4 would compile
        torch.testing.assert_close(loaded.predict(docs).vectors["tokens"], stored.predict(docs).vectors["tokens"])
    ours, theirs = loaded.module, stored.module
    buffers = dict(theirs.named_buffers())
    assert dict(ours.named_buffers()).keys() == buffers.keys()
    assert all(torch.equal(buffer, buffers[name]) for name, buffer in ours.named_buffers())
    for (name, parameter), other in zip(ours.named_parameters(), theirs.parameters(), strict=True):
        assert torch.equal(parameter, other), name
        assert parameter.dtype == torch.float32
        assert parameter.requires_grad == other.requires_grad
        parameter.data.add_(1)  # it has memory of its own
    assert loaded.to_bytes() != content
    assert stored.to_bytes() == content


def test_without_weights_to_come_a_seed_gives_the_same_module(checkpoints):
    encoder = build_bert_encoder(str(checkpoints()))
    encoder.initialize()
    built = []
    for seed in (0, 0, 1):
        fix_random_seed(seed)
        built.append(build_bert(encoder.shim.spec).bert.get_input_embeddings().weight)
    assert torch.equal(built[0], built[1])
    assert not torch.equal(built[0], built[2])


INITIALIZERS = ["normal_", "uniform_", "trunc_normal_", "kaiming_normal_", "xavier_uniform_", "orthogonal_", "zeros_"]


@pytest.mark.parametrize("name", INITIALIZERS)
def test_nothing_is_filled(name):
    state = torch.get_rng_state()
    with EmptyWeights():
        linear = torch.nn.Linear(3, 2)
        getattr(torch.nn.init, name)(linear.weight)
        assert linear.weight.is_meta
        assert torch.arange(3).tolist() == [0, 1, 2]
    assert torch.equal(torch.get_rng_state(), state)


class Curious(torch.nn.Module):
    """A module that looks at what it has been given: at a weight, or at a buffer that is not stored."""

    def __init__(self, *, has_buffer):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.empty(2).fill_(3.0))
        if has_buffer:
            self.register_buffer("table", torch.empty(2).fill_(4.0), persistent=False)
        else:
            self.n_rows = int(self.weight.sum())


@pytest.mark.parametrize("has_buffer", [False, True])
def test_a_module_that_needs_its_weights_is_built_with_them(has_buffer):
    module = build_empty(lambda spec: Curious(**spec), {"has_buffer": has_buffer})
    assert module.weight.tolist() == [3.0, 3.0]
    assert (module.table.tolist() == [4.0, 4.0]) if has_buffer else (module.n_rows == 6)


def test_tied_weights_stay_tied():
    def build(spec):
        module = torch.nn.Sequential(torch.nn.Linear(3, 3), torch.nn.Linear(3, 3))
        module[1].weight = module[0].weight
        return module.requires_grad_(False)

    shim = TorchShim(build, lambda module, name: 1.0)
    shim.attach({"width": 3})
    other = TorchShim(build, lambda module, name: 1.0).from_bytes(shim.to_bytes())
    assert other.module[1].weight is other.module[0].weight
    assert torch.equal(other.module[0].weight, shim.module[0].weight)
    assert not any(parameter.requires_grad for parameter in other.module.parameters())
