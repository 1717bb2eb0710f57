"""Prodigy's answers: what was decided about a text → the labels that are known of it.

`accept` confirms what the row says. `reject` says that the labels of the row do not hold, and nothing about the others:
"we don't know the true labels, but we know the ones that are definitely 0". `ignore` was skipped.

Source: https://support.prodi.gy/t/purpose-of-the-reject-button-in-multi-text-classification/3012
"""

from __future__ import annotations

from typing import get_args

from spacy_bertft.data.texts.cats import list_present, read_cats, read_choice
from spacy_bertft.data.texts.options import TextOptions
from spacy_bertft.data.texts.rows import Answer, Row, RowTally

_ANSWERS: tuple[Answer, ...] = get_args(Answer)


class AnswerReader:
    """Reads the labels of the rows of one file as the answers say, and counts the answers.

    A field `answer` that never holds one of Prodigy's three words means something else, and is passed over.

    Args:
        options: How labels are written.
        tally: Counts the answers.
    """

    def __init__(self, options: TextOptions, tally: RowTally) -> None:
        self._options = options
        self._tally = tally
        self._seen: dict[bool, Row] = {}

    def read(self, row: Row) -> tuple[dict[str, float], bool] | None:
        """Read the labels of a row, and whether those that it does not name are known not to hold.

        Returns:
            Nothing if the row is to be left out.

        Raises:
            ColumnFormatError: The labels cannot be read, or some answers of the file are Prodigy's and others are not.
        """
        answer = self._read_answer(row)
        if answer == "ignore":
            self._tally.n_ignored += 1
            return None
        cats = read_cats(row, self._options) if row.options is None else read_choice(row, self._options)
        if answer == "reject":
            return self._reject(cats)
        if answer == "accept":
            self._tally.n_accepted += 1
        elif row.options is not None:
            self._tally.n_unanswered += 1
        # A question about one label says nothing about the others, unlike a whole annotation (a list or an object).
        is_question = (
            answer == "accept" and not isinstance(row.label, (list, dict)) and not self._options.label_separator
        )
        return cats, row.options is None and not is_question

    def _reject(self, cats: dict[str, float]) -> tuple[dict[str, float], bool] | None:
        rejected = dict.fromkeys(list_present(cats), 0.0)
        if not rejected:
            self._tally.n_undecided += 1
            return None
        self._tally.n_rejected += 1
        return rejected, False

    def _read_answer(self, row: Row) -> Answer | None:
        if row.answer is None:
            return None
        answer = next((answer for answer in _ANSWERS if answer == row.answer), None)
        first = self._seen.setdefault(answer is None, row)
        other = self._seen.get(answer is not None)
        if other is not None:
            expected = f"Expected accept, reject or ignore everywhere or nowhere, unlike in line {other.line}"
            raise first.error(f"the answer is {str(first.answer)[:40]!r}", f"{expected}; rename the field otherwise.")
        return answer
