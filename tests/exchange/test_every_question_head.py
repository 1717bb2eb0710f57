"""Every class of transformers that answers questions is imported exactly, or refused by name."""

from __future__ import annotations

import inspect
import json
import re
from pathlib import Path

import numpy as np
import pytest
import spacy
import torch
from every_class import SPAN_NAMES, make_model, save_model
from safetensors.torch import load_file
from small_checkpoints import make_word_level

from spacy_bertft import ask
from spacy_bertft.checkpoints.heads import TASKS
from spacy_bertft.data.pairs import make_pair
from spacy_bertft.errors import CheckpointError, SettingError
from spacy_bertft.exchange.export_hf import export_hf
from spacy_bertft.exchange.import_hf import import_hf

EXACT = sorted(SPAN_NAMES.keys() & TASKS["span"].layouts.keys())
OTHERS = sorted(SPAN_NAMES.keys() - TASKS["span"].layouts.keys())
PAIRS = [("a b c", "d e f g h k l"), ("m", "e f g"), ("k l m", " ".join("cdeabtsrqp" * 2))]
# Of these transformers itself gives other logits to a text that is padded; ours are those of the text alone.
PADDED_OTHERWISE = {"mobilebert"}


def compute_logits(model, *, is_padded: bool) -> np.ndarray:
    """Compute the logits of the first piece, and of all pieces of the context, of every pair, `(R, 2)`."""
    encoded = [make_word_level().encode(*pair) for pair in PAIRS]
    width = max(len(each) for each in encoded) if is_padded else 0
    rows = []
    for each in encoded:
        n_more = max(0, width - len(each))
        inputs = {"input_ids": torch.tensor([each.ids + [0] * n_more])}
        inputs["attention_mask"] = torch.tensor([[1] * len(each) + [0] * n_more])
        has_types = "token_type_ids" in inspect.signature(model.forward).parameters
        if has_types and getattr(model.config, "type_vocab_size", 0) > 1:
            inputs["token_type_ids"] = torch.tensor([each.type_ids + [0] * n_more])
        with torch.inference_mode():
            output = model(**inputs)
        logits = np.stack([output.start_logits[0].numpy(), output.end_logits[0].numpy()], axis=1)
        rows += [logits[:1], logits[[piece for piece, half in enumerate(each.sequence_ids) if half == 1]]]
    return np.concatenate(rows)


# BLOOM of transformers 4 gives itself positions, and warns that it does not read them.
@pytest.mark.filterwarnings("ignore:`position_ids` have no functionality in BLOOM:FutureWarning")
@pytest.mark.everyday(4)
@pytest.mark.parametrize("family", EXACT)
def test_the_logits_are_those_of_transformers(family: str, tmp_path: Path) -> None:
    model = make_model(family, "span")
    checkpoint = save_model(model, tmp_path / "hf")
    report = import_hf(str(checkpoint), tmp_path / "pipeline")
    assert "It finds an answer to every question" in str(report)
    nlp = spacy.load(
        tmp_path / "pipeline", config={"components": {"qa": {"model": {"encoder": {"precision": "fp32"}}}}}
    )
    found = nlp.get_pipe("qa").model.predict([make_pair(nlp, *pair) for pair in PAIRS]).scores
    alone = compute_logits(model, is_padded=False)
    assert np.ptp(alone, axis=0).min() > 0.01
    np.testing.assert_allclose(found, alone, atol=1e-5)
    if family not in PADDED_OTHERWISE:
        np.testing.assert_allclose(found, compute_logits(model, is_padded=True), atol=1e-5)
    assert len(ask(nlp, *PAIRS[0])) == 1

    export_hf(tmp_path / "pipeline", tmp_path / "exported")
    before, after = (load_file(folder / "model.safetensors") for folder in (checkpoint, tmp_path / "exported"))
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)
    config = json.loads((tmp_path / "exported" / "config.json").read_text(encoding="utf-8"))
    assert config["architectures"] == [SPAN_NAMES[family]]
    assert config["id2label"] == {"0": "start", "1": "end"}


@pytest.mark.parametrize("family", OTHERS)
def test_another_head_is_refused_by_name(family: str, tmp_path: Path) -> None:
    config = {"model_type": family, "architectures": [SPAN_NAMES[family]]}
    (tmp_path / "config.json").write_text(json.dumps(config), encoding="utf-8")
    with pytest.raises(
        CheckpointError, match=rf"answers questions with a head of the family '{re.escape(family)}', wh"
    ):
        import_hf(str(tmp_path), tmp_path / "pipeline")


def test_a_head_that_answers_questions_has_no_labels_and_no_other_factory(tmp_path: Path) -> None:
    checkpoint = str(save_model(make_model("bert", "span"), tmp_path / "hf"))
    with pytest.raises(SettingError, match="none, since bert_qa has no labels"):
        import_hf(checkpoint, tmp_path / "pipeline", labels="A,B")
    with pytest.raises(SettingError, match="one that answers questions: bert_qa"):
        import_hf(checkpoint, tmp_path / "pipeline", factory="bert_ner")
