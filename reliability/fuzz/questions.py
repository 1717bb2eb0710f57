"""`convert --as qa` of SQuAD's JSON: the first byte of an input chooses the settings, the rest is the file."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

from spacy.tokens import DocBin
from spacy.vocab import Vocab

from spacy_bertft.data.answers import read_answer_texts
from spacy_bertft.data.pairs import SEGMENTS
from spacy_bertft.data.questions import convert_questions

from .blanks import remember_blanks
from .laws import check, expect_clear_errors

DICTIONARY = (
    *(b'{"data": [', b'"paragraphs": [', b'"context": "', b'"qas": [', b'"question": "', b'"answers": [', b"]}", b"}"),
    *(b'{"text": "a", "answer_start": 0}', b'"is_impossible": true', b"false", b"null", b"-1", b"1e9", b"[[[["),
    *(
        b"\\u001f",
        b"\\ud800",
        b"\\u0000",
        b"\x1f",
        b"\xef\xbb\xbf",
        b"\xf0\x9f\x98\x80",
        b"\xff",
        b"\x1f\x8b\x08",
        b" ",
    ),
)


def fuzz_one(data: bytes) -> None:
    """Convert a file; every question is written or counted, and answers are where the file says."""
    choice, content = (data[0], data[1:]) if data else (0, b"")
    with TemporaryDirectory() as folder:
        source, output = Path(folder, "a.json"), Path(folder, "a.spacy")
        source.write_bytes(content)
        with remember_blanks(), expect_clear_errors():
            lang = "xx" if choice & 1 else "en"
            report = convert_questions(source, output, lang=lang, dev=0.3 if choice & 2 else 0.0)
            docs = [doc for part in report.parts for doc in DocBin().from_disk(part.path).get_docs(Vocab())]
            n_misplaced = sum(n for reason, n in report.n_lines_left_out.items() if reason.startswith("answers"))
            n_left_out = sum(report.n_lines_left_out.values()) - n_misplaced
            check(len(docs) == report.n_docs, "what is counted is written")
            check(len(docs) + n_left_out == report.n_lines, "every question is written or counted")
            for doc in docs:
                check(len(doc.spans[SEGMENTS]) == 2, "question and context are a pair")
                context = doc.text.partition("\x1f")[2]
                check(all(text in context for text in read_answer_texts(doc) or ()), "answers are in the context")
            return
        check(sorted(Path(folder).iterdir()) == [source], "after an error nothing is written")
