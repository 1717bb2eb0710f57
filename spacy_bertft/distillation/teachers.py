"""What teachers say of documents: scores of every tag of every token, averaged over teachers, and kept on a disk."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from itertools import pairwise
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray
from spacy.language import Language
from spacy.tokens import Doc
from spacy.vocab import Vocab
from tqdm import tqdm

from spacy_bertft.components.pipelines import run_component
from spacy_bertft.components.token_component import TokenComponent
from spacy_bertft.errors import CheckpointError, DataError
from spacy_bertft.output import replace_when_done
from spacy_bertft.tags.chain import tag_probs
from spacy_bertft.tags.forward_backward import LinearChain, build_free_chain, run_forward_backward

BATCH_SIZE = 256
_LEAST_PROB = 1e-30  # float32 has its logarithm


@dataclass(frozen=True)
class TagTargets:
    """What one or several teachers say of the tags of many documents.

    Attributes:
        tags: The `L` tags, in order.
        chain: The chain of the teachers.
        scores: `(T, L)` float32, document after document; rows of NaN for tokens without a subword token.
        n_tokens: `(B,)` tokens of each document.
        words: A hash of the tokens of all documents, by which they are known again.
    """

    tags: tuple[str, ...]
    chain: LinearChain
    scores: NDArray[np.float32]
    n_tokens: NDArray[np.intp]
    words: str

    def split(self) -> Iterator[NDArray[np.float32]]:
        """Give the scores of each document, `(T, L)`."""
        for start, end in pairwise(np.cumsum([0, *self.n_tokens]).tolist()):
            yield self.scores[start:end]

    def normalize(self) -> TagTargets:
        """Replace the scores by the logarithm of the probability of each tag, after which no chain is needed."""
        is_known = ~np.isnan(self.scores[:, 0])
        n_known = np.add.reduceat(np.append(is_known, 0), np.cumsum(self.n_tokens) - self.n_tokens)
        lengths = np.where(self.n_tokens > 0, n_known, 0)
        sums = run_forward_backward(self.scores[is_known].astype(np.float64), lengths, self.chain)
        scores = self.scores.copy()
        scores[is_known] = np.log(np.maximum(tag_probs(sums, lengths), _LEAST_PROB))
        return replace(self, scores=scores, chain=build_free_chain(len(self.tags)))

    def write(self, path: Path) -> None:
        """Write everything to an `.npz` file."""
        arrays: dict[str, Any] = {"tags": np.array(self.tags), "words": np.array(self.words)}
        arrays |= {"scores": self.scores, "n_tokens": self.n_tokens}
        with replace_when_done(path) as new, new.open("wb") as file:
            np.savez(file, **arrays, **self.chain._asdict())

    @classmethod
    def read(cls, path: Path) -> TagTargets:
        """Read what `write` has written.

        Raises:
            CheckpointError: The file is damaged, or something else.
        """
        try:
            with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
                chain = LinearChain(*(arrays[name] for name in LinearChain._fields))
                tags, words = tuple(arrays["tags"].tolist()), str(arrays["words"])
                return cls(tags, chain, arrays["scores"], arrays["n_tokens"], words)
        except (ValueError, KeyError, TypeError, EOFError, BadZipFile) as error:
            raise CheckpointError(f"{path} holds no soft targets. Run `spacy-bertft distill` again.") from error


def score_tags(nlp: Language, component: TokenComponent, docs: Sequence[Doc], title: str = "teacher") -> TagTargets:
    """Score the tags of documents.

    Args:
        nlp: The pipeline of the component; those before it run too, since it may share its encoder.
        component: The teacher.
        docs: `B` documents, which are not changed.
        title: What the progress bar says.
    """
    before = nlp.pipeline[: nlp.pipe_names.index(component.name)]
    tags, chain = tuple(component.model.tags), None
    scores = np.full((sum(map(len, docs)), len(tags)), np.nan, dtype=np.float32)
    first = 0
    for start in tqdm(range(0, len(docs), BATCH_SIZE), desc=title, disable=None, leave=False):
        batch = [copy_words(nlp.vocab, doc) for doc in docs[start : start + BATCH_SIZE]]
        for _, pipe in before:
            batch = run_component(pipe, batch)
        found = component.score_tokens(batch)
        chain = found.chain
        n_sharing = found.token_end - found.token_index  # tokens that share a subword token have the same scores
        rows = np.repeat(np.arange(len(n_sharing)), n_sharing)
        offset = np.arange(len(rows)) - np.repeat(np.cumsum(n_sharing) - n_sharing, n_sharing)
        scores[first + found.token_index[rows] + offset] = found.scores[rows]
        first += sum(map(len, batch))
    if chain is None:
        raise DataError("There is no document. Expected texts to learn from.")
    return TagTargets(tags, chain, scores, np.array([len(doc) for doc in docs]), hash_words(docs))


def average(targets: Iterable[TagTargets], asked: Sequence[NDArray[np.intp]], words: str) -> TagTargets:
    """Average the scores of several teachers: the geometric mean of their probabilities of each path, normalized.

    Where teachers are asked about different documents, each document has the scores of those that are asked about it,
    in the mean of all their chains; each token those of the teachers that have a subword token for it.

    Args:
        targets: `K` teachers.
        asked: For each `(n,)` the documents that it is asked about, in order; together they are `B`.
        words: The hash of the tokens of all of them.

    Raises:
        DataError: They do not have the same tags.

    Source: a logarithmic opinion pool, Hinton (2002); of linear chains, Smith, Cohn & Osborne (2005).
    """
    targets = list(targets)
    tags, n_tokens = targets[0].tags, np.zeros(1 + max(docs[-1] for docs in asked), dtype=np.intp)
    for other, docs in zip(targets, asked, strict=True):
        n_tokens[docs] = other.n_tokens
        if set(other.tags) != set(tags):
            raise DataError(
                f"The teachers do not have the same tags: {', '.join(tags)}; {', '.join(other.tags)}. Expected "
                "pipelines with the same labels, in the same scheme."
            )
    columns = [[other.tags.index(tag) for tag in tags] for other in targets]
    chains = [other.chain.reorder(order) for other, order in zip(targets, columns, strict=True)]
    chain = LinearChain(*(np.mean(parts, axis=0) for parts in zip(*chains, strict=True)))
    total = np.zeros((n_tokens.sum(), len(tags)), dtype=np.float32)
    n_known = np.zeros((len(total), 1), dtype=np.float32)  # of each token, the teachers that have scores for it
    for other, order, docs in zip(targets, columns, asked, strict=True):
        rows, is_known = np.isin(np.arange(len(n_tokens)), docs).repeat(n_tokens), ~np.isnan(other.scores[:, :1])
        total[rows] += np.where(is_known, other.scores[:, order], 0)
        n_known[rows] += is_known
    total = np.where(n_known > 0, total / np.maximum(n_known, 1), np.nan).astype(np.float32)
    return TagTargets(tags, chain, total, n_tokens, words)


def copy_words(vocab: Vocab, doc: Doc) -> Doc:
    """Copy a document without its annotation."""
    return Doc(vocab, words=[token.text for token in doc], spaces=[bool(token.whitespace_) for token in doc])


def hash_words(docs: Iterable[Doc]) -> str:
    """Compute a hash of the tokens of documents, in order."""
    told = sha256()
    for doc in docs:
        told.update(repr([(token.text, token.whitespace_) for token in doc]).encode())
    return told.hexdigest()
