"""Trained pipelines of spacy-transformers and spacy-curated-transformers, made by them, and what they predict.

python tests/migration_pipelines.py spacy-transformers FOLDER
python tests/migration_pipelines.py curated FOLDER

Each runs in an environment that has the package; `make migrate-fixtures` makes both. Neither environment has to have
ours, so nothing of it is imported here, apart from `small_checkpoints` next to spacy-transformers.
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path
from typing import Any
from zlib import crc32

import spacy
from spacy.language import Language
from spacy.tokens import Doc
from spacy.training import Example
from thinc.api import fix_random_seed

LANG = "xx"  # of which spaCy saves little
MOVIE = Path(__file__).parent.parent / "assets" / "movie"
N_TEXTS, N_TRAIN = 1000, 200
LONGEST = 90  # characters, so that even if each is a piece a text is shorter than a stride
# What neither the training texts nor the movie sentences have: unknown letters inside of words, accents, whitespace of
# its own, punctuation inside of tokens, no words at all.
ODD = [
    "Ein Ärgernis: naïve café-goers don't pay 3.50€, or £12½!",
    "what's  the plot\n of 'mission impossible' (1996)?",
    "foo§bar ẞtraße ﬁlm …  ",
    "",
    " \n ",
    "U.S.-made re-runs, e.g. «Die Hard» №5",
]


def read_sentences(name: str) -> list[list[str]]:
    """Read the tokens of the movie corpus."""
    blocks = (MOVIE / f"{name}.bio").read_text(encoding="utf-8").strip().split("\n\n")
    return [[line.split("\t")[1] for line in block.splitlines()] for block in blocks]


def read_texts(*, is_never_empty: bool) -> list[str]:
    """Return the texts whose annotations are compared: the odd ones, then sentences that are one span everywhere."""
    odd = [text for text in ODD if text.strip() or not is_never_empty]
    sentences = [" ".join(words) for words in read_sentences("test") + read_sentences("train")[N_TRAIN:]]
    return [*odd, *(text for text in sentences if len(text) <= LONGEST)][:N_TEXTS]


def make_examples(nlp: Language, n_texts: int) -> list[Example]:
    """Make examples whose annotations are rules over words: what is to be learned is plain."""
    examples = []
    for words in read_sentences("train")[:n_texts]:
        is_film = [word.startswith(("movie", "film")) for word in words]
        gold = {
            "tags": ["LONG" if len(word) > 5 else "VOWEL" if word[0] in "aeiou" else "SHORT" for word in words],
            "heads": [index - 1 if index else 0 for index in range(len(words))],
            "deps": ["ROOT", *("word" if len(word) < 4 else "name" for word in words[1:])],
            "lemmas": [word[:-1] if word.endswith("s") else word for word in words],
            "cats": {"film": float(any(is_film)), "other": float(not any(is_film))},
            "entities": ["U-FILM" if each else "O" for each in is_film],
        }
        examples.append(Example.from_dict(Doc(nlp.vocab, words=words), gold))
    return examples


def add_heads(nlp: Language, listeners: dict[str, dict[str, Any]]) -> None:
    """Add stock components, each on its listener."""
    parser = {"@architectures": "spacy.TransitionBasedParser.v2", "hidden_width": 16, "maxout_pieces": 2}
    parser |= {"extra_state_tokens": False, "use_upper": False}
    models: dict[str, dict[str, Any]] = {
        "tagger": {"@architectures": "spacy.Tagger.v2"},
        "parser": {**parser, "state_type": "parser"},
        "ner": {**parser, "state_type": "ner"},
        "textcat": {
            **{"@architectures": "spacy.TextCatReduce.v1", "exclusive_classes": True, "use_reduce_first": False},
            **{"use_reduce_last": False, "use_reduce_max": False, "use_reduce_mean": True},
        },
        "trainable_lemmatizer": {"@architectures": "spacy.Tagger.v2"},
    }
    for name, listener in listeners.items():
        config: dict[str, Any] = {"model": {**models[name], "tok2vec": listener}}
        config |= {"parser": {"min_action_freq": 1}, "trainable_lemmatizer": {"top_k": 1}}.get(name, {})
        nlp.add_pipe(name, config=config)


def read_annotations(doc: Doc) -> dict[str, Any]:
    """Read what is found in a document."""
    return {
        "tags": [token.tag_ for token in doc],
        "heads": [token.head.i for token in doc],
        "deps": [token.dep_ for token in doc],
        "lemmas": [token.lemma_ for token in doc],
        "ents": [[ent.start, ent.end, ent.label_] for ent in doc.ents],
        "cats": sorted(label for label, prob in doc.cats.items() if prob > 0.5),
    }


def digest(annotations: dict[str, Any]) -> int:
    """Make one small number of annotations."""
    return crc32(json.dumps(annotations).encode()) % 2**16


def read_states(nlp: Language, name: str, text: str) -> list[list[float]]:
    """Return what a head makes of the states of a text: `(T, H)`, rounded."""
    docs = [nlp(text)]
    model: Any = nlp.get_pipe(name).model  # type: ignore[attr-defined]
    states = model.get_ref("tok2vec").predict(docs)  # that of a parser is one array for the whole batch
    return [[round(float(value), 6) for value in row] for row in (states[0] if isinstance(states, list) else states)]


def train(nlp: Language, n_steps: int) -> None:
    """Learn a little: enough that every component predicts more than one label."""
    examples = make_examples(nlp, N_TRAIN)
    optimizer = nlp.initialize(lambda: examples)
    optimizer.learn_rate = 0.01
    for step in range(n_steps):
        first = 20 * (step % 10)
        nlp.update(examples[first : first + 20], sgd=optimizer, drop=0.0)


def save(nlp: Language, folder: Path, gone: str) -> None:
    """Save a trained pipeline without the path of its checkpoint, and what it predicts."""
    folder.mkdir(parents=True, exist_ok=True)
    nlp.to_disk(folder / "pipeline")
    config_path = folder / "pipeline" / "config.cfg"
    config_path.write_text(config_path.read_text(encoding="utf-8").replace(gone, "gone"), encoding="utf-8")
    # `ScalarWeight.v1` fails at documents without words.
    is_never_empty = "ScalarWeight" in nlp.config.to_str()
    found = [read_annotations(doc) for doc in nlp.pipe(read_texts(is_never_empty=is_never_empty))]
    first = found[: len(ODD) + 6]
    answers = {
        "is_never_empty": is_never_empty,
        "states": {name: read_states(nlp, name, ODD[0]) for name in ("tagger", "parser")},
        "annotations": first,
        "digests": [digest(each) for each in found],
    }
    (folder / "answers.json").write_text(json.dumps(answers), encoding="utf-8")
    kinds = {kind: {json.dumps(value) for each in found for value in each[kind]} for kind in found[0]}
    print(folder.name, {kind: len(values) for kind, values in kinds.items()})


def make_stock(folder: Path) -> None:
    """Make pipelines of spacy-transformers: each version of its model."""
    from small_checkpoints import make_checkpoint

    sizes = {"hidden_size": 16, "num_attention_heads": 2, "intermediate_size": 16}
    sizes |= {"num_hidden_layers": 1, "max_position_embeddings": 98}
    heads = ("tagger", "parser", "ner", "textcat")
    for version, family in enumerate(("bert", "roberta", "distilbert"), start=1):
        with tempfile.TemporaryDirectory() as temporary_dir:
            own = {"dim": 16, "hidden_dim": 16, "n_heads": 2, "n_layers": 1} if family == "distilbert" else {}
            checkpoint = str(make_checkpoint(Path(temporary_dir) / "encoder", family, **sizes, **own))
            fix_random_seed(0)
            nlp = spacy.blank(LANG)
            spans = {"@span_getters": "spacy-transformers.strided_spans.v1", "window": 32, "stride": 24}
            model = {"@architectures": f"spacy-transformers.TransformerModel.v{version}", "name": checkpoint}
            model |= {"get_spans": spans, "tokenizer_config": {"use_fast": True}}
            nlp.add_pipe("transformer", config={"model": model})
            listener = {"@architectures": "spacy-transformers.TransformerListener.v1", "grad_factor": 1.0}
            names = (*heads[:3], "trainable_lemmatizer") if family == "distilbert" else heads
            listener["pooling"] = {"@layers": "reduce_mean.v1"}  # `reduce_first.v1` fails at tokens of whitespace
            add_heads(nlp, dict.fromkeys(names, listener))
            train(nlp, 90)
            save(nlp, folder / f"spacy-transformers-{family}", checkpoint)


def make_curated(folder: Path) -> None:
    """Make pipelines of spacy-curated-transformers: each kind of piece encoder, and of listener."""
    architectures = "spacy-curated-transformers."
    for family, encoder, loader, settings in (
        ("Bert", "BertWordpieceEncoder", "WordpieceLoader", {"lowercase": True, "strip_accents": True}),
        ("Roberta", "ByteBpeEncoder", "ByteBpeLoader", {}),
        ("Xlmr", "XlmrSentencepieceEncoder", "SentencepieceLoader", {}),
    ):
        with tempfile.TemporaryDirectory() as temporary_dir:
            has_mix = family == "Xlmr"
            n_pieces, paths = _WRITERS[family](Path(temporary_dir))
            fix_random_seed(0)
            nlp = spacy.blank(LANG)
            model = {"@architectures": f"{architectures}{family}Transformer.v1", "vocab_size": n_pieces}
            model |= {
                "hidden_width": 16,
                "intermediate_width": 16,
                "num_attention_heads": 2,
                "num_hidden_layers": 1 + has_mix,
            }
            model |= {"max_position_embeddings": 130, "model_max_length": 128}
            model["piece_encoder"] = {"@architectures": f"{architectures}{encoder}.v1"}
            model["with_spans"] = {"@architectures": f"{architectures}WithStridedSpans.v1", "window": 128, "stride": 96}
            config = {"model": model, "all_layer_outputs": has_mix}
            nlp.add_pipe("curated_transformer", name="transformer", config=config)
            if has_mix:  # `SentencepieceLoader.v1` loads into the wrong layer of this encoder
                _load_sentencepiece(nlp, paths["path"])
            else:
                load = {"@model_loaders": f"{architectures}{loader}.v1", **settings, **paths}
                nlp.config["initialize"]["components"]["transformer"] = {"piecer_loader": load}
            last = {"@architectures": f"{architectures}LastTransformerLayerListener.v1", "width": 16}
            last["pooling"] = {"@layers": "reduce_mean.v1"}
            weight = {"@architectures": f"{architectures}ScalarWeight.v1", "num_layers": 2}
            mix = {**last, "@architectures": f"{architectures}ScalarWeightingListener.v1", "weighting": weight}
            heads = ("tagger", "parser", "ner", "textcat" if family == "Bert" else "trainable_lemmatizer")
            mixed = ("tagger", "ner") if has_mix else ()
            add_heads(nlp, {name: mix if name in mixed else last for name in heads})
            train(nlp, 90)
            save(nlp, folder / f"curated-{family.lower()}", temporary_dir)


def _list_words() -> list[str]:
    words = {word for sentence in read_sentences("train")[:100] for word in sentence if word.isalpha()}
    return sorted(words)[:80]


def _write_wordpiece(folder: Path) -> tuple[int, dict[str, str]]:
    letters = sorted(set("abcdefghijklmnopqrstuvwxyz0123456789.,:;!?'()-ß"))
    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", *letters, *(f"##{letter}" for letter in letters)]
    pieces += [word for word in _list_words() if len(word) > 1]
    (folder / "vocab.txt").write_text("\n".join(pieces) + "\n", encoding="utf-8")
    return len(pieces), {"path": str(folder / "vocab.txt")}


def _write_byte_level(folder: Path) -> tuple[int, dict[str, str]]:
    from curated_tokenizers._bbpe import bytes_to_unicode

    letters = {byte: letter.decode() for byte, letter in bytes_to_unicode().items()}
    pieces, merges = ["<s>", "<pad>", "</s>", "<unk>", *sorted(letters.values())], []
    for word in _list_words()[:40]:
        first, *others = [letters[byte] for byte in f" {word}".encode()]
        for other in others:
            if first + other not in pieces:
                pieces.append(first + other)
                merges.append(f"{first} {other}")
            first += other
    (folder / "vocab.json").write_text(json.dumps({piece: index for index, piece in enumerate(pieces)}))
    (folder / "merges.txt").write_text("\n".join(["#version: 0.2", *merges]) + "\n", encoding="utf-8")
    return len(pieces), {"vocab_path": str(folder / "vocab.json"), "merges_path": str(folder / "merges.txt")}


def _write_sentencepiece(folder: Path) -> tuple[int, dict[str, str]]:
    from sentencepiece import SentencePieceTrainer

    rules = {"ﬁ": "fi", "½": "1/2", "№": "No", "…": "...", "\u00a0": " "}
    lines = [
        " ".join(f"{ord(c):X}" for c in old) + "\t" + " ".join(f"{ord(c):X}" for c in new) for old, new in rules.items()
    ]
    (folder / "rules.tsv").write_text("\n".join(lines) + "\n")
    SentencePieceTrainer.train(
        sentence_iterator=iter([" ".join(words) for words in read_sentences("train")[:300]]),
        model_prefix=str(folder / "pieces"),
        vocab_size=150,
        model_type="unigram",
        normalization_rule_tsv=str(folder / "rules.tsv"),
        minloglevel=2,
    )
    return 152, {"path": str(folder / "pieces.model")}


def _load_sentencepiece(nlp: Language, path: str) -> None:
    from curated_tokenizers import SentencePieceProcessor

    model: Any = nlp.get_pipe("transformer").model  # type: ignore[attr-defined]
    encoder = model.get_ref("piece_encoder").get_ref("encoder")
    encoder.attrs["sentencepiece_processor"] = SentencePieceProcessor.from_file(path)


_WRITERS = {"Bert": _write_wordpiece, "Roberta": _write_byte_level, "Xlmr": _write_sentencepiece}

if __name__ == "__main__":
    {"spacy-transformers": make_stock, "curated": make_curated}[sys.argv[1]](Path(sys.argv[2]))
