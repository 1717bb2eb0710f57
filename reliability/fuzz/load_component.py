"""`from_bytes` of every component: two bytes choose the component and what of it is damaged, the rest are edits."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import srsly
from spacy.language import Language

# Else spaCy would import them later, and how far an input gets in them would not be seen.
from spacy_bertft.components import encoder, ner, tagger, text_classifier  # noqa: F401
from spacy_bertft.errors import BertftError

from .edits import apply_edits
from .laws import check, expect_clear_errors
from .tiny import FACTORIES, annotate, make_tiny_checkpoint, make_tiny_pipeline

DICTIONARY = (
    *(b"cfg", b"model", b"labels", b"temperature", b"label_weights", b"positive_label", b'["X","Y","Z"]', b"NaN"),
    *(b"nodes", b"attrs", b"params", b"shims", b"dims", b"refs", b"nO", b"spec", b"weights", b"is_whole", b"config"),
    *(b"outputs", b"tags", b"scheme", b"settings", b"read_head", b"check_stored", b"hidden_size", b"F32", b"BF16"),
    *(b"\xdd\xff\xff\xff\xff", b"\xdf\xff\xff\xff\xff", b"\xc6\xff\xff\xff\xff", b"\x82\xc4\x02nd\xc3", b"\xc0"),
    *(b"cos\nsystem\n", b"\x80\x04\x95", b"\x00\x00\xc0\x7f", b"[0,4]", b"1000000000", b"-1", b"1e999"),
)


def fuzz_one(data: bytes) -> None:
    """Read a damaged component into one that works; what is refused leaves it as it was."""
    if len(data) < 2:
        return
    factory = FACTORIES[data[0] % len(FACTORIES)]
    nlp, content, before = _prepare(factory)
    pipe: Any = nlp.get_pipe(factory)
    damaged = _damage(content, data[1], data[2:])
    was_read = False
    with expect_clear_errors():
        try:
            pipe.from_bytes(damaged)
            was_read = True
        except BertftError as error:
            check(factory in str(error), "an error names the component")
            raise
    if was_read:
        with expect_clear_errors():
            annotate(nlp)
        pipe.from_bytes(content)
    check(annotate(nlp) == before, "after an error a component works as before")


def _damage(content: bytes, depth: int, edits: bytes) -> bytes:
    """Edit the bytes of a component: as a whole, or a part in the midst of what is whole."""
    if depth % 6 == 0:
        return apply_edits(content, edits)
    parts = srsly.msgpack_loads(content)
    if depth % 6 == 1:
        return _pack({**parts, "cfg": apply_edits(parts["cfg"].encode(), edits)})
    if depth % 6 == 2:
        return _pack({**parts, "model": apply_edits(parts["model"], edits)})
    message = srsly.msgpack_loads(parts["model"])
    node = depth // 6 % len(message["shims"])
    if not message["shims"][node]:
        return content
    if depth % 6 == 3:
        message["shims"][node][0] = apply_edits(message["shims"][node][0], edits)
    else:
        shim = srsly.msgpack_loads(message["shims"][node][0])
        if depth % 6 == 4:
            shim["weights"] = apply_edits(shim["weights"], edits)
        else:
            shim["spec"] = srsly.msgpack_loads(_pad(apply_edits(_pack(shim["spec"]), edits)))
        message["shims"][node][0] = _pack(shim)
    return _pack({**parts, "model": _pack(message)})


def _pad(content: bytes) -> bytes:
    """Give what is no msgpack any more a form that is."""
    try:
        srsly.msgpack_loads(content)
    except Exception:  # noqa: BLE001 (whatever it is, there is nothing to look at)
        return _pack(list(content[:20]))
    return content


def _pack(content: Any) -> bytes:
    packed: bytes = srsly.msgpack_dumps(content)
    return packed


@cache
def _prepare(factory: str) -> tuple[Language, bytes, list[object]]:
    with TemporaryDirectory() as folder:
        nlp = make_tiny_pipeline(factory, make_tiny_checkpoint(Path(folder)))
    pipe: Any = nlp.get_pipe(factory)
    return nlp, pipe.to_bytes(exclude=["vocab"]), annotate(nlp)
