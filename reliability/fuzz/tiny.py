"""A checkpoint and pipelines of a few hundred numbers, so that they can be damaged very often."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import spacy
import torch
from spacy.language import Language
from spacy.training import Example
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import AutoModel, AutoModelForTokenClassification, BertConfig

FACTORIES = ("bert_ner", "bert_tagger", "bert_textcat", "bert_textcat_multilabel", "bert_spancat", "bert_encoder")
SHARED = {"@architectures": "spacy-bertft.SharedEncoder.v1"}


def make_tiny_checkpoint(folder: Path, n_labels: int = 0, **changes: object) -> Path:
    """Save a BERT over the letters from `a` to `t`, with a head for the classification of tokens if it has labels."""
    sizes: dict[str, Any] = {
        "vocab_size": 23,
        "hidden_size": 4,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "intermediate_size": 4,
        "max_position_embeddings": 16,
        **({"num_labels": n_labels} if n_labels else {}),
        **changes,
    }
    torch.manual_seed(0)
    model = (AutoModelForTokenClassification if n_labels else AutoModel).from_config(BertConfig(**sizes))
    for parameter in model.parameters():
        if parameter.ndim > 1:
            torch.nn.init.normal_(parameter)
    model.save_pretrained(folder)
    make_letters().save(str(folder / "tokenizer.json"))
    return folder


def make_letters() -> Tokenizer:
    """Make a tokenizer that knows letters only: padding is 0, what opens a window 1, what closes it 2, `a` 3."""
    special = ("[PAD]", "[CLS]", "[SEP]")
    tokenizer = Tokenizer(
        models.WordLevel({piece: index for index, piece in enumerate((*special, *"abcdefghijklmnopqrst"))})
    )
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=[("[CLS]", 1), ("[SEP]", 2)]
    )
    tokenizer.add_special_tokens(list(special))
    return tokenizer


def make_tiny_pipeline(factory: str, checkpoint: Path, seed: int = 0, **encoder: Any) -> Language:
    """Make a pipeline of one component; an encoder that is shared has a head after it.

    Args:
        factory: The factory of the component.
        checkpoint: The encoder.
        seed: From which random weights come; 0 keeps those of the checkpoint.
        encoder: Further settings of the encoder.
    """
    nlp = spacy.blank("en")
    model: dict[str, Any] = {"name": str(checkpoint), "precision": "fp32", **encoder}
    head = factory
    if factory == "bert_encoder":
        nlp.add_pipe(factory, config={"model": model}).initialize(lambda: [])
        model, head = SHARED, "bert_textcat"
    pipe = nlp.add_pipe(head, config={"model": {"encoder": model}})
    torch.manual_seed(seed)
    doc = nlp.make_doc("a b c d")
    pipe.initialize(lambda: [Example(doc, doc)], nlp=nlp, labels=["X", "Y", "Z"])
    if seed:
        for shim in (shim for node in nlp.get_pipe(factory).model.walk() for shim in node.shims):
            for parameter in shim.module.parameters():
                torch.nn.init.normal_(parameter)
    return nlp


def annotate(nlp: Language) -> list[object]:
    """Annotate some texts, and list all that components of ours may write, and what their models answer."""
    texts = ["a b c d", "e f g a b c h i j k l m n o p q r s t", ""]
    answers = [pipe.model.predict([nlp.make_doc(text) for text in texts]) for _, pipe in nlp.pipeline[-1:]]
    scores = [getattr(answer, "scores", answer).tolist() for answer in answers]
    return scores + [
        (
            doc.cats,
            [token.tag_ for token in doc],
            [(span.start, span.end, span.label_) for group in doc.spans.values() for span in group],
        )
        for doc in nlp.pipe(texts)
    ]
