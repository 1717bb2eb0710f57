"""The states of an encoder that does not learn, kept from epoch to epoch."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence

import numpy as np
import torch
from spacy.attrs import ORTH, SPACY
from spacy.tokens import Doc

from spacy_bertft.data.pairs import find_marked
from spacy_bertft.models.encoder.output import EncodedDocs, copy_encoded
from spacy_bertft.tokens.alignment import Ints

Encode = Callable[[list[Doc]], EncodedDocs]


class StateCache:
    """Keep the states of documents, up to a limit; those beyond it are computed each time.

    Args:
        max_bytes: Most memory that the kept states take.

    Attributes:
        n_bytes: The memory that they take now.
    """

    def __init__(self, max_bytes: int) -> None:
        self.max_bytes = max_bytes
        self.n_bytes = 0
        self._kept: dict[Hashable, EncodedDocs] = {}

    def encode(self, docs: list[Doc], encode: Encode, outputs: Sequence[str]) -> EncodedDocs:
        """Return the states of a batch, computing only those that are not kept.

        Args:
            docs: The batch.
            encode: Computes states.
            outputs: What is wanted of them.
        """
        keys = [make_key(doc, outputs) for doc in docs]
        found = {key: self._kept[key] for key in keys if key in self._kept}
        new = {key: doc for key, doc in zip(keys, docs, strict=True) if key not in found}
        if new:
            encoded = encode(list(new.values()))
            for key, part in zip(new, split_docs(encoded, list(new.values())), strict=True):
                found[key] = self._keep(key, part)
        return join_docs([found[key] for key in keys], docs)

    def _keep(self, key: Hashable, encoded: EncodedDocs) -> EncodedDocs:
        tensors = [encoded.token_vectors, *encoded.window_vectors.values()]
        n_bytes = sum(tensor.numel() * tensor.element_size() for tensor in tensors)
        if self.n_bytes + n_bytes > self.max_bytes:
            return encoded
        self.n_bytes += n_bytes
        self._kept[key] = copy_encoded(encoded)  # a slice would keep the whole batch alive
        return self._kept[key]


def split_docs(encoded: EncodedDocs, docs: Sequence[Doc]) -> list[EncodedDocs]:
    """Cut the states of a batch into those of its documents."""
    first_token = _count_before(docs)
    rows = _list_slices(encoded.lengths)
    windows = _list_slices(np.bincount(encoded.window_doc, minlength=len(docs)))
    return [
        EncodedDocs(
            token_vectors=encoded.token_vectors[rows[index]],
            token_index=encoded.token_index[rows[index]] - first_token[index],
            token_end=encoded.token_end[rows[index]] - first_token[index],
            lengths=encoded.lengths[index : index + 1],
            window_vectors={pooling: each[windows[index]] for pooling, each in encoded.window_vectors.items()},
            window_doc=np.zeros(windows[index].stop - windows[index].start, dtype=np.intp),
            window_lengths=encoded.window_lengths[windows[index]],
            n_lost=encoded.n_lost[index : index + 1],
        )
        for index in range(len(docs))
    ]


def join_docs(parts: Sequence[EncodedDocs], docs: Sequence[Doc]) -> EncodedDocs:
    """Put the states of single documents together to those of a batch; the reverse of `split_docs`.

    Args:
        parts: The states of each document, at least one.
        docs: The documents.
    """
    first_token = _count_before(docs)
    return EncodedDocs(
        token_vectors=torch.cat([part.token_vectors for part in parts]),
        token_index=np.concatenate([part.token_index + first for part, first in zip(parts, first_token, strict=True)]),
        token_end=np.concatenate([part.token_end + first for part, first in zip(parts, first_token, strict=True)]),
        lengths=np.concatenate([part.lengths for part in parts]),
        window_vectors={
            pooling: torch.cat([part.window_vectors[pooling] for part in parts]) for pooling in parts[0].window_vectors
        },
        window_doc=np.repeat(np.arange(len(parts)), [len(part.window_doc) for part in parts]),
        window_lengths=np.concatenate([part.window_lengths for part in parts]),
        n_lost=np.concatenate([part.n_lost for part in parts]),
    )


def _count_before(docs: Sequence[Doc]) -> Ints:
    """Count the tokens before each document of a batch."""
    lengths = np.array([len(doc) for doc in docs], dtype=np.intp)
    before: Ints = np.cumsum(lengths) - lengths
    return before


def make_key(doc: Doc, outputs: Sequence[str]) -> Hashable:
    """Make of a document what its states depend on, without its text, which takes time to make."""
    return doc.to_array([ORTH, SPACY]).tobytes(), find_marked(doc), tuple(outputs)


def _list_slices(lengths: Ints) -> list[slice]:
    ends = np.cumsum(lengths).tolist()
    return [slice(end - length, end) for end, length in zip(ends, lengths.tolist(), strict=True)]
