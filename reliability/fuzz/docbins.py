"""`.spacy` files: one byte of an input chooses who reads it, the rest is the file.

Or else the rest is what is packed in the file: few changes of packed bytes get through.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Any

import srsly
from spacy.tokens import DocBin
from spacy.vocab import Vocab

from spacy_bertft.annotation.chunks import cut_source
from spacy_bertft.annotation.inputs import find_inputs
from spacy_bertft.annotation.settings import AnnotateSettings, WorkerSettings
from spacy_bertft.annotation.worker import Annotator
from spacy_bertft.data.docs import read_docs

from .blanks import get_blank
from .laws import LONGEST_ERROR, check, expect_clear_errors

DICTIONARY = (
    *(
        b"\xa7version",
        b"\xa5attrs",
        b"\xa6tokens",
        b"\xa6spaces",
        b"\xa7lengths",
        b"\xa7strings",
        b"\xa4cats",
        b"\xa5flags",
    ),
    *(
        b"\xabspan_groups",
        b"\xa9user_data",
        b"\xc0",
        b"\xc3",
        b"\x80",
        b"\x90",
        b"\xdd\xff\xff\xff\xff",
        b"\xc6\xff\xff\xff\xff",
    ),
    *(b"\xdf\xff\xff\xff\xff", b"\xcb\x7f\xf8\0\0\0\0\0\0", b"\xd3\x80\0\0\0\0\0\0\0", b"\xed\xa0\x80"),
)
_ODD_VALUES = (
    None,
    True,
    -1,
    0,
    65,
    2**63,
    1.5,
    float("nan"),
    "",
    "a",
    "\n",
    b"",
    b"\x90",
    [],
    [1],
    {},
    {"a": "b"},
    {1: 0.5},
)
_ODD_NUMBERS = tuple(
    number.to_bytes(8, "little", signed=number < 0) for number in (0, 1, 2, 3, 79, 2**31, 2**63, -1, -2)
)
_ANSWERS = {name: name for name in ("ents", "cats", "tags")}


def fuzz_one(data: bytes) -> None:
    """Read a file; `annotate` tells what it cannot read, and a reader for training raises an error."""
    choice, content = (data[0], data[1:]) if data else (0, b"")
    with TemporaryDirectory() as folder:
        path = Path(folder, "a.spacy")
        path.write_bytes(zlib.compress(content, 1) if choice & 2 else content)
        if choice & 1:
            with expect_clear_errors():
                for doc in read_docs(path, Vocab()):
                    doc.text.encode("utf-8")
            return
        settings = AnnotateSettings(shard_rows=2 if choice & 4 else 5000, answers=_ANSWERS)
        [source] = find_inputs([str(path)]).sources
        worker = WorkerSettings("blank", str(Path(folder, "out")))
        annotator = Annotator(settings, worker, get_blank("xx"))
        chunks = list(cut_source(source, settings))
        reports = [annotator(chunk) for chunk in chunks]
        shards = [path.read_bytes().decode("utf-8") for path in sorted(Path(folder, "out").glob("part-*"))]
    check(sum(chunk.weight for chunk in chunks) == (source.n_bytes if chunks else 0), "all bytes are shared out")
    problems = [problem for report in reports for problem in report.problems]
    for problem in problems:
        check("\n" not in problem.reason, f"a reason is one line: {problem.reason!r}")
        check(len(problem.reason) <= LONGEST_ERROR, f"a reason can be read: {problem.reason[:2000]!r}")
    n_written = sum(report.n_written for report in reports)
    check(n_written == sum(shard.count("\n") for shard in shards), "what is counted is written")
    if not any(problem.line is None for problem in problems):
        n_docs = len(DocBin().from_bytes(zlib.compress(content) if choice & 2 else content))
        check(n_docs == n_written + len(problems), "every document is written or a problem")


def mutate(data: bytes, max_bytes: int, seed: int) -> bytes:
    """Change one of the things that are packed in a file, mostly: what is no longer packed well is refused at once."""
    import atheris

    random = Random(seed)
    choice, content = (data[0], data[1:]) if data else (0, b"")
    try:
        values = srsly.msgpack_loads(content if choice & 2 else zlib.decompress(content))
        name = random.choice(list(values))
        values[name] = _change(values[name], random, lambda part: bytes(atheris.Mutate(part, len(part) + 8)))
        changed = srsly.msgpack_dumps(values)
    except Exception:  # noqa: BLE001 - it is not packed well by now
        changed = b""
    if not changed or random.random() < 0.2:
        return bytes(atheris.Mutate(data, max_bytes))
    return bytes([choice]) + (changed if choice & 2 else zlib.compress(changed, 1))[: max_bytes - 1]


def _change(value: Any, random: Random, mutate_bytes: Callable[[bytes], bytes]) -> Any:
    """Change a value, or something in it."""
    if random.random() < 0.1:
        return random.choice(_ODD_VALUES)
    if isinstance(value, bytes) and len(value) >= 8 and random.random() < 0.5:
        # Numbers of 8 or 4 bytes are there.
        at = random.randrange(0, len(value) - 3, 4)
        return value[:at] + random.choice(_ODD_NUMBERS)[: len(value) - at] + value[at + 8 :]
    if isinstance(value, bytes):
        return mutate_bytes(value)
    if isinstance(value, list) and value:
        at = random.randrange(len(value))
        return [
            *value[:at],
            *random.choice(([], [_change(value[at], random, mutate_bytes)], [value[at]] * 2)),
            *value[at + 1 :],
        ]
    if isinstance(value, dict) and value:
        name = random.choice(list(value))
        return {**value, name: _change(value[name], random, mutate_bytes)}
    return random.choice(_ODD_VALUES)
