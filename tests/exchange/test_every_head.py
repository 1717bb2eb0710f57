"""Every class of transformers that classifies tokens or texts is imported exactly, or refused by name."""

from __future__ import annotations

import inspect
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import spacy
import torch
from every_class import NAMES, NOT_BUILT, make_config, make_model, save_model
from safetensors.torch import load_file
from small_checkpoints import make_word_level
from spacy.language import Language

from spacy_bertft.checkpoints.heads import find_head_layout
from spacy_bertft.errors import CheckpointError, UnsupportedError
from spacy_bertft.exchange.export_hf import export_hf
from spacy_bertft.exchange.import_hf import import_hf

# Of Funnel in transformers 4, by torch.
pytestmark = pytest.mark.filterwarnings("ignore:Using a non-tuple sequence for multidimensional indexing")

CLASSES = [(task, family) for task, families in NAMES.items() for family in families if family not in NOT_BUILT]
TEXTS = ["a b c d e f g h", "k l", "m", " ".join("cdeabtsrqponmlk" * 3), "e f g"]
# Of these transformers itself gives other logits to a text that is padded; ours are those of the text alone.
PADDED_OTHERWISE = {"convbert", "fnet", "funnel", "mobilebert", "nystromformer", "yoso"}
LEAST_WIDTH = {"funnel": 5}  # transformers cannot run less of it
# Their tokenizers give no segment ids, which these models would look up as pieces.
WITHOUT_SEGMENTS = {"gpt2", "gpt-sw3", "gpt_bigcode", "gpt_neo"}


def is_exact(family: str, task: str) -> bool:
    return find_head_layout({"model_type": make_config(family, task).model_type}, task) is not None


def compute_logits(model: Any, task: str, batch: list[list[int]], *, has_segments: bool = False) -> np.ndarray:
    """Compute what transformers gives for texts of one batch, padded: `(T, L)` of all tokens, or `(B, L)`."""
    width = max(LEAST_WIDTH.get(model.config.model_type, 1), *map(len, batch))
    ids = torch.tensor([row + [0] * (width - len(row)) for row in batch])
    mask = torch.tensor([[1] * len(row) + [0] * (width - len(row)) for row in batch])
    inputs = {"token_type_ids": torch.zeros_like(ids)} if has_segments else {}
    if "attention_mask" in inspect.signature(model.forward).parameters:  # FNet has none
        inputs["attention_mask"] = mask
    with torch.inference_mode():
        logits = model(input_ids=ids, **inputs).logits.numpy()
    if task == "text":
        return logits
    return np.concatenate([rows[1 : len(row) - 1] for rows, row in zip(logits, batch, strict=True)])


def predict_scores(nlp: Language, task: str) -> np.ndarray:
    [name] = nlp.pipe_names
    scores = nlp.get_pipe(name).model.predict([nlp.make_doc(text) for text in TEXTS])
    return scores.scores if task == "token" else scores


def load_in_fp32(folder: Path) -> Language:
    [name] = spacy.util.load_config(folder / "config.cfg")["nlp"]["pipeline"]
    return spacy.load(folder, config={"components": {name: {"model": {"encoder": {"precision": "fp32"}}}}})


@pytest.mark.everyday(30)
@pytest.mark.parametrize(("task", "family"), CLASSES)
def test_the_logits_are_those_of_transformers_or_the_head_is_refused_by_name(
    task: str, family: str, tmp_path: Path
) -> None:
    model = make_model(family, task)
    # Not by the parameters: to make 226 configurations takes seconds of every run, whatever it tests.
    if is_exact(family, task):
        check_exact(model, task, tmp_path)
        check_settings(model, task, family)
    else:
        check_refused(model, task, tmp_path)


# What a configuration may say of the head.
SETTINGS: list[tuple[str, str, dict[str, Any]]] = [
    ("token", "modernbert", {"classifier_bias": True, "norm_bias": True, "classifier_activation": "silu"}),
    ("text", "modernbert", {"classifier_pooling": "mean", "norm_eps": 0.1}),
    ("text", "eurobert", {"classifier_pooling": "bos"}),
    ("text", "eurobert", {"classifier_pooling": "mean"}),
    ("text", "ultrabert", {"classifier_pooling": "mean"}),
    ("text", "big_bird", {"hidden_act": "relu"}),
    ("text", "deberta-v2", {"pooler_hidden_act": "tanh"}),
]


@pytest.mark.everyday(2)
@pytest.mark.parametrize(("task", "family", "fields"), [each for each in SETTINGS if each[1] in NAMES[each[0]]])
def test_what_a_configuration_says_of_a_head_is_heeded(
    task: str, family: str, fields: dict[str, Any], tmp_path: Path
) -> None:
    check_exact(make_model(family, task, **fields), task, tmp_path)


def check_exact(model: Any, task: str, tmp_path: Path) -> None:
    """Import a model, compare its logits with those of transformers, and export it again."""
    family = model.config.model_type
    checkpoint = save_model(model, tmp_path / "hf")
    import_hf(str(checkpoint), tmp_path / "pipeline")
    found = predict_scores(load_in_fp32(tmp_path / "pipeline"), task)

    batch = [make_word_level().encode(text).ids for text in TEXTS]
    alone = np.concatenate([compute_logits(model, task, [row]) for row in batch])
    assert np.ptp(alone, axis=0).min() > 0.01  # it does not say the same of every text
    np.testing.assert_allclose(found, alone, atol=1e-5)
    if family not in PADDED_OTHERWISE:
        np.testing.assert_allclose(found, compute_logits(model, task, batch), atol=1e-5)
        if "token_type_ids" in inspect.signature(model.forward).parameters and family not in WITHOUT_SEGMENTS:
            segmented = compute_logits(model, task, batch, has_segments=True)
            np.testing.assert_allclose(found, segmented, atol=1e-5)

    export_hf(tmp_path / "pipeline", tmp_path / "exported")
    before, after = (load_file(folder / "model.safetensors") for folder in (checkpoint, tmp_path / "exported"))
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)


def check_refused(model: Any, task: str, tmp_path: Path) -> None:
    """Check that a model is not imported, and that the error names its family."""
    checkpoint = save_model(model, tmp_path / "hf")
    named = rf"classifies {task}s with a head of the family '{re.escape(model.config.model_type)}', which cannot be"
    with pytest.raises(CheckpointError, match=named):
        import_hf(str(checkpoint), tmp_path / "pipeline")
    assert not (tmp_path / "pipeline").exists()


@pytest.mark.parametrize(
    ("family", "task", "error"),
    [
        ("longformer", "token", "no head of the family 'longformer' that classifies texts is known"),
        ("modernbert", "token", "other layers before the scores than a head of the family 'modernbert'"),
        ("funnel", "token", "reads the states of FunnelModel, but FunnelForSequenceClassification those of FunnelBase"),
        ("funnel", "text", None),
    ],
)
def test_a_head_of_ours_is_not_exported_to_a_class_that_computes_something_else(
    family: str, task: str, error: str | None, tmp_path: Path
) -> None:
    checkpoint = save_model(make_model(family, task), tmp_path / "hf")
    pooling = "mean" if family == "modernbert" else "cls"
    nlp = spacy.blank("en")
    model = {"encoder": {"name": str(checkpoint)}, "pooling": pooling}
    pipe: Any = nlp.add_pipe("bert_textcat_multilabel", config={"model": model})
    pipe.add_label("X")
    nlp.initialize()
    nlp("a b c")
    nlp.to_disk(tmp_path / "pipeline")
    if error is None:
        export_hf(tmp_path / "pipeline", tmp_path / "exported")
    else:
        with pytest.raises(UnsupportedError, match=error):
            export_hf(tmp_path / "pipeline", tmp_path / "exported")
    assert (tmp_path / "exported").exists() == (error is None)


@pytest.mark.parametrize(("factory", "pooling"), [("bert_ner", None), ("bert_textcat_multilabel", "mean")])
def test_only_the_first_state_of_an_encoder_that_joins_pieces_is_read(
    factory: str, pooling: str | None, tmp_path: Path
) -> None:
    checkpoint = save_model(make_model("funnel", "text"), tmp_path / "hf")
    nlp = spacy.blank("en")
    model = {"encoder": {"name": str(checkpoint)}, **({"pooling": pooling} if pooling else {})}
    pipe: Any = nlp.add_pipe(factory, config={"model": model})
    pipe.add_label("X")
    nlp.initialize()
    with pytest.raises(UnsupportedError, match="makes one state of several subword tokens"):
        nlp("a b c d e f")


@pytest.mark.parametrize(
    ("task", "family"), [(task, family) for task in NAMES for family in NOT_BUILT if family in NAMES[task]]
)
def test_what_cannot_be_built_is_not_imported(task: str, family: str) -> None:
    assert not is_exact(family, task)
    with pytest.raises(ImportError, match=NOT_BUILT[family]):
        make_model(family, task)


# What these heads read of a configuration: widths, which the shapes of weights tell, and rates of dropout.
HARMLESS = re.compile(
    "num_labels|hidden_size|d_model|dim|.*dropout.*|problem_type|(use_)?return_dict|pooler_hidden_size"
)
# These are read for the embeddings, or in the example of a docstring.
UNRELATED = {"max_position_embeddings", "task_type_vocab_size", "id2label"}
HEEDED = {
    **{("text", family): {"pooler_hidden_act"} for family in ("deberta", "deberta-v2")},
    **{("text", family): {"hidden_act"} for family in ("big_bird", "convbert", "nystromformer", "roformer", "yoso")},
    **{(task, "modernbert"): {"classifier_bias", "classifier_activation", "norm_eps", "norm_bias"} for task in NAMES},
    ("text", "ultrabert"): {"classifier_pooling"},
}
HEEDED["text", "modernbert"].add("classifier_pooling")


def check_settings(model: Any, task: str, family: str) -> None:
    """Check that no field changes what a head computes: the logits would be right for its default only."""
    heads = [head for name, head in model.named_children() if name != model.base_model_prefix]
    parts = {
        type(part) for head in heads for part in head.modules() if type(part).__module__.startswith("transformers")
    }
    fields = {
        field for part in {type(model), *parts} for field in re.findall(r"config\.(\w+)", inspect.getsource(part))
    }
    unread = {field for field in fields - UNRELATED if not HARMLESS.fullmatch(field)}
    assert unread == HEEDED.get((task, family), set())
