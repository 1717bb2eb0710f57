"""`convert` of words and tags in other files than columns: the first byte of an input chooses the format and settings.

The rest is the file; of a pair of files, the second one follows a line of `===`.
"""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

from spacy.tokens import DocBin
from spacy.vocab import Vocab

from spacy_bertft.data import convert
from spacy_bertft.data.formats import detect_format

from .blanks import remember_blanks
from .laws import check, expect_clear_errors

DICTIONARY = (
    *(b"O", b"B-PER", b"I-PER", b"a|O", b"a|N|B-PER", b"|", b" ", b"\n", b"\n===\n", b"\r\n", b"\0", b"\xef\xbb\xbf"),
    *(b"Sentence #,Word,POS,Tag\n", b"sentence_id,word,tag\n", b"Sentence: 1,a,N,O\n", b",b,N,B-geo\n", b",", b'"'),
    *(b'{"tokens": ["a"], "ner_tags": ["O"]}\n', b'"pos_tags": [1]', b"[]", b"[[", b"null", b"1e9", b"-1", b"\\ud800"),
    *(b"de:", b"\xc2\xa0", b"\xe2\x80\xa8", b"\xff", b"\xf0\x9f\x98\x80", b"person-artist"),
)
_FORMATS = (("inline", "a.txt"), ("pair", "a.in"), ("cells", "a.csv"), ("lists", "a.json"))


def fuzz_one(data: bytes) -> None:
    """Convert a file; what is counted is what is written, and every problem is listed."""
    choice, content = (data[0], data[1:]) if data else (0, b"")
    file_format, name = _FORMATS[choice & 3]
    with TemporaryDirectory() as folder:
        source, names, output = Path(folder, name), Path(folder, "names"), Path(folder, "a.spacy")
        first, _, second = content.partition(b"\n===\n")
        source.write_bytes(first)
        source.with_suffix(".out").write_bytes(second)
        names.write_text("O\nB-PER\nI-PER\n")
        before = sorted(Path(folder).iterdir())
        with expect_clear_errors():
            check(detect_format([source], {}).name != "", "without --as, a format has a name")
        with remember_blanks(), expect_clear_errors():
            report = convert(
                source,
                output,
                file_format=file_format,
                kind=("ents", "tags", "spans", "ents")[choice >> 2 & 3],
                orphans="repair" if choice & 16 else "error",
                label_names=names if choice & 32 else None,
                dev=0.3 if choice & 64 else 0.0,
                fix=bool(choice & 128),
                problems_path=Path(folder, "problems.jsonl"),
            )
            docs = [list(DocBin().from_disk(part.path).get_docs(Vocab())) for part in report.parts]
            check([len(part) for part in docs] == [part.n_docs for part in report.parts], "documents are counted")
            n_tokens = [sum(map(len, part)) for part in docs]
            check(n_tokens == [part.n_tokens for part in report.parts], "what is counted is written")
            check(all(n_tokens), "no part is empty")
            if file_format == "lists":
                check(report.n_docs + report.n_lines_left_out.get("empty sentences", 0) > 0, "every list is counted")
            is_listed = bool(Path(folder, "problems.jsonl").stat().st_size)
            check(is_listed == bool(report.problems), "what is to be checked is listed")
            return
        check(sorted(Path(folder).iterdir()) == before, "after an error nothing is written")
