"""`convert` of what annotation tools export: one byte of an input chooses the format, the rest is the file."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

from spacy.tokens import DocBin
from spacy.vocab import Vocab

from spacy_bertft.data import convert_spans, convert_texts
from spacy_bertft.data.reports import ConversionReport

from .blanks import remember_blanks
from .laws import check, expect_clear_errors

DICTIONARY = (
    *(
        b'"text": "',
        b'"spans": [',
        b'{"start": 0, "end": 1, "label": "A"}',
        b'[0, 1, "A"]',
        b'"entities": [',
        b'"ents": ',
    ),
    *(b'"start_offset": 0', b'"end_offset": 1', b'"answer": "reject"', b'"_view_id": "ner"', b'"relations": [1]'),
    *(b'[{"data": {"text": "a"}, "annotations": [{"result": [', b'"was_cancelled": true', b'"ground_truth": 1'),
    *(b'{"value": {"start": 0, "end": 1, "text": "a", "labels": ["A"]}}', b'"choices": ["A"]', b'"predictions": []'),
    *(b'{"content": "a", "annotation": [{"label": ["A"], "points": [{"start": 0, "end": 0}]}]}', b'"labels": ["A"]'),
    *(b'["a", {"entities": []}]', b'"paragraphs": [{"sentences": [{"tokens": [{"orth": "a", "ner": "U-A"}]}]}]'),
    *(b"T1\tA 0 1\ta\n", b"T1\tA 0 1;2 3\n", b"1|t|a\n", b"1|a|b\n", b"1\t0\t1\ta\tA\n", b"__label__a "),
    *(b"#T_SP=x.NamedEntity|identifier|value\n", b"#Text=a\n", b"1-1\t0-1\ta\t_\tA[1]|B\n", b"\\", b"\xf0\x9f\x98\x80"),
    *(b"{", b"}", b"[", b"]", b",", b"\n", b"\t", b"null", b"1e9", b"-1", b'"\\ud800"', b"\xff\xfe", b"\0", b"true"),
)
_SPANS = ("spans", "label-studio", "dataturks", "spacy-json", "brat", "pubtator", "webanno")
_CATS = ("jsonl", "label-studio", "dataturks", "fasttext", "label-first")
_MODES = ("expand", "contract", "strict")


def fuzz_one(data: bytes) -> None:
    """Convert a file; what is counted is written, and no span is of nothing."""
    choice, content = (data[0], data[1:]) if data else (0, b"")
    has_spans, other = bool(choice & 1), choice >> 1
    with TemporaryDirectory() as folder, remember_blanks(), expect_clear_errors():
        source, output = Path(folder, "a.ann"), Path(folder, "a.spacy")
        # For brat, the text is the first line.
        text, _, rest = content.partition(b"\n")
        is_brat = has_spans and _SPANS[other % 7] == "brat"
        source.with_suffix(".txt").write_bytes(text if is_brat else content)
        source.write_bytes(rest if is_brat else content)
        report: ConversionReport
        if has_spans:
            kind = "ents" if choice & 64 else "spans"
            report = convert_spans(
                source, output, kind=kind, file_format=_SPANS[other % 7], alignment_mode=_MODES[choice % 3], lang="xx"
            )
        else:
            report = convert_texts(source, output, file_format=_CATS[other % 5], lang="xx")
        docs = list(DocBin().from_disk(output).get_docs(Vocab()))
        check(len(docs) == report.n_docs, "what is counted is written")
        spans = [span for doc in docs for span in (*doc.ents, *doc.spans.get("sc", ()))]
        check(not has_spans or len(spans) == sum(report.label_counts.values()), "every span is counted")
        check(all(span.text.strip() and span.label_.strip() for span in spans), "a span has words and a label")
        check(all(doc.text.strip() for doc in docs), "a document has words")
