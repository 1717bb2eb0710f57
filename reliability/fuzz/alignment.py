"""Pieces, alignment and windows: four bytes of an input choose how, the rest is a batch of texts.

What the four bytes choose: tokenizer and who cuts the tokens (spaCy in one of eleven languages, or nobody: then the
document is made of words by hand), the language, the size of windows, their stride. A byte 0xFE parts two texts, a byte
0xFD two words by hand, with no blank between them where the second starts with a control character.
"""

from __future__ import annotations

import numpy as np
from spacy.tokens import Doc

from spacy_bertft.data.pairs import mark_pair
from spacy_bertft.errors import DataError
from spacy_bertft.models.encoder.forward import EncodingPlan, plan_encoding, read_tokens
from spacy_bertft.tokens import PieceBatch, PieceTokenizer, TokenBatch, align
from spacy_bertft.tokens.alignment import find_overlaps, sum_by_token
from spacy_bertft.tokens.windows import cut_buckets

from .blanks import get_blank
from .laws import check
from .small_tokenizers import KINDS, get_tokenizer

LANGUAGES = ("en", "de", "fr", "es", "it", "nl", "tr", "ar", "hi", "zh", "xx")
MAX_BYTES = 1024
DICTIONARY = (
    *(
        b"\xfe",
        b"\xfd",
        b"\x1f",
        b" ",
        b"  ",
        b"\n\n",
        b"\t",
        b"\r",
        b"\0",
        b"\x1c",
        b"[CLS]",
        b"[MASK]",
        b"<s>",
        b"don't",
    ),
    *(
        text.encode()
        for text in ("\u0301", "q\u0323\u0307", "\u200b", "\u200d", "\u00ad", "\ufeff", "\u202e", "\u2028", "\x85")
    ),
    *(
        text.encode()
        for text in ("\u00a0", "\u2003", "\u3000", "각도", "שָׁ", "مر", "中文", "ไทย", "ﬁ", "İ", "ß", "²", "½", "…")
    ),
    *(
        text.encode()
        for text in (
            "😀",
            "👩\u200d👧",
            "👍🏽",
            "🇩🇪",
            "𝒳",
            "\U0001e900",
            "\ue000",
            "\U0010ffff",
            "x" * 64,
            "l'été",
            "3.50 €",
        )
    ),
    *(b"\xed\xa0\x80", b"\xed\xb0\x80", b"\xf4\x90\x80\x80", b"\xff"),
)


def fuzz_one(data: bytes) -> None:
    """Cut texts into pieces and windows; tokens find theirs, and nothing is lost."""
    how, language, size, stride = data[:4].ljust(4, b"\1")
    tokenizer = get_tokenizer(KINDS[how % len(KINDS)])
    texts = [text.decode("utf-8", "surrogatepass" if _is_wtf8(text) else "replace") for text in data[4:].split(b"\xfe")]
    if any(_has_surrogate(text) for text in texts):
        _check_surrogates(tokenizer, texts)
        return
    nlp = get_blank(LANGUAGES[language % len(LANGUAGES)])
    if how & 128:
        docs = [_make_by_hand(nlp.vocab, raw) for raw in data[4:].split(b"\xfe")]
    else:
        docs = [mark_pair(nlp.make_doc(text)) for text in texts]
        if nlp.lang != "zh":  # which has a tokenizer of its own, a token for each character
            check([doc.text for doc in docs] == texts, "spaCy keeps a text")
    size = len(tokenizer.middle_ids) + 2 + size % 32
    stride = 1 + stride % size
    plan = plan_encoding(docs, tokenizer, size, stride, has_tokens=True)
    tokens = read_tokens(docs)
    _check_pieces(plan.pieces, [doc.text for doc in docs])
    _check_alignment(plan, tokens)
    _check_overlaps(plan.pieces, tokens)
    _check_windows(plan, size)


def _is_wtf8(raw: bytes) -> bool:
    try:
        raw.decode("utf-8", "surrogatepass")
    except UnicodeDecodeError:
        return False
    return True


def _has_surrogate(text: str) -> bool:
    return any("\ud800" <= char <= "\udfff" for char in text)


def _check_surrogates(tokenizer: PieceTokenizer, texts: list[str]) -> None:
    try:
        tokenizer.encode(texts)
    except DataError as error:
        index = next(index for index, text in enumerate(texts) if _has_surrogate(text))
        check(str(error).startswith(f"text {index} holds '\\ud"), "the text with half of a pair is named")
        str(error).encode("utf-8")
        return
    check(False, "half of a surrogate pair is refused")


def _make_by_hand(vocab: object, raw: bytes) -> Doc:
    words = [word for part in raw.split(b"\xfd") if (word := part.decode("utf-8", "replace"))]
    return Doc(vocab, words=words, spaces=[word >= " " for word in words[1:]] + [False] * bool(words))


def _check_pieces(pieces: PieceBatch, texts: list[str]) -> None:
    check(len(pieces.lengths) == len(texts), "every text has its pieces")
    check(int(pieces.lengths.sum()) == len(pieces.ids) == len(pieces.char_start), "pieces are counted")
    ends = np.repeat([len(text) for text in texts], pieces.lengths)
    check(
        bool(((pieces.char_start >= 0) & (pieces.char_start <= pieces.char_end) & (pieces.char_end <= ends)).all()),
        "in",
    )
    number = np.repeat(np.arange(len(texts)), pieces.lengths)
    for text, start, end in zip(number.tolist(), pieces.char_start.tolist(), pieces.char_end.tolist(), strict=True):
        found = texts[text][start:end]
        check(found == found.strip(), "a piece has no whitespace around it")


def _check_alignment(plan: EncodingPlan, tokens: TokenBatch) -> None:
    pieces = plan.pieces
    piece_by_token = align(pieces, tokens)
    rows = [piece_by_token[start:end] for start, end in zip(plan.token_index, plan.token_end, strict=True)]
    with_piece = [int(piece) for row in rows for piece in row if piece >= 0]
    check(with_piece == piece_by_token[piece_by_token >= 0].tolist(), "the plan has all tokens with pieces, in order")
    check(
        [{*row.tolist()} - {-1} for row in rows] == [{piece} for piece in plan.token_piece.tolist()], "a row, a piece"
    )
    check(bool((np.diff(plan.token_piece) != 0).all()), "neighbours with one piece are one row")
    check(int(plan.lengths.sum()) == len(plan.token_index), "counted by document")
    first_piece, first_token = np.cumsum(pieces.lengths) - pieces.lengths, np.cumsum(tokens.lengths) - tokens.lengths
    for doc, (n_pieces, n_tokens) in enumerate(zip(pieces.lengths.tolist(), tokens.lengths.tolist(), strict=True)):
        own = np.arange(first_piece[doc], first_piece[doc] + n_pieces)
        start, end = pieces.char_start[own], pieces.char_end[own]
        order = np.argsort(start, kind="stable")
        order = order[end[order] > start[order]]
        start, end, own = start[order], end[order], own[order]
        for token in range(int(first_token[doc]), int(first_token[doc]) + n_tokens):
            left, right = tokens.char_start[token], tokens.char_end[token]
            inside, across = own[(start >= left) & (start < right)], own[(start < left) & (end > left)]
            expected = [*inside.tolist(), *across.tolist(), -1][0]
            check(piece_by_token[token] == expected, "the first piece inside a token, or else across its start")


def _check_overlaps(pieces: PieceBatch, tokens: TokenBatch) -> None:
    token, piece = find_overlaps(pieces, tokens)
    check(bool((np.diff(piece) >= 0).all()), "by piece")
    number_of_piece = np.repeat(np.arange(len(pieces.lengths)), pieces.lengths)
    number_of_token = np.repeat(np.arange(len(tokens.lengths)), tokens.lengths)
    check(bool((number_of_piece[piece] == number_of_token[token]).all()), "a token has pieces of its own text only")
    opens_text = np.cumsum(tokens.lengths) - tokens.lengths
    has_tokens = tokens.lengths > 0
    if (tokens.char_start[opens_text[has_tokens]] == 0).all() and has_tokens.all():
        visible = pieces.char_end > pieces.char_start
        check(set(piece.tolist()) == set(np.flatnonzero(visible).tolist()), "every piece belongs to a token")
        summed = sum_by_token(np.ones(len(pieces.ids)), pieces, tokens)
        check(bool(np.isclose(summed.sum(), visible.sum())), "sums are kept")
    if (np.diff(pieces.char_start) * (np.diff(number_of_piece) == 0) >= 0).all():
        for each in np.unique(token):
            own = piece[token == each]
            between = np.arange(own[0], own[-1] + 1)
            between = between[pieces.char_end[between] > pieces.char_start[between]]
            is_monotone = bool((np.diff(pieces.char_end[between]) >= 0).all())
            check(not is_monotone or own.tolist() == between.tolist(), "the pieces of a token stand side by side")


def _check_windows(plan: EncodingPlan, size: int) -> None:
    layout, windows = plan.layout, plan.layout.windows
    n_pieces = len(layout.pieces.ids)
    owners = windows.find_owners(np.arange(n_pieces))
    check(bool((windows.piece_start[owners] <= np.arange(n_pieces)).all()), "a window holds what it owns")
    check(bool((np.arange(n_pieces) < windows.piece_end[owners]).all()), "a window holds what it owns")
    check(bool((windows.piece_end - windows.piece_start <= size).all()), "no window is too long")
    check(np.unique(windows.sequence).tolist() == list(range(len(layout.pieces.lengths))), "every text has a window")
    pad = int(layout.tokenizer.vocab_size)
    seen = np.zeros(n_pieces, dtype=bool)
    for bucket in cut_buckets(layout.lengths, 4 * size):
        padded = layout.pad(bucket, pad)
        check(padded.mask.sum(axis=1).tolist() == layout.lengths[bucket].tolist(), "padding is masked")
        check(bool(((padded.ids == pad) == (padded.mask == 0)).all()), "and nothing else is")
        for row, window in enumerate(bucket.tolist()):
            own = np.arange(windows.piece_start[window], windows.piece_end[window])
            column = layout.find_columns(own, np.full(len(own), window))
            check(
                padded.ids[row, column].tolist() == layout.pieces.ids[own].tolist(), "pieces stand where they are found"
            )
            seen[own] = True
    check(bool(seen.all()), "every piece is in a window")
