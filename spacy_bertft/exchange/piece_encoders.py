"""Piece encoders of spacy-curated-transformers → the content of a `tokenizer.json` that gives the same pieces.

They are given one spaCy token at a time, so what they give is reproduced by an encoder with `tokenize = "tokens"`.
"""

from __future__ import annotations

import json
import re
import struct
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import srsly
from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers, processors

from spacy_bertft.errors import CheckpointError

# What BERT splits words at: punctuation, and all of ASCII's symbols.
_PUNCTUATION = r"\p{P}$+<=>^`|~"
_UNKNOWN_REST = "\ue000"  # of a private use area
_UNIGRAM = 1
_FIRST_KINDS = [2, 3, 3]  # of the first three pieces: unknown, control, control


def convert_piece_encoder(attrs: Mapping[str, Any], names: Iterable[str]) -> str:
    """Convert a piece encoder.

    Args:
        attrs: The attributes that thinc has stored of its layers.
        names: The names of the layers, one of which renumbers SentencePiece's pieces.

    Returns:
        The content of a `tokenizer.json`.

    Raises:
        CheckpointError: It is of no kind that is known here.
    """
    if "byte_bpe_processor" in attrs:
        return _convert_byte_bpe(attrs)
    if "wordpiece_processor" in attrs:
        return _convert_wordpiece(attrs)
    adapter = next((name for name in names if name in _RENUMBERED), None)
    if "sentencepiece_processor" in attrs and adapter:
        return _convert_sentencepiece(attrs["sentencepiece_processor"], *_RENUMBERED[adapter])
    raise CheckpointError(
        "Its piece encoder is not known here. Expected one for WordPiece, byte-level BPE, or the SentencePiece of "
        "XLM-RoBERTa or CamemBERT."
    )


def _convert_byte_bpe(attrs: Mapping[str, Any]) -> str:
    data = srsly.msgpack_loads(attrs["byte_bpe_processor"])
    vocab: dict[str, int] = data["vocab"]
    tokenizer = Tokenizer(models.BPE(vocab=vocab, merges=[tuple(merge) for merge in data["merges"]]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    return _finish(tokenizer, *_read_ends(attrs, vocab))


def _convert_wordpiece(attrs: Mapping[str, Any]) -> str:
    pieces = attrs["wordpiece_processor"].decode("utf-8").split("\n")
    vocab = {piece: index for index, piece in enumerate(pieces)}
    unknown: str = srsly.msgpack_loads(attrs["unk_piece"])
    tokenizer = Tokenizer(models.WordPiece(vocab, unk_token=unknown, max_input_chars_per_word=2**31))
    steps: list[Any] = [normalizers.Strip(left=True, right=False)]
    if srsly.msgpack_loads(attrs["lowercase"]):
        steps.append(normalizers.Lowercase())
    if srsly.msgpack_loads(attrs["strip_accents"]):
        steps += [normalizers.NFD(), normalizers.StripAccents()]
    # Hugging Face's WordPiece makes a whole word unknown where a letter inside of it is; here the pieces before that
    # letter are kept, and the rest of the word is one unknown piece.
    inner = {letter for piece in pieces for letter in (piece[2:] if piece.startswith("##") else piece[1:])}
    known = "".join(re.escape(letter) for letter in sorted(inner))
    word = f"[^{_PUNCTUATION}]"
    steps.append(normalizers.Replace(Regex(f"(?<={word})[^{_PUNCTUATION}{known}]{word}*"), _UNKNOWN_REST))
    tokenizer.normalizer = normalizers.Sequence(steps)
    tokenizer.pre_tokenizer = pre_tokenizers.Punctuation()
    content = json.loads(_finish(tokenizer, *_read_ends(attrs, vocab)))
    content["model"]["vocab"][f"##{_UNKNOWN_REST}"] = vocab[unknown]
    return json.dumps(content, ensure_ascii=False)


# The layers that renumber SentencePiece's pieces for a model of fairseq: the pieces that come first, how many of
# SentencePiece's own they replace, and the ids of those that open and close a text.
_RENUMBERED = {
    "xlmr_adapter": (["<s>", "<pad>", "</s>", "<unk>"], 3, 0, 2),
    "camembert_adapter": (["<s>NOTUSED", "<pad>", "</s>NOTUSED", "<unk>", "<unk>NOTUSED"], 1, 5, 6),
}


def _convert_sentencepiece(content: bytes, first: list[str], n_replaced: int, bos: int, eos: int) -> str:
    """Convert a model of SentencePiece, which is a message of protocol buffers.

    Source: https://github.com/google/sentencepiece/blob/master/src/sentencepiece_model.proto
    """
    pieces: list[tuple[str, float]] = []
    kinds: list[int] = []
    trainer: dict[int, Any] = {}
    normalizer: dict[int, Any] = {}
    for field, value in _read_fields(content):
        if field == 1:
            piece = dict(_read_fields(value))
            pieces.append((piece[1].decode("utf-8"), struct.unpack("<f", piece.get(2, b"\0\0\0\0"))[0]))
            kinds.append(piece.get(3, 1))
        elif field in (2, 3):
            (trainer if field == 2 else normalizer).update(_read_fields(value))
    if trainer.get(3, _UNIGRAM) != _UNIGRAM or kinds[:3] != _FIRST_KINDS or trainer.get(35):
        raise CheckpointError("Its SentencePiece model is of another kind. Expected a unigram model without bytes.")
    vocab = [(piece, 0.0) for piece in first] + pieces[n_replaced:]
    tokenizer = Tokenizer(models.Unigram(vocab, unk_id=first.index("<unk>")))
    # The space before a token, which SentencePiece is not given; then what it does itself.
    steps: list[Any] = [normalizers.Strip(left=True, right=False)]
    if normalizer.get(2):
        steps.append(normalizers.Precompiled(normalizer[2]))
    if normalizer.get(4, 1):
        steps += [normalizers.Strip(), normalizers.Replace(Regex(" {2,}"), " ")]
    tokenizer.normalizer = normalizers.Sequence(steps)
    scheme = "always" if normalizer.get(3, 1) else "never"
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme=scheme, split=False)
    return _finish(tokenizer, (vocab[bos][0], bos), (vocab[eos][0], eos))


def _read_ends(attrs: Mapping[str, Any], vocab: Mapping[str, int]) -> list[tuple[str, int]]:
    """Read the pieces that open and close a text, and their ids."""
    names: list[str] = [srsly.msgpack_loads(attrs[name]) for name in ("bos_piece", "eos_piece")]
    return [(name, vocab[name]) for name in names]


def _finish(tokenizer: Tokenizer, opening: tuple[str, int], closing: tuple[str, int]) -> str:
    single = f"{opening[0]} $A {closing[0]}"
    tokenizer.post_processor = processors.TemplateProcessing(
        single=single, pair=f"{single} $B {closing[0]}", special_tokens=[opening, closing]
    )
    return tokenizer.to_str()


def _read_fields(message: bytes) -> Iterator[tuple[int, Any]]:
    """Read the fields of a message of protocol buffers: numbers as int, all others as bytes.

    Raises:
        ValueError: It is none.

    Source: https://protobuf.dev/programming-guides/encoding
    """
    position = 0

    def read_number() -> int:
        nonlocal position
        number = shift = 0
        while True:
            byte = message[position]
            position += 1
            number |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return number

    while position < len(message):
        key = read_number()
        kind = key & 7
        if kind == 0:
            yield key >> 3, read_number()
            continue
        size = {1: 8, 5: 4}.get(kind) or (read_number() if kind == 2 else None)
        if size is None or position + size > len(message):
            raise ValueError("it is no message of protocol buffers")
        yield key >> 3, message[position : position + size]
        position += size
