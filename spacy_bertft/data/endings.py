"""Choices in one `Doc`: a prompt and its endings, of which one is right."""

from __future__ import annotations

from collections.abc import Sequence

from spacy.language import Language
from spacy.tokens import Doc

from spacy_bertft.data.docs import make_exact_doc
from spacy_bertft.data.pairs import SEPARATOR, Segment
from spacy_bertft.errors import DataError, shorten


def make_choice(nlp: Language, prompt: str, endings: Sequence[str]) -> Doc:
    r"""Make a document of a prompt and its endings.

    Its text is the prompt and the endings with U+001F between them. Nothing else marks it, so `nlp` and `nlp.pipe` can
    be given this text as well.

    Args:
        nlp: Its tokenizer is used.
        prompt: The prompt.
        endings: Its possible endings, two or more.

    Raises:
        DataError: A text holds U+001F, or nothing but whitespace; or there are fewer than two endings.

    Example:
        >>> import spacy
        >>> make_choice(spacy.blank("en"), "She opens the door.", ["It rains.", "A dog comes in."]).text
        'She opens the door.\x1fIt rains.\x1fA dog comes in.'
    """
    text = SEPARATOR.join([prompt, *endings])
    if len(endings) < 2 or len(find_choices(text)) != len(endings):
        raise DataError(
            f"{shorten(repr([prompt, *endings]))} is no prompt with its endings. Expected two endings or more, no text "
            "with U+001F, and none that is empty."
        )
    return make_exact_doc(nlp, text)


def find_choices(text: str) -> list[tuple[Segment, Segment]]:
    r"""Find the prompt and each of its endings in a text, as half-open ranges of characters; none if it is no choice.

    Example:
        >>> find_choices("a\x1fbc\x1fd")
        [((0, 1), (2, 4)), ((0, 1), (5, 6))]
    """
    parts = text.split(SEPARATOR)
    if len(parts) < 3 or not all(map(str.strip, parts)):
        return []
    found, start = [], len(parts[0]) + 1
    for part in parts[1:]:
        found.append(((0, len(parts[0])), (start, start + len(part))))
        start += len(part) + 1
    return found


def list_positions(doc: Doc) -> list[str]:
    """List the positions of the endings of a document, as `doc.cats` has them; none if it is no choice."""
    return [str(index) for index in range(len(find_choices(doc.text)))]
