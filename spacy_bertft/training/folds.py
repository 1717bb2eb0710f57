"""Parts of a corpus for cross-validation, and two corpora as one, as readers that a config can name."""

# No `from __future__ import annotations`: confection reads signatures at run time.

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from hashlib import sha256
from itertools import chain

import numpy as np
from numpy.typing import NDArray
from spacy.language import Language
from spacy.training import Example

from spacy_bertft.errors import DataError, check_setting

# In the directory of a cross-validation: what it was made of, and its documents, annotated.
FINGERPRINT, GOLD = "fingerprint.json", "gold.spacy"

Corpus = Callable[[Language], Iterable[Example]]


def configure_fold_corpus(corpus: Corpus, n_folds: int, fold: int, is_held_out: bool, seed: int = 0) -> Corpus:
    """Configure `spacy-bertft.FoldCorpus.v1`: the examples of one fold, or those of all others.

    Args:
        corpus: Another reader, in a section of its own.
        n_folds: Into how many parts its examples are divided.
        fold: Which part, from 0.
        is_held_out: Whether to read this part, to evaluate on; otherwise all others, to train on.
        seed: Another one divides the examples in another way.

    Returns:
        A function from a pipeline to its examples.

    Raises:
        SettingError: There are fewer than two folds, or this one is not among them.
    """
    check_setting("n_folds", n_folds, n_folds >= 2, "at least 2")
    check_setting("fold", fold, 0 <= fold < n_folds, f"a number from 0 to {n_folds - 1}")
    return partial(_read_fold, corpus, n_folds, fold, is_held_out, seed)


def configure_concatenated_corpus(first: Corpus, second: Corpus) -> Corpus:
    """Configure `spacy-bertft.ConcatenatedCorpus.v1`: the examples of two readers, one after the other.

    Args:
        first: A reader, in a section of its own.
        second: Another one.
    """
    return lambda nlp: chain(first(nlp), second(nlp))


def assign_folds(texts: Sequence[str], n_folds: int, seed: int = 0) -> NDArray[np.intp]:
    """Assign each text to a fold, by its content, so that the same text never is in two of them.

    Folds have equally many different texts, or one more. The order of the texts makes no difference.

    Args:
        texts: `B` texts.
        n_folds: Into how many parts they are divided.
        seed: Another one divides them in another way.

    Returns:
        `(B,)` the fold of each, from 0.

    Raises:
        DataError: There are fewer different texts than folds.
    """
    ordered = sorted(set(texts), key=lambda text: sha256(f"{seed} {text}".encode(errors="surrogatepass")).digest())
    if len(ordered) < n_folds:
        raise DataError(f"There are {len(ordered)} different texts. Expected at least {n_folds}, one for each fold.")
    fold_by_text = {text: index % n_folds for index, text in enumerate(ordered)}
    return np.array([fold_by_text[text] for text in texts])


def _read_fold(
    corpus: Corpus, n_folds: int, fold: int, is_held_out: bool, seed: int, nlp: Language
) -> Iterator[Example]:
    examples = list(corpus(nlp))
    folds = assign_folds([example.reference.text for example in examples], n_folds, seed)
    for example, its_fold in zip(examples, folds.tolist(), strict=True):
        if (its_fold == fold) == is_held_out:
            yield example
