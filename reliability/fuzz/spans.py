"""`convert --as spans` of JSONL: the first byte of an input chooses the settings, the rest is the file."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

from spacy.tokens import DocBin
from spacy.vocab import Vocab

from spacy_bertft.data.texts.convert import convert_spans

from .blanks import remember_blanks
from .laws import check, expect_clear_errors

DICTIONARY = (
    *(b'{"text": "a b", "spans": [', b'{"start": 0, "end": 1, "label": "A"}', b'[0, 1, "A"]', b"]}\n", b", ", b"}"),
    *(b'"entities": [', b'"label": [', b'"labels": [', b'"answer": "reject"', b'"ignore"', b'"accept"', b"true", b"-1"),
    *(b"null", b"1e9", b"0.5", b"[[[[", b"\\ud800", b"\\u0000", b"\xef\xbb\xbf", b"\xf0\x9f\x98\x80", b"\xff", b"\r\n"),
)


def fuzz_one(data: bytes) -> None:
    """Convert a file; every text is written or counted, and a span that was extended is counted too."""
    choice, content = (data[0], data[1:]) if data else (0, b"")
    with TemporaryDirectory() as folder:
        source, output = Path(folder, "a.jsonl"), Path(folder, "a.spacy")
        source.write_bytes(content)
        with remember_blanks(), expect_clear_errors():
            report = convert_spans(
                source,
                output,
                label_column="spans" if choice & 1 else None,
                spans_key="nested" if choice & 2 else None,
                lang="xx" if choice & 4 else "en",
                dev=0.3 if choice & 8 else 0.0,
            )
            docs = [doc for part in report.parts for doc in DocBin().from_disk(part.path).get_docs(Vocab())]
            check(len(docs) == report.n_docs, "what is counted is written")
            spans = [span for doc in docs for span in doc.spans[report.spans_key]]
            check(len(spans) == sum(report.label_counts.values()), "spans are counted")
            check(all(span.label_ and len(span) for span in spans), "spans have a label and tokens")
            return
        check(sorted(Path(folder).iterdir()) == [source], "after an error nothing is written")
