"""Which documents each teacher is asked about: the pipelines of a cross-validation, about those they have not seen."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import srsly
from numpy.typing import NDArray
from spacy.tokens import Doc
from spacy.vocab import Vocab

from spacy_bertft.components.pipelines import find_pipeline_path
from spacy_bertft.data.docs import read_docs
from spacy_bertft.distillation.teachers import hash_words
from spacy_bertft.errors import DataError
from spacy_bertft.training.folds import FINGERPRINT, GOLD, assign_folds


class Teacher(NamedTuple):
    """A pipeline that is asked about some documents.

    Attributes:
        path: Its folder.
        docs: `(n,)` the documents, in order.
    """

    path: Path
    docs: NDArray[np.intp]


def list_teachers(
    sources: Sequence[Path | str], labelled: Sequence[Doc], source_of: NDArray[np.intp]
) -> Iterator[Teacher]:
    """List the pipelines that teach, and about which documents each is asked.

    Args:
        sources: Pipelines, which are asked about all documents, and directories that `spacy-bertft crossval` has
            written: about a labelled document that pipeline is asked which has not seen it, about others all of them.
        labelled: The labelled documents of the student.
        source_of: `(B,)` for each document the labelled one that it is, or is a copy of with other entities; -1 for
            a text without labels.

    Raises:
        DataError: Something is neither of the two, or a cross-validation of other documents.
    """
    for source in sources:
        if not Path(source, FINGERPRINT).is_file():
            yield Teacher(find_pipeline_path(source), np.arange(len(source_of)))
            continue
        if hash_words(read_docs(Path(source, GOLD), Vocab())) != hash_words(labelled):
            raise DataError(
                f"{source}: the cross-validation has other documents, or other tokens, than the training data of the "
                "student. Expected the same ones."
            )
        made = srsly.read_json(Path(source, FINGERPRINT))
        folds = assign_folds([doc.text for doc in labelled], made["n_folds"], made["seed"])
        fold = np.append(folds, -1)[source_of]  # (B,)
        for number in range(made["n_folds"]):
            path = find_pipeline_path(Path(source, f"fold-{number + 1}", "model-last"))
            yield Teacher(path, np.flatnonzero((fold == number) | (fold == -1)))
