"""What an encoder gives to its heads, what they send back, and a cache of it for an encoder that does not learn."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal, cast, get_args

import numpy as np
from numpy.typing import NDArray
from spacy.attrs import ORTH, SPACY
from spacy.tokens import Doc
from thinc.compat import torch

from spacy_bertft.data.pairs import find_marked
from spacy_bertft.data.sentences import find_sentence_starts
from spacy_bertft.tokens.alignment import Ints, take_ranges
from spacy_bertft.tokens.contexts import ContextRows

Output = Literal[
    "tokens", "token_means", "contexts", "first", "mean", "max", "choice_first", "choice_mean", "choice_max"
]
OUTPUTS = get_args(Output)
# What heads are given of a prompt read with each of its endings, and how its window is pooled.
CHOICES: dict[Output, Output] = {"choice_first": "first", "choice_mean": "mean", "choice_max": "max"}


@dataclass(frozen=True)
class EncodedDocs:
    """The states of a batch of documents, as far as a head has asked for them.

    Attributes:
        vectors: All float32. `tokens`: `(A, H)`, one row for each token that has a subword token, document after
            document; none if no head asked for tokens. Tokens that share their subword token, such as the characters of
            a Chinese word, are one row. `token_means`: `(T, H)`, one row for every token, the mean over the subword
            tokens that overlap it, zeros if there are none. `(W, H)` for each way of pooling: the state of the first
            subword token of each window, or the mean or maximum over all its subword tokens, special ones included.
            `choice_…`: `(C, H)`, the same of a window for each ending of a document that is a choice, with its prompt.
        token_index: `(A,)` the first token of each row, counted through the whole batch.
        token_end: `(A,)` one past its last token.
        lengths: `(B,)` rows per document.
        window_doc: `(W,)` the document of each window, in order; a document has at least one.
        window_lengths: `(W,)` subword tokens of each window, special ones included.
        n_lost: `(B,)` subword tokens of a pair of texts that are left out, as it does not fit one window; may be empty
            if the encoder reads no pairs.
        contexts: What the rows of `contexts` are; None if no head asked for them.
        choices: `(B, 2)` how many endings each document has, and how many of them do not fit one window with their
            prompt and are cut; empty if no head asked for them.
    """

    vectors: dict[Output, torch.Tensor]
    token_index: NDArray  # type: ignore[type-arg]
    token_end: NDArray  # type: ignore[type-arg]
    lengths: NDArray  # type: ignore[type-arg]
    window_doc: NDArray  # type: ignore[type-arg]
    window_lengths: NDArray  # type: ignore[type-arg]
    n_lost: NDArray = field(default_factory=lambda: np.zeros(0, dtype=np.intp))  # type: ignore[type-arg]
    contexts: ContextRows | None = None
    choices: NDArray = field(default_factory=lambda: np.zeros((0, 2), dtype=np.intp))  # type: ignore[type-arg]


# The gradient of a loss with respect to `EncodedDocs.vectors`, as far as a head looked at them.
EncodedGradient = dict[Output, "torch.Tensor"]


def copy_encoded(encoded: EncodedDocs) -> EncodedDocs:
    """Copy states that were computed to predict, so that a head may learn from them."""
    return replace(encoded, vectors={output: each.clone() for output, each in encoded.vectors.items()})


Encode = Callable[[list[Doc]], EncodedDocs]


class StateCache:
    """Keep the states of documents, up to a limit; those beyond it are computed each time.

    Args:
        max_bytes: Most memory that the kept states take.
        by_sentence: Whether states depend on where sentences end.

    Attributes:
        n_bytes: The memory that they take now.
    """

    def __init__(self, max_bytes: int, *, by_sentence: bool = False) -> None:
        self.max_bytes = max_bytes
        self.by_sentence = by_sentence
        self.n_bytes = 0
        self._kept: dict[Hashable, EncodedDocs] = {}

    def encode(self, docs: list[Doc], encode: Encode, outputs: Sequence[str]) -> EncodedDocs:
        """Return the states of a batch, computing only those that are not kept.

        Args:
            docs: The batch.
            encode: Computes states.
            outputs: What is wanted of them.
        """
        keys = [make_key(doc, outputs, by_sentence=self.by_sentence) for doc in docs]
        found = {key: self._kept[key] for key in keys if key in self._kept}
        new = {key: doc for key, doc in zip(keys, docs, strict=True) if key not in found}
        if new:
            encoded = encode(list(new.values()))
            n_tokens = np.array([len(doc) for doc in new.values()], dtype=np.intp)
            for index, key in enumerate(new):
                found[key] = self._keep(key, take_docs(encoded, np.array([index]), n_tokens))
        return join_docs([found[key] for key in keys], docs)

    def _keep(self, key: Hashable, encoded: EncodedDocs) -> EncodedDocs:
        n_bytes = sum(tensor.nbytes for tensor in encoded.vectors.values())
        if self.n_bytes + n_bytes > self.max_bytes:
            return encoded
        self.n_bytes += n_bytes
        self._kept[key] = encoded
        return encoded


def join_docs(parts: Sequence[EncodedDocs], docs: Sequence[Doc]) -> EncodedDocs:
    """Put the states of single documents together to those of a batch; `take_docs` is the reverse.

    Args:
        parts: The states of each document, at least one.
        docs: The documents.
    """
    first_token = _count_before(docs)
    return EncodedDocs(
        vectors={output: torch.cat([part.vectors[output] for part in parts]) for output in parts[0].vectors},
        token_index=np.concatenate([part.token_index + first for part, first in zip(parts, first_token, strict=True)]),
        token_end=np.concatenate([part.token_end + first for part, first in zip(parts, first_token, strict=True)]),
        lengths=np.concatenate([part.lengths for part in parts]),
        window_doc=np.repeat(np.arange(len(parts)), [len(part.window_doc) for part in parts]),
        window_lengths=np.concatenate([part.window_lengths for part in parts]),
        n_lost=np.concatenate([part.n_lost for part in parts]),
        contexts=None
        if parts[0].contexts is None
        else _join_rows([cast(ContextRows, part.contexts) for part in parts]),
        choices=np.concatenate([part.choices for part in parts]),
    )


def _join_rows(parts: Sequence[ContextRows]) -> ContextRows:
    return ContextRows(*map(np.concatenate, zip(*parts, strict=True)))


def take_docs(encoded: EncodedDocs, index: Ints, n_tokens: Ints) -> EncodedDocs:
    """Take the states of some documents of a batch.

    Args:
        encoded: The states of the batch.
        index: `(D,)` the documents, in any order.
        n_tokens: `(B,)` tokens of each document of the batch.
    """
    windows = np.bincount(encoded.window_doc, minlength=len(n_tokens))
    rows, taken_windows = take_ranges(encoded.lengths, index), take_ranges(windows, index)
    taken = {"tokens": rows, "token_means": take_ranges(n_tokens, index)}
    contexts = encoded.contexts
    if contexts is not None:
        taken["contexts"] = asked = take_ranges(contexts.lengths, index)
        contexts = ContextRows(*(each[asked] for each in contexts[:3]), *(each[index] for each in contexts[3:]))
    if len(encoded.choices):
        taken |= dict.fromkeys(CHOICES, take_ranges(encoded.choices[:, 0], index))
    before, after = np.cumsum(n_tokens) - n_tokens, np.cumsum(n_tokens[index]) - n_tokens[index]
    shift = np.repeat(after - before[index], encoded.lengths[index])
    return EncodedDocs(
        vectors={output: each[taken.get(output, taken_windows)] for output, each in encoded.vectors.items()},
        token_index=encoded.token_index[rows] + shift,
        token_end=encoded.token_end[rows] + shift,
        lengths=encoded.lengths[index],
        window_doc=np.repeat(np.arange(len(index)), windows[index]),
        window_lengths=encoded.window_lengths[taken_windows],
        n_lost=encoded.n_lost[index] if len(encoded.n_lost) else encoded.n_lost,
        contexts=contexts,
        choices=encoded.choices[index] if len(encoded.choices) else encoded.choices,
    )


def _count_before(docs: Sequence[Doc]) -> Ints:
    """Count the tokens before each document of a batch."""
    lengths = np.array([len(doc) for doc in docs], dtype=np.intp)
    return np.cumsum(lengths) - lengths


def make_key(doc: Doc, outputs: Sequence[str], *, by_sentence: bool) -> Hashable:
    """Make of a document what its states depend on, without its text, which takes time to make."""
    starts = find_sentence_starts(doc) if by_sentence else None
    return doc.to_array([ORTH, SPACY]).tobytes(), find_marked(doc), starts, tuple(outputs)
