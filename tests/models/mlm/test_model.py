"""Masked language models, against transformers' own."""

from __future__ import annotations

import pytest
import torch
from small_checkpoints import FAMILIES, MORE_FAMILIES, make_checkpoint, make_windows
from transformers import AutoModelForMaskedLM

from spacy_bertft.checkpoints import Checkpoint, read_checkpoint, write_checkpoint
from spacy_bertft.errors import CheckpointError
from spacy_bertft.models.mlm.model import (
    MaskedLanguageModel,
    export_masked_model,
    load_masked_model,
)

each = pytest.mark.parametrize("family", [*FAMILIES, *MORE_FAMILIES])


def export(folder, checkpoint: Checkpoint) -> tuple[MaskedLanguageModel, Checkpoint]:
    torch.manual_seed(0)
    model, _ = load_masked_model(checkpoint)
    exported = export_masked_model(model, checkpoint)
    folder.mkdir()
    write_checkpoint(exported, folder)
    return model.eval(), exported


@each
def test_scores_are_those_of_transformers(family, checkpoints, tmp_path):
    model, _ = export(tmp_path / "hf", read_checkpoint(str(checkpoints(family))))
    theirs, info = AutoModelForMaskedLM.from_pretrained(tmp_path / "hf", output_loading_info=True)
    assert not info["missing_keys"]
    assert all(".pooler." in name for name in info["unexpected_keys"])
    ids, mask, _ = make_windows(21)
    wanted = (torch.rand(ids.shape, generator=torch.Generator().manual_seed(1)) < 0.3) & (mask == 1)
    with torch.inference_mode():
        expected = theirs.eval()(input_ids=ids, attention_mask=mask).logits[wanted]
        torch.testing.assert_close(model(ids, mask, wanted), expected, atol=1e-5, rtol=1e-5)


@each
def test_a_head_comes_with_the_checkpoint_or_is_new(family, checkpoints, tmp_path):
    checkpoint = read_checkpoint(str(checkpoints(family)))
    assert not load_masked_model(checkpoint)[1]
    _, exported = export(tmp_path / "hf", checkpoint)
    again, has_head = load_masked_model(read_checkpoint(str(tmp_path / "hf")))
    assert has_head
    weights = export_masked_model(again, checkpoint).weights
    assert weights.keys() == exported.weights.keys()
    assert all(torch.equal(weights[name], exported.weights[name]) for name in weights)


def test_the_encoder_and_its_pooler_come_through(checkpoints, tmp_path):
    checkpoint = read_checkpoint(str(checkpoints()))
    _, exported = export(tmp_path / "hf", checkpoint)
    assert any(name.startswith("pooler.") for name in checkpoint.weights)
    assert all(torch.equal(tensor, exported.weights[f"bert.{name}"]) for name, tensor in checkpoint.weights.items())
    assert "cls.predictions.decoder.weight" not in exported.weights  # tied


def test_a_head_of_another_kind_stays_behind(tmp_path):
    checkpoint = read_checkpoint(str(make_checkpoint(tmp_path / "first", "bert", 3, problem_type="regression")))
    _, exported = export(tmp_path / "hf", checkpoint)
    assert not [name for name in exported.weights if name.startswith("classifier")]
    assert exported.config["architectures"] == ["BertForMaskedLM"]
    assert not {"id2label", "problem_type"} & exported.config.keys()


def test_names_of_old_checkpoints(checkpoints, tmp_path):
    _, exported = export(tmp_path / "hf", read_checkpoint(str(checkpoints())))
    old = {name.replace("LayerNorm.weight", "LayerNorm.gamma"): each for name, each in exported.weights.items()}
    assert old.keys() != exported.weights.keys()
    model, has_head = load_masked_model(Checkpoint("old", exported.config, exported.tokenizer, old))
    assert has_head
    state = model.bert.state_dict()
    assert all(torch.equal(state[name], each) for name, each in exported.weights.items() if name in state)


def test_part_of_a_head_is_an_error(checkpoints, tmp_path):
    _, exported = export(tmp_path / "hf", read_checkpoint(str(checkpoints())))
    del exported.weights["cls.predictions.transform.dense.weight"]
    with pytest.raises(CheckpointError, match=r"missing: cls\.predictions\.transform\.dense\.weight"):
        load_masked_model(exported)


def test_an_encoder_without_such_a_head_is_an_error(checkpoints):
    checkpoint = read_checkpoint(str(checkpoints()))
    for family in ("gpt2", "t5"):
        with pytest.raises(CheckpointError, match=f"'{family}'"):
            MaskedLanguageModel({**checkpoint.config, "model_type": family})
    with pytest.raises(CheckpointError, match="of type 'bert'"):
        MaskedLanguageModel({**checkpoint.config, "hidden_size": 33})
