"""Every class of transformers that chooses an ending is imported exactly, or refused by name."""

from __future__ import annotations

import inspect
import json
import re
from pathlib import Path

import numpy as np
import pytest
import spacy
import torch
from every_class import CHOICE_NAMES, NOT_BUILT, make_model, save_model
from safetensors.torch import load_file
from small_checkpoints import make_word_level

from spacy_bertft.checkpoints.heads import TASKS
from spacy_bertft.data.endings import make_choice
from spacy_bertft.errors import CheckpointError, SettingError
from spacy_bertft.exchange.export_hf import export_hf
from spacy_bertft.exchange.import_hf import import_hf

EXACT = sorted(CHOICE_NAMES.keys() & TASKS["choice"].layouts.keys() - NOT_BUILT.keys())
OTHERS = sorted(CHOICE_NAMES.keys() - TASKS["choice"].layouts.keys())
CHOICES = [
    ("a b c", ["d e f g h k l", "m", "e f g a b"]),
    ("k l m", ["c d e a b t s r q p", "f", "b c"]),
    ("q", ["r", " ".join("cdeabtsrqp" * 2), "p"]),
]


def compute_logits(model, choices) -> np.ndarray:
    """Compute the logits of prompts with as many endings each, padded to one length, `(B, N)`."""
    encoded = [[make_word_level().encode(prompt, ending) for ending in endings] for prompt, endings in choices]
    width = max(len(each) for row in encoded for each in row)
    rows = [[each.ids + [0] * (width - len(each)) for each in row] for row in encoded]
    inputs = {"input_ids": torch.tensor(rows)}
    parameters = inspect.signature(model.forward).parameters
    if "attention_mask" in parameters:
        inputs["attention_mask"] = torch.tensor(
            [[[1] * len(each) + [0] * (width - len(each)) for each in row] for row in encoded]
        )
    if "token_type_ids" in parameters and getattr(model.config, "type_vocab_size", 0) > 1:
        inputs["token_type_ids"] = torch.tensor(
            [[each.type_ids + [0] * (width - len(each)) for each in row] for row in encoded]
        )
    with torch.inference_mode():
        return model(**inputs).logits.numpy()


@pytest.mark.everyday(4)
@pytest.mark.parametrize("family", EXACT)
def test_the_logits_are_those_of_transformers(family: str, tmp_path: Path) -> None:
    check_exact(make_model(family, "choice"), tmp_path)


def check_exact(model, tmp_path: Path) -> None:
    checkpoint = save_model(model, tmp_path / "hf")
    assert "It chooses one of the endings" in str(import_hf(str(checkpoint), tmp_path / "pipeline"))
    nlp = spacy.load(
        tmp_path / "pipeline", config={"components": {"choice": {"model": {"encoder": {"precision": "fp32"}}}}}
    )
    found = nlp.get_pipe("choice").model.predict([make_choice(nlp, *each) for each in CHOICES])
    alone = np.concatenate([compute_logits(model, [each]) for each in CHOICES])
    assert np.ptp(alone, axis=1).min() > 0.01
    np.testing.assert_allclose(found, alone, atol=1e-5)
    np.testing.assert_allclose(found, compute_logits(model, CHOICES), atol=1e-5)

    export_hf(tmp_path / "pipeline", tmp_path / "exported")
    before, after = (load_file(folder / "model.safetensors") for folder in (checkpoint, tmp_path / "exported"))
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)
    config = json.loads((tmp_path / "exported" / "config.json").read_text(encoding="utf-8"))
    assert config["architectures"] == [CHOICE_NAMES[model.config.model_type]]


SETTINGS = [
    ("modernbert", {"classifier_pooling": "mean", "classifier_bias": True, "norm_bias": True}),
    ("electra", {"summary_activation": "tanh"}),
]


@pytest.mark.slow
@pytest.mark.parametrize(("family", "fields"), [each for each in SETTINGS if each[0] in CHOICE_NAMES])
def test_what_a_configuration_says_of_a_head_is_heeded(family: str, fields: dict, tmp_path: Path) -> None:
    check_exact(make_model(family, "choice", **fields), tmp_path)


@pytest.mark.parametrize(
    ("family", "fields"), [*((each, {}) for each in OTHERS), ("electra", {"summary_type": "mean"})]
)
def test_another_head_is_refused_by_name(family: str, fields: dict, tmp_path: Path) -> None:
    config = {"model_type": family, "architectures": [CHOICE_NAMES[family]], **fields}
    (tmp_path / "config.json").write_text(json.dumps(config), encoding="utf-8")
    with pytest.raises(
        CheckpointError, match=rf"chooses an ending with a head of the family '{re.escape(family)}', which cannot be"
    ):
        import_hf(str(tmp_path), tmp_path / "pipeline")


def test_a_head_that_chooses_has_no_labels_and_no_other_factory(tmp_path: Path) -> None:
    checkpoint = str(save_model(make_model("bert", "choice"), tmp_path / "hf"))
    with pytest.raises(SettingError, match="none, since bert_multiple_choice has no labels"):
        import_hf(checkpoint, tmp_path / "pipeline", labels="A")
    with pytest.raises(SettingError, match="one that chooses an ending: bert_multiple_choice"):
        import_hf(checkpoint, tmp_path / "pipeline", factory="bert_ner")
    with pytest.raises(SettingError, match="pairs"):
        import_hf(checkpoint, tmp_path / "pipeline", pairs=True)
