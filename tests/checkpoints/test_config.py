"""What of a config.json reaches transformers, and how many pieces a model can number."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import AutoConfig, AutoModel

from spacy_bertft.checkpoints.checkpoint import CODE_FIELDS, clean_config, find_max_positions

keys = st.sampled_from([*sorted(CODE_FIELDS), "_attn_implementation", "_x", "__class__", "text_config", "a"])
values = st.recursive(
    st.integers() | st.text(max_size=3), lambda v: st.lists(v, max_size=3) | st.dictionaries(keys, v, max_size=3)
)
TINY = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 8, "vocab_size": 9}


def list_fields(value: Any) -> Iterator[str]:
    if isinstance(value, Mapping):
        yield from value
    for inner in value.values() if isinstance(value, Mapping) else value if isinstance(value, list) else ():
        yield from list_fields(inner)


@given(st.dictionaries(keys, values))
def test_no_field_that_names_code_survives_at_any_depth(config: dict[str, Any]) -> None:
    cleaned = clean_config(config)
    assert not [field for field in list_fields(cleaned) if field.startswith("_") or field in CODE_FIELDS]
    assert clean_config(cleaned) == cleaned


@given(st.dictionaries(st.sampled_from(["a", "b", "hidden_size"]), st.integers() | st.lists(st.floats(0, 1))))
def test_every_other_field_stays(config: dict[str, Any]) -> None:
    assert clean_config({"inner": config, "list": [config], **config}) == {"inner": config, "list": [config], **config}


def test_labels_are_no_fields() -> None:
    labels = {"label2id": {"_SP": 0, "dtype": 1, "NN": 2}, "id2label": {"0": "_SP", "1": "dtype", "2": "NN"}}
    assert clean_config(labels) == labels
    assert clean_config({"label2id": {"_SP": 0, "_x": {"auto_map": "evil.Model"}}}) == {"label2id": {"_SP": 0}}


@pytest.mark.parametrize("field", ["_attn_implementation", "_attn_implementation_internal", "attn_implementation"])
def test_no_field_can_choose_the_attention_under_another_name(field: str) -> None:
    stored = {"attribute_map": {"innocent": field}, "innocent": "someone/kernel"}
    config = AutoConfig.for_model("bert", **TINY, **clean_config(stored))
    assert config._attn_implementation in (None, "eager", "sdpa")


@pytest.mark.parametrize(
    "family",
    [
        *("bert", "distilbert", "electra", "roberta", "camembert", "xlm-roberta", "xlm-roberta-xl", "mpnet"),
        *("data2vec-text", "ibert", "roberta-prelayernorm", "xmod", "esm"),
    ],
)
def test_a_model_numbers_as_many_pieces_as_it_says(family: str) -> None:
    changes = {
        "distilbert": {"dim": 8, "n_layers": 1, "n_heads": 2, "hidden_dim": 8},
        "xmod": {"default_language": "en_XX"},
        "esm": {"mask_token_id": 8, "position_embedding_type": "absolute", "token_dropout": False},
    }
    config = {"max_position_embeddings": 12, "pad_token_id": 1, **TINY, **changes.get(family, {})}
    model = AutoModel.from_config(AutoConfig.for_model(family, **config)).eval()
    n_positions = find_max_positions({"model_type": family, **config})
    assert n_positions is not None
    with torch.inference_mode():
        assert model(torch.full((1, n_positions), 5)).last_hidden_state.isfinite().all()
        with pytest.raises((IndexError, RuntimeError)):
            model(torch.full((1, n_positions + 1), 5))


@pytest.mark.parametrize("positions", [None, 0, -1, "512", 3.5])
def test_a_model_without_a_number_has_no_limit(positions: object) -> None:
    assert find_max_positions({"model_type": "bert", "max_position_embeddings": positions}) is None
    assert find_max_positions({}) is None
