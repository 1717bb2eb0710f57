"""Docs as a `.spacy` file holds them: bytes, which take neither a `Doc` for each sentence nor arrays for each Doc."""

from __future__ import annotations

import struct
import sys
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple, TypeVar

import numpy as np
from spacy.attrs import SPACY
from spacy.strings import get_string_id
from spacy.tokens import Doc, DocBin
from srsly.msgpack import Packer

from spacy_bertft.errors import DataError

Item = TypeVar("Item")
WHERE = "where"  # in `doc.user_data`: file and line of what a Doc was made of; it is not written
_BLOCK_BYTES = 1 << 20
_MAX_BYTES = 2**32 - 1  # of an array in msgpack
# What a length of four bytes comes after in msgpack, https://github.com/msgpack/msgpack/blob/master/spec.md
_BYTES, _LIST = b"\xc6", b"\xdd"


class PackedDoc(NamedTuple):
    """A Doc of `T` tokens, as it is written.

    Attributes:
        words: Its words.
        tokens: `(T, A)` unsigned integers of 64 bits: the attributes of each token that are kept, its word first.
        spans: Start, end and label of its entities and spans, counted in tokens.
        labels: Its labels, which are counted.
        tags: The tag of each token; empty if there is none.
        spaces: `(T,)` whether a blank follows, a byte each; None if one follows every token.
        cats: Its categories.
        groups: Its groups of spans, as bytes.
        has_unknown_spaces: Whether the blanks are a guess.
        where: File and line of what it was made of, if known.
    """

    words: Sequence[str]
    tokens: bytes = b""
    spans: Sequence[tuple[int, int, str]] = ()
    labels: Sequence[str] = ()
    tags: Sequence[str] = ()
    spaces: bytes | None = None
    cats: Mapping[str, float] = {}
    groups: bytes = b""
    has_unknown_spaces: bool = False
    where: tuple[object, int] | None = None

    def list_pieces(self) -> list[str]:
        """List its words, each with the blank that follows."""
        spaces = b"\1" * len(self.words) if self.spaces is None else self.spaces
        return [word + " " * space for word, space in zip(self.words, spaces, strict=True)]


def pack_docs(
    make_docs: Callable[[Iterable[Item]], Iterable[Doc]],
    list_labels: Callable[[Doc], Sequence[str]],
    items: Iterable[Item],
    attrs: Sequence[int],
) -> Iterator[PackedDoc]:
    """Make Docs of items, and pack them.

    Args:
        make_docs: Makes the Docs.
        list_labels: Lists the labels of a Doc, which are counted.
        items: What they are made of.
        attrs: What is kept of a token, its word first.
    """
    for doc in make_docs(items):
        array = doc.to_array([*attrs]).reshape(len(doc), len(attrs))
        spans = [*doc.ents, *(span for group in doc.spans.values() for span in group)]
        yield PackedDoc(
            words=[doc.vocab.strings[word] for word in array[:, 0].tolist()],
            tokens=array.tobytes(),
            spans=[(span.start, span.end, span.label_) for span in spans],
            labels=list_labels(doc),
            spaces=doc.to_array(SPACY).astype(np.bool_).tobytes(),
            cats=doc.cats,
            groups=doc.spans.to_bytes() if doc.spans else b"",
            has_unknown_spaces=doc.has_unknown_spaces,
            where=doc.user_data.get(WHERE),
        )


@lru_cache(maxsize=1 << 15)
def pack_token(*values: str | int) -> bytes:
    """Pack the attributes of a token, the hashes of those that are strings.

    Example:
        >>> pack_token("", 2).hex() == 8 * "00" + "02" + 7 * "00"
        True
    """
    return struct.pack(f"={len(values)}Q", *map(get_string_id, values))


class DocWriter:
    """Collects Docs, and writes what spaCy's `DocBin` reads.

    A DocBin holds arrays and objects of each Doc, and several copies of all of them while it is written.

    Args:
        attrs: What is kept of a token in addition to its word.
    """

    def __init__(self, attrs: Sequence[str]) -> None:
        empty = DocBin(attrs=attrs)
        self.attrs, self.version = [*map(int, empty.attrs)], empty.version
        # srsly's own functions look through all installed packages each time, for a millisecond.
        self.pack: Callable[[object], bytes] = Packer(use_bin_type=True).pack
        self._packed_flags = [self.pack({"has_unknown_spaces": is_unknown}) for is_unknown in (False, True)]
        self.n_docs = 0
        self.strings: set[str] = set()
        self.tokens, self.spaces, self.lengths = bytearray(), bytearray(), bytearray()
        self.cats, self.flags, self.groups = bytearray(), bytearray(), bytearray()

    def add(self, doc: PackedDoc) -> None:
        """Add a Doc, and those of its strings that its attributes and spans have."""
        n_tokens = len(doc.words)
        self.n_docs += 1
        self.strings.update(doc.words, doc.tags, [label for _, _, label in doc.spans])
        self.tokens += doc.tokens
        self.spaces += b"\1" * n_tokens if doc.spaces is None else doc.spaces
        self.lengths += n_tokens.to_bytes(4, sys.byteorder)
        self.cats += self.pack(doc.cats) if doc.cats else b"\x80"
        self.flags += self._packed_flags[doc.has_unknown_spaces]
        self.groups += self.pack(doc.groups) if doc.groups else b"\xc4\0"

    def write(self, path: Path) -> None:
        """Write all Docs.

        Raises:
            DataError: They are more than such a file can hold.
        """
        compressor = zlib.compressobj()
        with path.open("wb") as file:
            for content in self._pack(path):
                for start in range(0, len(content), _BLOCK_BYTES):
                    file.write(compressor.compress(memoryview(content)[start : start + _BLOCK_BYTES]))
            file.write(compressor.flush())

    def _pack(self, path: Path) -> Iterator[bytes | bytearray]:
        """Pack an object of msgpack, part by part."""
        values = {"version": self.version, "attrs": self.attrs, "strings": sorted(self.strings)}
        arrays = {"tokens": self.tokens, "spaces": self.spaces, "lengths": self.lengths}
        lists = {"cats": self.cats, "flags": self.flags, "span_groups": self.groups}
        yield bytes([0x80 + len(values) + len(arrays) + len(lists)])
        for name, value in values.items():
            yield self.pack(name) + self.pack(value)
        for name, content in (arrays | lists).items():
            length = len(content) if name in arrays else self.n_docs
            if length > _MAX_BYTES:
                raise DataError(
                    f"{path}: {length:,} bytes of {name}. A .spacy file holds 4 GiB; convert several files."
                )
            yield self.pack(name) + (_BYTES if name in arrays else _LIST) + length.to_bytes(4, "big")
            yield content
