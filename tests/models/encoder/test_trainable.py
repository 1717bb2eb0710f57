"""Depths of parameters, and what follows from them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import spacy
from every_class import make_model, save_model
from small_checkpoints import FAMILIES
from transformers import AutoModel

from spacy_bertft.errors import SettingError
from spacy_bertft.models.encoder.trainable import count_frozen, count_layers, find_depth, find_lr_scale


@pytest.mark.parametrize("family", FAMILIES)
def test_every_parameter_of_a_family_has_its_depth(family: str, checkpoints: Callable[..., Path]) -> None:
    model = AutoModel.from_pretrained(checkpoints(family))
    names = [name for name, _ in model.named_parameters()]
    assert count_layers(names) == 2
    layer_of = {id(p): i for i in range(2) for p in find_layers(model)[i].parameters()}
    in_embeddings = {id(p) for p in model.embeddings.parameters()}
    for name, parameter in model.named_parameters():
        if id(parameter) in layer_of:
            assert find_depth(name, 2) == layer_of[id(parameter)] + 1
        elif id(parameter) in in_embeddings or name.startswith("embeddings_project"):
            assert find_depth(name, 2) == 0
        else:
            assert name.startswith("pooler")
            assert find_depth(name, 2) == 3


def find_layers(model: object) -> list:  # type: ignore[type-arg]
    body = getattr(model, "encoder", None) or model.transformer  # type: ignore[attr-defined]
    return list(body.layer)


def test_depths_of_gpt_2() -> None:
    names = ["wte.weight", "wpe.weight", "h.0.attn.c_attn.weight", "h.1.ln_1.bias", "ln_f.weight"]
    assert count_layers(names) == 2
    assert [find_depth(name, 2) for name in names] == [0, 0, 1, 2, 3]


@pytest.mark.parametrize("settings", [{"frozen_layers": "all_but_last"}, {"layer_lr_decay": 0.5}, {"layers": "all"}])
def test_layers_that_are_not_told_apart(settings: dict[str, object], tmp_path: Path) -> None:
    checkpoint = str(save_model(make_model("albert", "token"), tmp_path / "hf"))
    nlp = spacy.blank("en")
    with pytest.raises(SettingError, match=r"layers are not told apart by their names"):
        nlp.add_pipe("bert_encoder", config={"model": {"name": checkpoint, **settings}}).initialize(lambda: [], nlp=nlp)


def test_no_layers_are_counted_where_there_are_none() -> None:
    assert count_layers(["embeddings.word_embeddings.weight"]) == 0
    assert count_layers([]) == 0


@pytest.mark.parametrize(
    ("frozen_layers", "learning"),
    [
        ("none", [0, 1, 2, 3, 4]),
        (0, [0, 1, 2, 3, 4]),
        ("embeddings", [1, 2, 3, 4]),
        (1, [2, 3, 4]),
        ("2", [3, 4]),
        ("all_but_last", [3, 4]),
        (3, [4]),
        ("all", []),
    ],
)
def test_what_learns(frozen_layers: int | str, learning: list[int]) -> None:
    n_frozen = count_frozen(frozen_layers, 3)  # type: ignore[arg-type]
    assert [depth for depth in range(5) if depth >= n_frozen] == learning


@pytest.mark.parametrize("frozen_layers", [4, -1, "-1", "4", "some", "²", None, 1.5])
def test_other_settings_are_errors(frozen_layers: object) -> None:
    with pytest.raises(SettingError, match="a number from 0 to 3") as caught:
        count_frozen(frozen_layers, 3)  # type: ignore[arg-type]
    assert caught.value.name == "frozen_layers"


def test_rates_fall_from_the_top_layer_down() -> None:
    assert [find_lr_scale(depth, 2, 0.5) for depth in range(4)] == [0.25, 0.5, 1.0, 1.0]
    assert [find_lr_scale(depth, 2, 1.0) for depth in range(4)] == [1.0] * 4
