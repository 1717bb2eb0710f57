"""`spacy-bertft.DistillationCorpus.v1`: examples with what teachers say of their tags."""

# No `from __future__ import annotations`: confection reads signatures at run time.

from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path

from spacy.language import Language
from spacy.training import Example

from spacy_bertft.components.soft_targets import SoftTags, TagTeaching, attach_soft_tags
from spacy_bertft.distillation.teachers import TagTargets, hash_words
from spacy_bertft.errors import DataError, check_setting
from spacy_bertft.training.folds import Corpus


def configure_distillation_corpus(
    corpus: Corpus, soft_targets: Mapping[str, str], weight: float = 1.0, temperature: float = 1.0
) -> Corpus:
    """Configure a reader of examples with soft targets.

    Args:
        corpus: Another reader, in a section of its own, of the examples that the teachers have scored, in that order.
        soft_targets: By name of the component, the `.npz` file that `spacy-bertft distill` has written.
        weight: Weight of the divergence from the teachers, added to the loss by gold annotation.
        temperature: What the scores of teachers and student are divided by for it.

    Returns:
        A function from a pipeline to its examples.

    Raises:
        SettingError: A number is outside what is allowed.
    """
    check_teaching(weight, temperature)
    paths = {component: Path(path) for component, path in soft_targets.items()}
    return partial(_read_examples, corpus, paths, weight, temperature)


def check_teaching(weight: float, temperature: float) -> None:
    """Raise unless a student can learn with a weight and a temperature.

    Raises:
        SettingError: One of them is outside what is allowed.
    """
    check_setting("weight", weight, weight >= 0, "a weight that is not negative")
    check_setting("temperature", temperature, temperature > 0, "a number above 0")


def _read_examples(
    corpus: Corpus, paths: Mapping[str, Path], weight: float, temperature: float, nlp: Language
) -> Iterator[Example]:
    examples = list(corpus(nlp))
    words = hash_words(example.predicted for example in examples)
    teachings, scores = [], []
    for component, path in paths.items():
        targets = TagTargets.read(path)
        if targets.words != words:
            raise DataError(
                f"{path}: the teachers have scored other texts, or other tokens, than those of the corpus. Run "
                "`spacy-bertft distill` again."
            )
        teachings.append(TagTeaching(component, targets.tags, targets.chain, weight, temperature))
        scores.append(targets.split())
    for example, *rows in zip(examples, *scores, strict=True):
        attach_soft_tags(example, list(map(SoftTags, teachings, rows)))
        yield example
