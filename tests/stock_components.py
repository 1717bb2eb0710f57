"""spaCy's own components over a `bert_encoder`, and gold annotation of all of them."""

from __future__ import annotations

import spacy
from small_checkpoints import TEXTS
from spacy.language import Language
from spacy.tokens import Doc, Span
from spacy.training import Example
from thinc.api import fix_random_seed

from spacy_bertft.training.optimizer import configure_adamw

SHARED = {"@architectures": "spacy-bertft.SharedEncoder.v1"}
STOCK = (
    "tagger",
    "morphologizer",
    "parser",
    "ner",
    "spancat",
    "span_finder",
    "senter",
    "textcat",
    "trainable_lemmatizer",
)
SETTINGS = {"parser": {"min_action_freq": 1}, "trainable_lemmatizer": {"min_tree_freq": 1}}


def add_stock(nlp: Language, factory: str, **listener: object) -> None:
    """Add one of spaCy's components, which listens, with the rest of its model as spaCy has it."""
    model = nlp.get_factory_meta(factory).default_config["model"]
    tok2vec = {"@architectures": "spacy-bertft.Listener.v1", **listener}
    nlp.add_pipe(factory, config={**SETTINGS.get(factory, {}), "model": {**model, "tok2vec": tok2vec}})


def make_gold(nlp: Language, text: str) -> Doc:
    tokens = nlp.make_doc(text)
    n = len(tokens)
    gold = Doc(
        nlp.vocab,
        [token.text for token in tokens],
        [bool(token.whitespace_) for token in tokens],
        tags=["LONG" if len(token) > 4 else "SHORT" for token in tokens],
        pos=["NOUN" if len(token) > 4 else "VERB" for token in tokens],
        morphs=["Number=Plur" if token.text.endswith("s") else "Number=Sing" for token in tokens],
        lemmas=[token.text.removesuffix("s") for token in tokens],
        heads=[max(0, index - 1) for index in range(n)],
        deps=["ROOT", *("obj" if index % 2 else "amod" for index in range(1, n))],
        sent_starts=[1, *[0] * (n - 1)],
    )
    gold.ents = [Span(gold, 1, 3, "SECOND")]
    gold.spans["sc"] = [Span(gold, 0, 2, "FIRST")]
    gold.cats = {"odd": float(n % 2), "even": float(1 - n % 2)}
    return gold


def make_examples(nlp: Language) -> list[Example]:
    return [Example(nlp.make_doc(text), make_gold(nlp, text)) for text in TEXTS[:4]]


def make_stock_pipeline(checkpoint: str, factories=STOCK, n_steps: int = 0, encoder=None, **listener) -> Language:
    """Make a pipeline of an encoder, spaCy's components and our `bert_ner`, and train it."""
    fix_random_seed(0)
    nlp = spacy.blank("en")
    nlp.add_pipe("bert_encoder", config={"model": {"name": checkpoint, "precision": "fp32", **(encoder or {})}})
    for factory in factories:
        add_stock(nlp, factory, **listener)
    nlp.add_pipe("bert_ner", config={"model": {"encoder": SHARED}, "overwrite": True})
    nlp.initialize(lambda: make_examples(nlp))
    optimizer = configure_adamw(5e-3)
    for _ in range(n_steps):
        nlp.update(make_examples(nlp), sgd=optimizer)
    return nlp


def read(doc: Doc) -> dict:
    """Read all that was predicted, scores rounded."""
    spancat = doc.spans["sc"].attrs.get("scores", []) if "sc" in doc.spans else []
    scores = {"spancat": spancat, "cats": doc.cats.values()}
    return {
        **doc.to_json(),
        "cats": [*doc.cats],
        **{name: [round(float(x), 4) for x in each] for name, each in scores.items()},
    }
