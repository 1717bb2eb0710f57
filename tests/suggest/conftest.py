"""A pipeline of a small random encoder and three heads that know a few texts by heart."""

from __future__ import annotations

from pathlib import Path

import pytest
import spacy
from small_checkpoints import TEXTS
from spacy.language import Language
from spacy.training import Example
from thinc.api import fix_random_seed

from spacy_bertft.training.optimizer import configure_adamw

SHARED = {"@architectures": "spacy-bertft.SharedEncoder.v1"}
ENTITIES = [[(19, 33, "ACTOR"), (43, 48, "YEAR")], [(13, 26, "TITLE")], [], [(20, 38, "TITLE")]]


GOLD = {
    "bert_ner": [{"entities": entities} for entities in ENTITIES],
    "bert_textcat": [{"cats": {"film": float(i % 2 == 0), "other": float(i % 2)}} for i in range(4)],
    "bert_textcat_multilabel": [{"cats": {word: float(word in t.split()) for word in ("me", "the")}} for t in TEXTS],
}


@pytest.fixture(scope="session")
def pipeline(tmp_path_factory: pytest.TempPathFactory, checkpoint: str) -> Path:
    """Give the folder of a pipeline: `bert_ner`, and two heads for texts that share an encoder."""
    fix_random_seed(0)
    nlp = spacy.blank("en")
    encoder = {"name": checkpoint, "precision": "fp32"}
    nlp.add_pipe("bert_ner", config={"model": {"encoder": encoder}})
    nlp.add_pipe("bert_encoder", config={"model": encoder}).initialize(lambda: [])
    nlp.add_pipe("bert_textcat", config={"model": {"encoder": SHARED}})
    nlp.add_pipe("bert_textcat_multilabel", config={"model": {"encoder": SHARED}})
    for name, gold in GOLD.items():
        teach(nlp, name, gold)
    folder = tmp_path_factory.mktemp("taught") / "model"
    nlp.to_disk(folder)
    return folder


def teach(nlp: Language, name: str, gold: list[dict]) -> None:
    """Teach one head; a shared encoder does not learn along, so no other head forgets what it knew."""
    examples = [Example.from_dict(nlp.make_doc(t), each) for t, each in zip(TEXTS, gold, strict=False)]
    component, optimizer = nlp.get_pipe(name), configure_adamw(5e-3)
    component.initialize(lambda: examples, nlp=nlp)
    for _ in range(40):
        component.update(examples, sgd=optimizer)
