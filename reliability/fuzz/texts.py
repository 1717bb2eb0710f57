"""`convert` of labelled texts: two bytes of an input choose format and settings, the rest is the file."""

from __future__ import annotations

import csv
import io
import json
import re
from pathlib import Path
from tempfile import TemporaryDirectory

from spacy.tokens import DocBin
from spacy.vocab import Vocab

from spacy_bertft.data import convert_texts
from spacy_bertft.data.reports import ConversionReport

from .blanks import remember_blanks
from .laws import check, expect_clear_errors

DICTIONARY = (
    *(
        b"text",
        b"label",
        b"labels",
        b"cats",
        b"second",
        b'"text": "',
        b'"label": "a"',
        b"text,label\n",
        b"text\tlabel\n",
    ),
    *(
        b'{"text": "a", "label": "b"}\n',
        b'{"a": 0.5}',
        b'["a", "b"]',
        b"[[[[",
        b"NaN",
        b'"answer": "reject"',
        b'"options": [{"id": "a"}]',
        b'"accept": ["a"]',
        b"1e999",
        b"-0",
        b"null",
        b"true",
    ),
    *(b"\\ud800", b"\\u0000", b"\\u001f", b'""', b'"', b"a,x\n", b",", b"\t", b";", b"\n", b"\r\n", b"\r", b"\0"),
    *(
        b"\x1f",
        b"\xef\xbb\xbf",
        b"\xc2\x85",
        b"\xe2\x80\xa8",
        b"\xf0\x9f\x98\x80",
        b"\xed\xa0\x80",
        b"\xff",
        b"1",
        b"2",
    ),
)
_FORMATS = ("csv", "tsv", "jsonl", "jsonl")


def fuzz_one(data: bytes) -> None:
    """Convert a file; every text is written exactly, or counted as left out."""
    choice, more, content = (data[0], data[1], data[2:]) if len(data) > 1 else (0, 0, b"")
    file_format = _FORMATS[choice & 3]
    is_csv = file_format != "jsonl"
    has_header, has_pairs = not choice & 4, bool(choice & 16)
    with TemporaryDirectory() as folder:
        source, names, output = Path(folder, "a"), Path(folder, "names"), Path(folder, "a.spacy")
        names.write_text("ham\nspam\n")
        source.write_bytes(content)
        with remember_blanks(), expect_clear_errors():
            report = convert_texts(
                source,
                output,
                file_format=file_format,
                header=has_header if is_csv else None,
                quoting=not choice & 8 if is_csv else None,
                text_column="text" if has_header or not is_csv else "1",
                label_column="2" if is_csv and not has_header else "label" if more & 1 else None,
                second_text_column=("second" if has_header or not is_csv else "3") if has_pairs else None,
                label_separator=";" if choice & 32 else None,
                label_names=names if more & 2 else None,
                delimiter=None if more & 4 or not is_csv else "," if file_format == "csv" else "\t",
                dev=0.3 if choice & 64 else 0.0,
                lang="xx" if choice & 128 else "en",
            )
            texts = [[doc.text for doc in DocBin().from_disk(part.path).get_docs(Vocab())] for part in report.parts]
            check([len(part) for part in texts] == [part.n_docs for part in report.parts], "what is counted is written")
            if not has_pairs and not more & 4:
                _check_nothing_is_lost(
                    report, sorted(text for part in texts for text in part), file_format, content, choice
                )
            return
        check(sorted(Path(folder).iterdir()) == [source, names], "after an error nothing is written")


def _check_nothing_is_lost(
    report: ConversionReport, texts: list[str], file_format: str, content: bytes, choice: int
) -> None:
    whole = content.decode("utf-8").removeprefix("\ufeff")
    if (report.n_byte_order_marks and file_format != "jsonl") or '"answer"' in whole:
        return  # what is left of these texts is not told from the content alone
    if file_format == "jsonl":
        if re.match(r"\s*(\[|\{\s*\n)", whole) or re.search('"(data|content|paragraphs)"', whole):
            return  # an array, an object over several lines, or what an annotation tool wrote
        lines = [line.lstrip("\ufeff") for line in re.split(r"\r*\n|\r", whole)]
        expected = [json.loads(line)["text"] for line in lines if line.strip()]
    else:
        delimiter, quoting = "," if file_format == "csv" else "\t", csv.QUOTE_NONE if choice & 8 else csv.QUOTE_MINIMAL
        rows = list(csv.reader(io.StringIO(whole, newline=""), delimiter=delimiter, quoting=quoting, strict=True))
        rows = [row for row in rows if len(row) > 1 or "".join(row).strip()]
        column = [cell.strip() for cell in rows[0]].index("text") if not choice & 4 else 0
        expected = [row[column] for row in rows if choice & 4 or row != rows[0]]
    kept = sorted(text for text in expected if text.strip())
    check(texts == kept, "every text is written exactly")
    n_left_out = report.n_lines_left_out.get("rows without text", 0)
    n_blank = report.n_lines_left_out.get("empty lines", 0)  # a line of tabs is one, and a row of empty cells too
    n_missing = len(expected) - len(kept) - n_left_out
    check(n_missing == 0 or (file_format == "tsv" and 0 < n_missing <= n_blank), "what is left out is counted")
