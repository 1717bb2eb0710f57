from __future__ import annotations

from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from column_files import Sentence, Style, sentences, styles
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from spacy.tokens import Doc, DocBin
from spacy.vocab import Vocab

from spacy_bertft.data import convert_columns
from spacy_bertft.data.packed import DocWriter
from spacy_bertft.errors import ColumnFormatError, DataError, SettingError
from spacy_bertft.tags.grammar import SCHEMES, Scheme
from spacy_bertft.tags.schemes import TagSpan

FILMS = "O\tfilms\nO\twith\nB-ACTOR\tdrew\nI-ACTOR\tbarrymore\n\nB-YEAR\t1980s\n\nO\tfilms\n"


def read_docs(path: Path) -> list[Doc]:
    return list(DocBin().from_disk(path).get_docs(Vocab()))


def read_sentence(doc: Doc) -> Sentence:
    return Sentence([token.text for token in doc], [TagSpan(ent.start, ent.end, ent.label_) for ent in doc.ents])


@settings(max_examples=25)
@given(st.lists(sentences(), min_size=1, max_size=4), styles, st.sampled_from(SCHEMES))
def test_what_is_written_is_what_was_read(written: list[Sentence], style: Style, scheme: Scheme) -> None:
    # A column of nothing but `_` is refused: it is a column that was left empty.
    assume({word for sentence in written for word in sentence.words} != {"_"})
    with TemporaryDirectory() as folder:
        source, output = Path(folder, "a.bio"), Path(folder, "a.spacy")
        style.write(source, written, scheme)
        report = convert_columns(source, output, scheme=scheme)
        assert [read_sentence(doc) for doc in read_docs(output)] == written
    assert report.n_sentences == report.n_docs == len(written)
    assert report.n_tokens == sum(len(sentence.words) for sentence in written)
    assert report.label_counts == Counter(span.label for sentence in written for span in sentence.spans)


def test_the_report(tmp_path: Path) -> None:
    source, output = tmp_path / "a.bio", tmp_path / "a.spacy"
    source.write_text(FILMS + "\n# end\n-DOCSTART-\n\nO\tfilms\n")
    report = convert_columns([str(source)], str(output))
    assert report.paths == (source,)
    assert report.scheme == "bio"
    assert (report.n_lines, report.n_sentences, report.n_docs, report.n_tokens) == (13, 4, 4, 7)
    assert report.label_counts == {"ACTOR": 1, "YEAR": 1}
    assert report.n_lines_left_out == {"comment lines": 1, "-DOCSTART- lines": 1}
    assert report.dev is None


def test_several_files_make_one_corpus(tmp_path: Path) -> None:
    first, second = tmp_path / "a", tmp_path / "b"
    first.write_text("O\tfilms\nB-X\tnow\n")
    second.write_text("films O\nnow B-X\n")
    report = convert_columns([first, second, first], tmp_path / "all.spacy")
    assert (report.n_sentences, report.label_counts) == (3, {"X": 3})
    assert len({tuple(read_sentence(doc).words) for doc in read_docs(tmp_path / "all.spacy")}) == 1


def test_several_sentences_per_doc(tmp_path: Path) -> None:
    source, output = tmp_path / "a.bio", tmp_path / "a.spacy"
    source.write_text(FILMS)
    report = convert_columns(source, output, n_sents=2)
    docs = read_docs(output)
    assert (report.n_docs, report.n_sentences) == (2, 3)
    assert [sent.text.strip() for sent in docs[0].sents] == ["films with drew barrymore", "1980s"]
    assert [ent.text for ent in docs[0].ents] == ["drew barrymore", "1980s"]


def test_the_development_set(tmp_path: Path) -> None:
    source, output = tmp_path / "a.bio", tmp_path / "a.spacy"
    source.write_text("\n".join(f"word{number % 40}\tO\n" for number in range(100)))
    report = convert_columns(source, output, dev=0.1, seed=3)
    assert report.dev is not None
    assert report.dev.path == tmp_path / "a-dev.spacy"
    kept = [doc.text for doc in read_docs(output)]
    split_off = [doc.text for doc in read_docs(report.dev.path)]
    assert not set(kept) & set(split_off)
    assert Counter(kept + split_off) == Counter(f"word{number % 40} " for number in range(100))
    assert (report.output.n_sentences, report.dev.n_sentences) == (len(kept), len(split_off))
    assert 8 <= len(split_off) <= 10


def test_three_parts(tmp_path: Path) -> None:
    source, output = tmp_path / "a.bio", tmp_path / "a.spacy"
    source.write_text("\n".join(f"word{number}\tO\n" for number in range(20)))
    report = convert_columns(source, output, dev=0.1, test=0.2, test_path=tmp_path / "t.spacy")
    assert [part.path.name for part in report.parts] == ["a.spacy", "a-dev.spacy", "t.spacy"]
    assert [part.n_sentences for part in report.parts] == [14, 2, 4]
    assert len({doc.text for part in report.parts for doc in read_docs(part.path)}) == 20


def test_the_same_input_gives_the_same_bytes(tmp_path: Path) -> None:
    source = tmp_path / "a.bio"
    source.write_text(FILMS)
    for name in ("one", "two"):
        convert_columns(source, tmp_path / f"{name}.spacy", dev=0.3, dev_path=tmp_path / f"{name}-held.spacy")
    assert (tmp_path / "one.spacy").read_bytes() == (tmp_path / "two.spacy").read_bytes()
    assert (tmp_path / "one-held.spacy").read_bytes() == (tmp_path / "two-held.spacy").read_bytes()


def test_plain_tags(tmp_path: Path) -> None:
    source, output = tmp_path / "a.pos", tmp_path / "a.spacy"
    source.write_text("dogs\tNNS\nrun\tVBP\n\ncats\tNNS\n")
    with pytest.raises(ColumnFormatError, match="--as tags") as caught:
        convert_columns(source, output)
    assert caught.value.line == 1
    report = convert_columns(source, output, kind="tags")
    assert [[token.tag_ for token in doc] for doc in read_docs(output)] == [["NNS", "VBP"], ["NNS"]]
    assert (report.scheme, report.label_counts) == (None, {"NNS": 2, "VBP": 1})


def test_an_error_leaves_both_outputs_as_they_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source, output, dev_path = tmp_path / "a.bio", tmp_path / "a.spacy", tmp_path / "dev.spacy"
    output.write_bytes(b"old")
    dev_path.write_bytes(b"old too")
    source.write_text("O\ta\nI-X\tb\n\nB-X\tc\n")
    with pytest.raises(ColumnFormatError):
        convert_columns(source, output, dev=0.5, dev_path=dev_path)
    # The first output is complete when the second one fails.
    write = DocWriter.write
    monkeypatch.setattr(DocWriter, "write", lambda self, path: write(self, path) if "dev" not in path.name else 1 / 0)
    with pytest.raises(ZeroDivisionError):
        convert_columns(source, output, dev=0.5, dev_path=dev_path, orphans="repair")
    assert (output.read_bytes(), dev_path.read_bytes()) == (b"old", b"old too")
    assert len(list(tmp_path.iterdir())) == 3


@pytest.mark.parametrize(
    ("output", "settings", "name"),
    [
        ("a.bin", {}, "output"),
        ("a.spacy", {"dev_path": "b.spacy"}, "dev_path"),
        ("a.spacy", {"dev": 0.5, "dev_path": "a.spacy"}, "dev_path"),
        ("source.spacy", {}, "output"),
        ("a.spacy", {"dev": 1.5}, "dev"),
        ("a.spacy", {"test_path": "b.spacy"}, "test_path"),
        ("a.spacy", {"dev": 0.5, "test": 0.5}, "dev"),
        ("a.spacy", {"dev": 0.3, "dev_path": "b.spacy", "test": 0.5, "test_path": "b.spacy"}, "dev_path"),
        ("a.spacy", {"n_sents": 0}, "n_sents"),
        ("a.spacy", {"lang": "nowhere"}, "lang"),
        ("a.spacy", {"scheme": "other"}, "scheme"),
    ],
)
def test_settings_out_of_range(tmp_path: Path, output: str, settings: dict[str, object], name: str) -> None:
    source = tmp_path / "source.spacy"
    source.write_text(FILMS)
    settings = {key: tmp_path / str(value) if key.endswith("path") else value for key, value in settings.items()}
    with pytest.raises(SettingError) as caught:
        convert_columns(source, tmp_path / output, **settings)
    assert caught.value.name == name
    assert list(tmp_path.iterdir()) == [source]


@pytest.mark.parametrize("text", ["", "\n\n", "O\t-DOCSTART-\n"])
def test_empty_inputs(tmp_path: Path, text: str) -> None:
    source = tmp_path / "a.bio"
    source.write_text(text)
    with pytest.raises(DataError, match=r"a\.bio"):
        convert_columns(source, tmp_path / "a.spacy", tag_column="first")


def test_a_missing_input(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such file"):
        convert_columns(tmp_path / "missing", tmp_path / "a.spacy")


def list_tokens(path: Path) -> list[list[tuple[str, str]]]:
    return [[(token.text, token.ent_type_ or token.tag_) for token in doc] for doc in read_docs(path)]


def test_row_numbers_are_no_words(tmp_path: Path) -> None:
    source, output = tmp_path / "a.tsv", tmp_path / "a.spacy"
    source.write_text("1\tAnna\tB-PER\n2\truns\tO\n\n1\t2\tO\n")
    report = convert_columns(source, output)
    assert list_tokens(output) == [[("Anna", "PER"), ("runs", "")], [("2", "")]]
    assert report.columns == "words in column 2, tags in column 3 of 3"
    convert_columns(source, output, word_column=1)
    assert list_tokens(output) == [[("1", "PER"), ("2", "")], [("1", "")]]


def test_comments_with_tabs(tmp_path: Path) -> None:
    source, output = tmp_path / "a.tsv", tmp_path / "a.spacy"
    source.write_text("#\thttp://a.de\t[2010]\n1\tAnna\tB-PER\n\n#\thttp://b.de\t[2010]\n1\t#\tO\n")
    report = convert_columns(source, output)
    assert list_tokens(output) == [[("Anna", "PER")], [("#", "")]]
    assert report.n_lines_left_out == {"comment lines": 2}


CONLLU = (
    "# newdoc id = 1\n# text = Vamos al mar\n"
    "1\tVamos\tir\tVERB\tV\tMood=Ind\t0\troot\t_\t_\n"
    "2-3\tal\t_\t_\t_\t_\t_\t_\t_\t_\n"
    "2\ta\ta\tADP\tS\t_\t4\tcase\t_\t_\n"
    "3\tel\tel\tDET\t_\t_\t4\tdet\t_\t_\n"
    "3.1\tvasto\tvasto\tADJ\tA\t_\t_\t_\t4:amod\t_\n"
    "4\tmar\tmar\tNOUN\tN\t_\t1\tobl\t_\tSpaceAfter=No\n\n"
    "# text = mar\n"
    "1\tmar\tmar\tNOUN\tN\t_\t0\troot\t_\t_\n"
)


def test_conllu(tmp_path: Path) -> None:
    source, output = tmp_path / "a.conllu", tmp_path / "a.spacy"
    source.write_text(CONLLU, encoding="utf-8")
    report = convert_columns(source, output, kind="tags")
    words = ["Vamos", "a", "el", "mar"]
    assert list_tokens(output) == [list(zip(words, ["VERB", "ADP", "DET", "NOUN"], strict=True)), [("mar", "NOUN")]]
    assert report.n_lines_left_out == {"comment lines": 3, "ranges such as 2-3 and empty nodes such as 1.1": 2}
    report = convert_columns(source, output, kind="tags", tag_column="XPOS")
    # What the treebank does not tell is unknown.
    assert list_tokens(output) == [list(zip(words, ["V", "S", "", "N"], strict=True)), [("mar", "N")]]
    assert report.label_counts == {"N": 2, "S": 1, "V": 1}
    assert "tags in column 5 (XPOS) of 10; plain tags; tags repaired: 0; tokens without a tag: 1" in str(report)


def test_an_error_after_a_range_names_its_line(tmp_path: Path) -> None:
    source = tmp_path / "a"
    source.write_text("1-2\tdu\t_\n1\tde\tO\n2\tle\tI-X\n\n1\ta\tB-X\n")
    with pytest.raises(ColumnFormatError, match="'I-X' follows 'O'") as caught:
        convert_columns(source, tmp_path / "a.spacy")
    assert caught.value.line == 3


def test_a_hash_is_a_word_and_a_comment_is_none(tmp_path: Path) -> None:
    source, output = tmp_path / "a", tmp_path / "a.spacy"
    source.write_text("# id 7\tdomain=en\n#\tO\nmar\tB-LOC\n\n# id 8\tdomain=en\n# \tB-MISC\n")
    report = convert_columns(source, output)
    assert list_tokens(output) == [[("#", ""), ("mar", "LOC")], [("#", "MISC")]]
    assert report.n_lines_left_out == {"comment lines": 2}


@pytest.mark.parametrize("kind", ["ents", "tags"])
@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r", "\r\r\n"])
def test_every_line_end_gives_the_same_corpus(tmp_path: Path, newline: str, kind: str) -> None:
    source, output = tmp_path / "a", tmp_path / "a.spacy"
    text = "\ufeffAnna\tB-PER\t\n\u2028\u0085\tO\t\n\n\ufeffBob\tO\t\n"
    source.write_bytes(text.replace("\n", newline).encode())
    report = convert_columns(source, output, kind=kind)
    assert [[token.text for token in doc] for doc in read_docs(output)] == [["Anna", "\u2028\u0085"], ["Bob"]]
    assert (report.n_lines, report.n_byte_order_marks) == (4, 1)


NESTED = """1\tBank\tB-ORG\tO
2\tof\tI-ORG\tO
3\tEngland\tI-ORG\tB-LOC

#\thttp://example.org\t[2010-07-04]\t
1\tLondon\tB-LOC\tB-LOC

1\tnothing\tO\tO
"""


def read_spans(path: Path, key: str) -> list[list[tuple[str, str]]]:
    return [[(span.text, span.label_) for span in doc.spans[key]] for doc in read_docs(path)]


def test_spans_of_nested_columns(tmp_path: Path) -> None:
    source, output = tmp_path / "a.tsv", tmp_path / "a.spacy"
    source.write_text(NESTED)
    report = convert_columns(source, output, kind="spans")
    # What both columns have is one span, and a sentence without any has an empty group.
    expected = [[("Bank of England", "ORG"), ("England", "LOC")], [("London", "LOC")], []]
    assert read_spans(output, "sc") == expected
    assert not any(doc.ents for doc in read_docs(output))
    assert report.label_counts == {"LOC": 2, "ORG": 1}
    assert report.n_lines_left_out == {"comment lines": 1}
    assert "words in column 2, tags in column 3 and column 4 of 4; scheme bio; doc.spans['sc']" in report.format_notes()
    convert_columns(source, output, kind="spans", spans_key="x", tag_column="4,3")
    assert read_spans(output, "x")[0] == [("England", "LOC"), ("Bank of England", "ORG")]
    convert_columns(source, output, kind="spans", spans_key="x", tag_column=4, n_sents=3)
    assert read_spans(output, "x") == [[("England", "LOC"), ("London", "LOC")]]
    with pytest.raises(SettingError, match="spans_key"):
        convert_columns(source, output, spans_key="x")


def test_a_comment_that_one_layer_reads_as_a_word(tmp_path: Path) -> None:
    source = tmp_path / "a.conll"
    source.write_text("# B-ORG word\nBank B-ORG O\n\nfilms O B-X\n" * 3)
    with pytest.raises(ColumnFormatError, match=r"line 1: two columns of tags differ in what is a word"):
        convert_columns(source, tmp_path / "a.spacy", kind="spans", tag_column="2,3", word_column=1)
