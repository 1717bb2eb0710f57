"""`text_pair`: texts with one U+001F → `doc.spans["text_pair"]`; and what happens where pairs are not marked."""

from collections.abc import Iterable

from spacy.training import Example

from spacy_bertft.data.pairs import SEGMENTS
from spacy_bertft.errors import DataError

_ADVICE = (
    "For pairs, put the component text_pair first in the pipeline and, to train, in training.annotating_components, or "
    "make documents with spacy_bertft.data.pairs.make_pair."
)
UNMARKED_PAIR = (
    "a text has one U+001F, but it is not marked as a pair in doc.spans['text_pair'], or has no words on one side, so "
    f"it is read as a single text. {_ADVICE}"
)
CUT_PAIR = (
    "a pair of texts does not fit one window of the encoder and loses the end of its longer text, as with Hugging "
    "Face's longest_first. Such pairs are counted in n_truncated."
)


def check_pairs(name: str, examples: Iterable[Example]) -> None:
    """Raise if the reference of an example is a pair and its predicted document is not.

    Raises:
        DataError: It is so; the component would learn from other texts than those that were annotated.
    """
    for example in examples:
        if SEGMENTS in example.reference.spans and SEGMENTS not in example.predicted.spans:
            raise DataError(
                f"{name}: the reference of an example is marked as a pair in doc.spans['text_pair'], but its predicted "
                f"document is not, so it would be read as a single text. {_ADVICE}"
            )
