"""Pipelines whose answer is known: of spaCy's own text classifiers, trained on four words."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
import spacy
from spacy.language import Language
from spacy.tokens import DocBin
from spacy.training import Example

SENTIMENT = {"good": {"POS": 1.0, "NEG": 0.0}, "bad": {"POS": 0.0, "NEG": 1.0}}
TOPICS = {
    "film": {"FILM": 1.0, "FOOD": 0.0},
    "soup": {"FILM": 0.0, "FOOD": 1.0},
    "film soup": {"FILM": 1.0, "FOOD": 1.0},
    "word": {"FILM": 0.0, "FOOD": 0.0},
}

Texts = list[tuple[str, Mapping[str, float]]]


@pytest.fixture(scope="session")
def pipelines(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Give the folder of a pipeline, by its components, made once: `textcat` tells POS from NEG by "good" and "bad",
    `textcat_multilabel` finds FILM and FOOD by "film" and "soup"."""
    made: dict[tuple[str, ...], Path] = {}

    def get(*factories: str) -> Path:
        if factories not in made:
            made[factories] = tmp_path_factory.mktemp("pipeline") / "model"
            make_pipeline(factories).to_disk(made[factories])
        return made[factories]

    return get


@pytest.fixture
def write(tmp_path: Path) -> Callable[[Texts], Path]:
    """Write texts and their categories to a `.spacy` file."""

    def write_texts(texts: Texts) -> Path:
        docs = []
        for text, cats in texts:
            doc = spacy.blank("en")(text)
            doc.cats = dict(cats)
            docs.append(doc)
        DocBin(docs=docs).to_disk(tmp_path / "gold.spacy")
        return tmp_path / "gold.spacy"

    return write_texts


def make_pipeline(factories: tuple[str, ...]) -> Language:
    nlp = spacy.blank("en")
    gold = {"textcat": SENTIMENT, "textcat_multilabel": TOPICS}
    for factory in factories:
        is_exclusive = factory == "textcat"
        model = {"@architectures": "spacy.TextCatBOW.v3", "exclusive_classes": is_exclusive, "ngram_size": 1}
        pipe = nlp.add_pipe(factory, config={"model": {**model, "no_output_layer": False}})
        examples = [Example.from_dict(nlp.make_doc(text), {"cats": dict(cats)}) for text, cats in gold[factory].items()]
        pipe.initialize(lambda examples=examples: examples, nlp=nlp)
        optimizer = nlp.create_optimizer()
        optimizer.learn_rate = 0.1
        for _ in range(40):
            pipe.update(examples, sgd=optimizer)
    return nlp
