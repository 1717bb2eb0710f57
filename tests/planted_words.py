"""Texts whose class one keyword makes, alone; so a right explanation is known.

Some texts have none, and a class of their own: otherwise a class could be recognized by what is missing.
"""

from __future__ import annotations

import numpy as np
import spacy
from small_checkpoints import WORDS
from spacy.language import Language
from spacy.training import Example
from thinc.api import fix_random_seed

from spacy_bertft.training.optimizer import configure_adamw

KEYWORDS = {"barrymore": "ACTOR", "godfather": "TITLE", "plot": "TOPIC"}
NO_KEYWORD = "NONE"
# None begins as a keyword does: `bert_ner` looks at the first piece of a word, which the two might share.
_INITIALS = {keyword[0] for keyword in KEYWORDS}
_OTHERS = sorted({word for word in WORDS if word.isalpha() and word.isascii() and word[0] not in _INITIALS})


def plant(n_texts: int, seed: int) -> list[tuple[str, str]]:
    """Make texts of random words with one keyword in each, and name the keyword."""
    rng = np.random.default_rng(seed)
    texts = []
    for keyword in rng.choice(list(KEYWORDS), n_texts).tolist():
        words = rng.choice(_OTHERS, rng.integers(3, 9)).tolist()
        words.insert(int(rng.integers(len(words) + 1)), keyword)
        texts.append((" ".join(words), keyword))
    return texts


def make_cats(label: str) -> dict[str, float]:
    return {each: float(each == label) for each in (*KEYWORDS.values(), NO_KEYWORD)}


def make_plain_example(nlp: Language, text: str, keyword: str) -> Example:
    """Make an example without its keyword."""
    plain = " ".join(word for word in text.split() if word != keyword)
    return Example.from_dict(nlp.make_doc(plain), {"cats": make_cats(NO_KEYWORD), "entities": []})


def make_example(nlp: Language, text: str, keyword: str) -> Example:
    """Make an example whose keyword is an entity too."""
    start = text.index(keyword)
    gold = {"cats": make_cats(KEYWORDS[keyword]), "entities": [(start, start + len(keyword), KEYWORDS[keyword])]}
    return Example.from_dict(nlp.make_doc(text), gold)


def make_planted_pipeline(checkpoint: str) -> Language:
    """Train a `bert_textcat` to tell the keywords, and a `bert_ner` to find them; it takes some seconds."""
    fix_random_seed(0)
    nlp = spacy.blank("en")
    settings = {"encoder": {"name": checkpoint, "precision": "fp32"}}
    nlp.add_pipe("bert_textcat", config={"model": {"pooling": "mean", **settings}})
    nlp.add_pipe("bert_ner", config={"model": settings})
    texts = plant(300, seed=1)
    examples = [(make_plain_example if i % 3 == 0 else make_example)(nlp, *each) for i, each in enumerate(texts)]
    nlp.initialize(lambda: examples)
    optimizer = configure_adamw(3e-3)
    for step in range(60):
        first = 50 * (step % 6)
        nlp.update(examples[first : first + 50], sgd=optimizer)
    return nlp
