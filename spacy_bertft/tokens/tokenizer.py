"""Raw text → pieces with the characters they stand for."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from functools import cached_property
from itertools import chain
from typing import TYPE_CHECKING, cast

import numpy as np
from numpy.typing import NDArray

from spacy_bertft.errors import DataError, wrap_errors
from spacy_bertft.tokens.alignment import Ints, PieceBatch, TokenBatch

if TYPE_CHECKING:
    from tokenizers import Encoding

# Halves of a UTF-16 pair. Python strings can hold one alone, the tokenizers cannot.
_SURROGATE = re.compile("[\ud800-\udfff]")
# For each character whether it is whitespace, up to the one after the last that is.
_IS_SPACE = np.array([chr(code).isspace() for code in range(0x3002)], dtype=np.bool_)


class PieceTokenizer:
    """The fast tokenizer of a checkpoint, without padding and truncation.

    Those stored in a `tokenizer.json` are ignored: published files cut every text to 128 pieces and pad it to that
    length, but here windows control the length.

    Args:
        content: The content of a `tokenizer.json`.

    Attributes:
        json: The same content; it is stored with the weights.
        prefix_ids: Ids of the special pieces that open a window, such as `[CLS]`.
        middle_ids: Ids of those between the two texts of a pair, such as `[SEP]`.
        suffix_ids: Ids of those that close it, such as `[SEP]`.
        n_special: How many pieces of a window are special.
        second_type: Segment id of the second text of a pair; that of the first is 0.
        by_token: Whether documents are tokenized token by token; see `encode_tokens`.
        by_sentence: Whether their sentences are tokenized, and read, one by one.

    Raises:
        CheckpointError: The content is not that of a tokenizer.
    """

    def __init__(self, content: str) -> None:
        from tokenizers import Tokenizer  # here, so that importing this module stays fast

        self.by_token = self.by_sentence = False
        with wrap_errors("tokenizer.json cannot be read"):
            self._tokenizer = Tokenizer.from_str(content)
            self._tokenizer.no_padding()
            self._tokenizer.no_truncation()
            self.json = content
            self.prefix_ids, self.suffix_ids = self._find_special_ids()
            self.middle_ids, self.second_type = self._find_middle()
        self.n_special = len(self.prefix_ids) + len(self.suffix_ids)

    def __reduce__(self) -> tuple[type[PieceTokenizer], tuple[str], dict[str, bool]]:
        return PieceTokenizer, (self.json,), {"by_token": self.by_token, "by_sentence": self.by_sentence}

    @property
    def vocab_size(self) -> int:
        """One more than the largest id that the tokenizer can give."""
        return max(self._tokenizer.get_vocab(with_added_tokens=True).values(), default=-1) + 1

    def encode(self, texts: Sequence[str], *, keep_whitespace: bool = False) -> PieceBatch:
        """Tokenize whole texts in one call.

        Offsets point at the characters of the original text, whitespace around a piece left out. A piece of
        whitespace only, which byte-level and SentencePiece tokenizers have, has no characters.

        Args:
            texts: The texts.
            keep_whitespace: Whether offsets are left as the tokenizer gives them.

        Raises:
            DataError: A text holds half of a surrogate pair.
        """
        encodings = _run(self._tokenizer.encode_batch, texts)
        lengths = np.array([len(encoding) for encoding in encodings], dtype=np.intp)
        n_pieces = int(lengths.sum())
        ids = np.fromiter(chain.from_iterable(e.ids for e in encodings), np.intp, count=n_pieces)
        bounds = chain.from_iterable(chain.from_iterable(e.offsets for e in encodings))
        offsets = np.fromiter(bounds, np.intp, count=2 * n_pieces).reshape(n_pieces, 2)
        pieces = PieceBatch(ids=ids, char_start=offsets[:, 0], char_end=offsets[:, 1], lengths=lengths)
        return pieces if keep_whitespace else trim_pieces(pieces, texts)

    def encode_tokens(self, texts: Sequence[str], tokens: TokenBatch) -> PieceBatch:
        """Tokenize the tokens of texts one by one, each with the space before it, as spacy-curated-transformers does.

        Offsets are those of the whole token, so that each piece belongs to the token that it was made of, and to no
        other. Tokens of whitespace have no piece.

        Args:
            texts: The texts.
            tokens: Their tokens.

        Raises:
            DataError: A token holds half of a surrogate pair.
        """
        text = np.repeat(np.arange(len(texts)), tokens.lengths)  # (T,)
        is_first = np.diff(text, prepend=-1) != 0
        begin = np.where(is_first, tokens.char_start, np.roll(tokens.char_end, 1))
        ranges = zip(text.tolist(), begin.tolist(), tokens.char_end.tolist(), strict=True)
        words = {index: texts[row][start:end] for index, (row, start, end) in enumerate(ranges)}
        words = {index: word for index, word in words.items() if not word.isspace()}
        pieces = self.encode(list(words.values()), keep_whitespace=True)
        token = np.repeat(np.array(list(words), dtype=np.intp), pieces.lengths)  # (P,) the token of each piece
        lengths = np.bincount(text[token], minlength=len(texts))
        return PieceBatch(pieces.ids, tokens.char_start[token], tokens.char_end[token], lengths)

    @cached_property
    def names(self) -> NDArray[np.object_]:
        """The pieces themselves, by id; empty where an id has none."""
        names = np.full(self.vocab_size, "", dtype=object)
        for name, index in self._tokenizer.get_vocab(with_added_tokens=True).items():
            names[index] = name
        return names

    def list_names_from(self, first_id: int) -> list[str]:
        """List the pieces whose ids are not below a number, by id; without an array, since ids may be huge."""
        vocabulary = self._tokenizer.get_vocab(with_added_tokens=True)
        return sorted((name for name, index in vocabulary.items() if index >= first_id), key=vocabulary.__getitem__)

    def count_pieces(self, texts: Sequence[str]) -> list[int]:
        """Count the pieces of each text, special pieces left out.

        Raises:
            DataError: A text holds half of a surrogate pair.
        """
        return [len(encoding) for encoding in _run(self._tokenizer.encode_batch_fast, texts)]

    def find_special_tokens(self, pad_id: int) -> dict[str, str]:
        """Find the pieces with a role, by transformers' names for the roles.

        Args:
            pad_id: The id of padding, which the model knows.
        """
        content = json.loads(self.json)
        model = content.get("model") or {}
        names = [added["content"] for added in content.get("added_tokens") or []]
        unknown = model.get("unk_token")
        if unknown is None and isinstance(model.get("unk_id"), int):
            unknown = self._tokenizer.id_to_token(model["unk_id"])
        tokens = {
            "cls_token": self._tokenizer.id_to_token(self.prefix_ids[0]) if self.prefix_ids else None,
            "sep_token": self._tokenizer.id_to_token(self.suffix_ids[-1]) if self.suffix_ids else None,
            "pad_token": self._tokenizer.id_to_token(pad_id),
            "unk_token": unknown,
            "mask_token": next((name for name in names if name.strip("[]<>").lower() == "mask"), None),
        }
        return {role: token for role, token in tokens.items() if token is not None}

    def find_mask_id(self) -> int | None:
        """Find the id of the mask, such as `[MASK]`, or None if there is none."""
        name = self.find_special_tokens(0).get("mask_token")
        return None if name is None else cast(int, self._tokenizer.token_to_id(name))

    def list_special_ids(self, pad_id: int) -> Ints:
        """List the ids of special pieces: opening, closing, padding, unknown and others.

        Args:
            pad_id: The id of padding, which the model knows.
        """
        added = json.loads(self.json).get("added_tokens") or []
        names = [each["content"] for each in added if each.get("special")]
        names += self.find_special_tokens(pad_id).values()
        return np.unique([pad_id, *(self._tokenizer.token_to_id(name) for name in names)]).astype(np.intp)

    def number_words(self, texts: Sequence[str]) -> Ints:
        """Number the words that the pieces belong to, as the tokenizer's pre-tokenizer splits them.

        Args:
            texts: The texts.

        Returns:
            `(P,)` numbers of words in the order of `encode`, counted through the batch. A piece that belongs to no
            word, such as an added one, has a number of its own.

        Raises:
            DataError: A text holds half of a surrogate pair.
        """
        encodings = _run(self._tokenizer.encode_batch, texts)
        words = np.array([-1 if word is None else word for e in encodings for word in e.word_ids], dtype=np.intp)
        text = np.repeat(np.arange(len(encodings)), [len(e) for e in encodings])
        is_next = (np.diff(words, prepend=-1) != 0) | (words < 0) | (np.diff(text, prepend=-1) != 0)
        return np.cumsum(is_next) - 1

    def _find_special_ids(self) -> tuple[list[int], list[int]]:
        encoding = self._tokenizer.encode("a", add_special_tokens=True)
        is_special = list(encoding.special_tokens_mask)
        if 0 not in is_special:
            # A vocabulary without this letter: what is not special is unknown, and dropped. Halve what is there.
            middle = len(is_special) // 2
            return encoding.ids[:middle], encoding.ids[middle:]
        first = is_special.index(0)
        last = len(is_special) - is_special[::-1].index(0)
        return encoding.ids[:first], encoding.ids[last:]

    def _find_middle(self) -> tuple[list[int], int]:
        encoding = self._tokenizer.encode("a", "a", add_special_tokens=True)
        texts = list(encoding.sequence_ids)  # of each piece: 0, 1, or None where it is special
        if 0 not in texts or 1 not in texts:
            return self.suffix_ids, 1
        second = texts.index(1)
        middle = [piece for piece, text in zip(encoding.ids[:second], texts, strict=False) if text is None]
        middle = middle[len(self.prefix_ids) :]
        # A tokenizer that is not configured for pairs puts nothing between them; then do as BERT does.
        return (middle, encoding.type_ids[second]) if middle else (self.suffix_ids, 1)


def _run(encode_batch: Callable[..., list[Encoding]], texts: Sequence[str]) -> list[Encoding]:
    try:
        return encode_batch(list(texts), add_special_tokens=False)
    except TypeError as error:
        for index, text in enumerate(texts):
            if match := _SURROGATE.search(text):
                raise DataError(
                    f"text {index} holds {match.group()!r} at character {match.start()}, half of a surrogate pair. "
                    "Replace it: text.encode('utf-16', 'surrogatepass').decode('utf-16', 'replace')"
                ) from error
        raise


def trim_pieces(pieces: PieceBatch, texts: Sequence[str]) -> PieceBatch:
    """Move offsets past the whitespace around a piece, which byte-level tokenizers include."""
    offsets, lengths = np.stack([pieces.char_start, pieces.char_end], axis=1), pieces.lengths  # (P, 2)
    text_lengths = np.fromiter(map(len, texts), np.intp, count=len(texts))
    base = np.repeat(np.cumsum(text_lengths) - text_lengths, lengths)[:, None]  # (P, 1)
    codes = np.frombuffer("".join(texts).encode("utf-32-le"), dtype="<u4")  # one number per character
    is_text = ~_IS_SPACE[np.minimum(codes, len(_IS_SPACE) - 1)]
    n_chars = len(is_text)
    # For every character, the next one and the last one that is not whitespace.
    position = np.arange(n_chars)
    following = np.minimum.accumulate(np.where(is_text, position, n_chars)[::-1])[::-1]
    following = np.append(following, n_chars)
    before = np.concatenate([[-1], np.maximum.accumulate(np.where(is_text, position, -1))])
    start, end = (offsets + base).T
    start = np.minimum(following[start], end)
    end = np.maximum(before[end] + 1, start)
    return pieces._replace(char_start=start - base[:, 0], char_end=end - base[:, 0])
