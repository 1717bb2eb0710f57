"""Import and export against transformers itself: every family, both tasks."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import numpy as np
import pytest
import spacy
import torch
from safetensors.torch import load_file
from small_checkpoints import FAMILIES, MORE_FAMILIES, TEXTS, make_checkpoint, make_sentences
from spacy.tokens import Doc
from tokenizers import Tokenizer
from transformers import AutoModelForSequenceClassification, AutoModelForTokenClassification, AutoTokenizer

from spacy_bertft.exchange.export_hf import export_hf
from spacy_bertft.exchange.import_hf import import_hf

CLASSES = {"token": AutoModelForTokenClassification, "text": AutoModelForSequenceClassification}
LABELS = {"token": ["I-PER", "O", "B-PER"], "text": ["film", "person", "other"]}
SENTENCES = [*TEXTS, *make_sentences(95)]

each = pytest.mark.parametrize("family", [*FAMILIES, *MORE_FAMILIES])
both = pytest.mark.parametrize("task", ["token", "text"])


@pytest.fixture(scope="module")
def exchanged(tmp_path_factory):
    """Give a checkpoint, the pipeline made of it, and the checkpoint made of that; once per family and task."""
    made: dict[tuple[str, str], tuple[Path, Path, Path]] = {}

    def get(family: str, task: str) -> tuple[Path, Path, Path]:
        if (family, task) not in made:
            folder = tmp_path_factory.mktemp(f"{family}-{task}")
            names = {"id2label": dict(enumerate(LABELS[task]))}
            checkpoint = make_checkpoint(folder / "first", family, 3, task, **names)
            import_hf(str(checkpoint), folder / "pipeline")
            export_hf(folder / "pipeline", folder / "second")
            made[family, task] = checkpoint, folder / "pipeline", folder / "second"
        return made[family, task]

    return get


@lru_cache(maxsize=4)
def load_model(folder: Path, task: str) -> torch.nn.Module:
    return CLASSES[task].from_pretrained(folder).eval()


def compute_logits(folder: Path, task: str, text: str) -> np.ndarray:
    """Compute what transformers answers, `(P, L)` by piece or `(L,)`; pieces are cut by `tokenizers` itself."""
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.no_truncation()
    ids = torch.tensor([tokenizer.encode(text).ids])
    model = load_model(folder, task)
    with torch.inference_mode():
        return model(input_ids=ids, attention_mask=torch.ones_like(ids)).logits[0].numpy()


def find_pieces(folder: Path, doc: Doc) -> list[int]:
    """Find the first piece of each token, special pieces counted, the slow way."""
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.no_truncation()
    encoding = tokenizer.encode(doc.text)
    pieces = [
        [char for char in range(start, end) if not is_special and not doc.text[char].isspace()]
        for (start, end), is_special in zip(encoding.offsets, encoding.special_tokens_mask, strict=True)
    ]
    found = []
    for token in doc:
        inside = range(token.idx, token.idx + len(token))
        starting = [index for index, chars in enumerate(pieces) if chars and chars[0] in inside]
        reaching = [index for index, chars in enumerate(pieces) if set(chars) & set(inside)]
        found.append((starting or reaching)[0])
    return found


@pytest.mark.everyday(5)
@both
@each
def test_logits_are_those_of_transformers(exchanged, family, task):
    checkpoint, pipeline, _ = exchanged(family, task)
    nlp = spacy.load(pipeline, config={"components": override_precision(pipeline)})
    [name] = nlp.pipe_names
    docs = [nlp.make_doc(text) for text in SENTENCES]
    answer = nlp.get_pipe(name).model.predict(docs)
    if task == "text":
        expected = np.stack([compute_logits(checkpoint, task, text) for text in SENTENCES])
        np.testing.assert_allclose(answer, expected, atol=1e-5)
        return
    expected = np.concatenate(
        [compute_logits(checkpoint, task, doc.text)[find_pieces(checkpoint, doc)] for doc in docs]
    )
    np.testing.assert_allclose(answer.scores, expected, atol=1e-5)


def override_precision(pipeline: Path) -> dict:
    [name] = spacy.load(pipeline).pipe_names
    return {name: {"model": {"encoder": {"precision": "fp32"}}}}


@pytest.mark.everyday(4)
@both
@each
def test_every_tensor_comes_back_bit_for_bit(exchanged, family, task):
    checkpoint, _, exported = exchanged(family, task)
    before, after = load_file(checkpoint / "model.safetensors"), load_file(exported / "model.safetensors")
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) and before[name].dtype == after[name].dtype for name in before)


@both
@each
def test_transformers_loads_what_is_exported(exchanged, family, task):
    checkpoint, _, exported = exchanged(family, task)
    model, info = CLASSES[task].from_pretrained(exported, output_loading_info=True)
    assert not info["missing_keys"]
    assert not info["unexpected_keys"]
    assert model.config.id2label == dict(enumerate(LABELS[task]))
    tokenizer, text = AutoTokenizer.from_pretrained(exported), TEXTS[0]
    batch = tokenizer([text, "who"], padding=True, return_tensors="pt")
    with torch.inference_mode():
        logits = model.eval()(**batch).logits[0].numpy()
    expected = compute_logits(checkpoint, task, text)
    np.testing.assert_allclose(logits, expected, atol=1e-5)
