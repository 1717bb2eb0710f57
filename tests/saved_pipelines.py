"""A pipeline of every component, saved with its answers, for another version of us or of what we need to load.

python tests/saved_pipelines.py save FOLDER
python tests/saved_pipelines.py check FOLDER
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import numpy as np
import spacy
import srsly
from small_checkpoints import TEXTS, make_checkpoint
from spacy.tokens import Doc
from taught_pipelines import GOLD, make_taught_pipeline

LANG = "xx"  # of which spaCy saves little
SIZES = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
WINDOWS = {"window": 16, "stride": 8, "max_pieces": 64}
# After those that are taught: nothing at all, no words, words that are not known, and several windows.
ASKED = [*TEXTS[:4], "", " \n ", "Der 😀 e\u0301tude,\u00a0naïve?", " ".join(3 * TEXTS)]
_TOLERANCE = 1e-5


def read_answer(doc: Doc) -> dict[str, list]:
    """Read what is found in a document: what has to be the same everywhere, and scores, which are rounded."""
    return {
        "entities": [[ent.start_char, ent.end_char, ent.label_] for ent in doc.ents],
        "tags": [token.tag_ for token in doc],
        "cats": sorted(label for label, prob in doc.cats.items() if prob > 0.5),
        "scores": [*doc.spans["bert_ner"].attrs["scores"], *(doc.cats[label] for label in sorted(doc.cats))],
    }


def save(folder: Path) -> None:
    """Save a pipeline, and its answers next to it."""
    tokens = [spacy.blank(LANG).make_doc(text) for text in TEXTS[:4]]
    gold = {**GOLD, "bert_tagger": [{"tags": ["ODD" if len(token) % 2 else "EVEN" for token in doc]} for doc in tokens]}
    with tempfile.TemporaryDirectory() as temporary_dir:
        checkpoint = make_checkpoint(Path(temporary_dir) / "encoder", **SIZES)
        nlp = make_taught_pipeline(str(checkpoint), gold, LANG, **WINDOWS)
    folder.mkdir(parents=True, exist_ok=True)
    nlp.to_disk(folder / "pipeline")
    config_path = folder / "pipeline" / "config.cfg"
    config_path.write_text(config_path.read_text(encoding="utf-8").replace(str(checkpoint), "gone"), encoding="utf-8")
    answers = [{"text": text, **read_answer(nlp(text))} for text in ASKED]
    srsly.write_json(folder / "answers.json", answers)


def check(folder: Path) -> None:
    """Load a pipeline and compare its answers.

    Raises:
        AssertionError: One is another.
    """
    nlp = spacy.load(folder / "pipeline")
    for expected in srsly.read_json(folder / "answers.json"):
        found = read_answer(nlp(expected["text"]))
        for kind in ("entities", "tags", "cats"):
            assert found[kind] == expected[kind], (expected["text"], kind)
        np.testing.assert_allclose(found["scores"], expected["scores"], rtol=0, atol=_TOLERANCE)


if __name__ == "__main__":
    {"save": save, "check": check}[sys.argv[1]](Path(sys.argv[2]))
