"""`.spacy` files: one byte of an input chooses who reads it, the rest is the file.

Or else the rest is what is packed in the file: few changes of packed bytes get through.
"""

from __future__ import annotations

import zlib
from pathlib import Path
from tempfile import TemporaryDirectory

from spacy.tokens import DocBin
from spacy.vocab import Vocab

from spacy_bertft.annotate.annotator import Annotator
from spacy_bertft.annotate.reading.cutter import cut_source
from spacy_bertft.annotate.reading.inputs import find_inputs
from spacy_bertft.annotate.settings import AnnotateSettings, WorkerSettings
from spacy_bertft.corpus.docs import read_docs

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
