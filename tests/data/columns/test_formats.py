"""Every format of words and tags: a small file with its oddities, and the entities of an independent count."""

from __future__ import annotations

import csv
import json
import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from spacy.tokens import DocBin
from spacy.vocab import Vocab
from typer.testing import CliRunner

from spacy_bertft.cli import app
from spacy_bertft.data import convert, convert_columns
from spacy_bertft.errors import ColumnFormatError, DataError, SettingError

Rows = list[list[tuple[str, str]]]  # sentences of words and tags


def read_blocks(text: str, word: int = 0, tag: int = -1, separator: str | None = None) -> Rows:
    """Read lines of columns: no comments, no marks of documents, no ranges."""
    blocks = re.split(r"\n\s*\n", text.replace("\r\n", "\n").strip())
    rows = [
        [line.split(separator) for line in each.split("\n") if not re.match(r"#\s|-DOC|\d+[-.]", line)]
        for each in blocks
    ]
    return [[(cells[word], cells[tag]) for cells in each] for each in rows if each]


def read_inline(text: str) -> Rows:
    return [
        [(token.split("|")[0] or "|", token.split("|")[-1]) for token in line.split()]
        for line in text.split("\n")
        if line
    ]


def read_pair(text: str) -> Rows:
    lines = zip(text.splitlines(), PAIR[1].splitlines(), strict=True)
    return [list(zip(words.split(), tags.split(), strict=True)) for words, tags in lines]


def read_kaggle(text: str) -> Rows:
    sentences: Rows = []
    for row in csv.DictReader(text.splitlines()):
        if row["Sentence #"]:
            sentences.append([])
        sentences[-1].append((row["Word"], row["Tag"]))
    return sentences


def read_lists(text: str) -> Rows:
    rows = [json.loads(line) for line in text.splitlines()]
    names = ["O", "B-PER", "I-PER", "B-ORG"]
    return [
        [
            (word, names[tag] if isinstance(tag, int) else tag)
            for word, tag in zip(row["tokens"], row["ner_tags"], strict=True)
        ]
        for row in rows
        if row["tokens"]
    ]


def count_entities(sentences: Rows) -> Counter[tuple[str, str]]:
    """Count entities by their text and label, as conlleval finds them."""
    found: Counter[tuple[str, str]] = Counter()
    for sentence in sentences:
        words: list[str] = []
        open_label = ""
        for word, tag in [*sentence, ("", "O")]:
            prefix, label = tag.split("-", 1) if re.match("[BILUES]-", tag) else ("I", "" if tag == "O" else tag)
            if words and (prefix in "BUS" or label != open_label):
                found[" ".join(words), open_label] += 1
                words = []
            open_label = label
            words += [word] if label else []
    return found


CONLL03 = (
    "-DOCSTART- -X- -X- O\r\n\r\nEU NNP I-NP I-ORG\r\nrejects VBZ I-VP O\r\nPeter NNP I-NP I-PER\r\n"
    "Bonn NNP I-NP I-ORG\r\nBank NNP I-NP B-ORG\r\n"
)
PLUS = (
    "# global.columns = ID FORM UPOS NER\n1\tAda\tPROPN\tB-PER\n2-3\tim\t_\t_\n2\tin\tADP\tO\n3\tdem\tDET\tO\n"
    "3.1\tx\t_\t_\n"
)
GERMEVAL = (
    "#\thttp://de.wikipedia.org/wiki/A [2009-10-17]\n1\tBank\tB-ORG\tO\n2\tEngland\tI-ORG\tB-LOC\n3\t#\tO\tO\n\n"
    "#\thttp://b [2010]\n1\tdeutsche\tB-LOCderiv\tO\n2\tRom\tB-LOC\tO\n"
)
WIKINEURAL = "0\tAda\tB-PER\n1\tLove\tI-PER\n2\t2\tO\n\n0\tRom\tB-LOC\n"
UNER = "# sent_id = 1\n# text = in Rio\n1\tin\tO\t-\t-\n2\tRio\tB-LOC\t-\tann\n\n# sent_id = 2\n1\tO\tO\t-\t-\n"
MULTICONER = (
    "\n# id 5e-4f\tdomain=en\nhis _ _ O\nsonny _ _ B-Artist\nrollins _ _ I-Artist\n\n# id 7\tdomain=en\nx _ _ O\n"
)
INLINE = "in|IN|O New|NNP|B-LOC York|NNP|I-LOC ||SYM|O\n\nAda|NNP|B-PER Rio|NNP|B-LOC\n"
FEW_NERD = "Paul\tperson-artist\nAnka\tperson-artist\n,\tO\nat\tO\nthe\tO\nRitz\tbuilding-hotel\n\nE-mail\tO\n"
GUM = "He O\nleft O\nthe place\nold place\ncity place\nAda person\n\nnow O\nthen O\nO O\n"
HEADER = "token\tner\tpos\nAda\tB-PER\tNN\nruns\tO\tVB\n\ntoken\tner\tpos\nRio\tB-LOC\tNN\n"
BIOES = "Ada\tS-PER\nNew\tB-LOC\nYork\tE-LOC\nis\tO\n"
WIKIANN = "de:Ada\tB-PER\nde:in\tO\nde::\tO\n\nde:Rio\tB-LOC\n"
KAGGLE = (
    'Sentence #,Word,POS,Tag\nSentence: 1,in,IN,O\n,"London, UK",NNP,B-geo\n,"""",``,O\nSentence: 2,Iran,NNP,B-gpe\n'
    "Sentence: 3,Iran,NNP,B-gpe\n"
)
LISTS = (
    '{"id": "0", "tokens": ["EU", "and", "Ada", "L."], "ner_tags": ["B-ORG", "O", "B-PER", "I-PER"], "chunks": []}\n'
    '{"id": "1", "tokens": [], "ner_tags": [], "chunks": []}\n'
    '{"id": "2", "tokens": ["x"], "ner_tags": ["O"], "chunks": []}\n'
)
NUMBERS = '{"tokens": ["EU", "and", "Ada", "L."], "ner_tags": [3, 0, 1, 2], "pos_tags": [1, 2, 1, 1]}\n'
PAIR = "play some Miles Davis\nhi\n", "O O B-artist I-artist\nO\n"


@pytest.mark.parametrize(
    ("name", "content", "found", "read", "options"),
    [
        ("conll03.txt", CONLL03, "columns", read_blocks, []),
        ("a.conllup", PLUS, "columns", lambda text: read_blocks(text, 1, 3), []),
        ("germeval.tsv", GERMEVAL, "columns", lambda text: read_blocks(text, 1, 2), []),
        ("inner.tsv", GERMEVAL, "columns", lambda text: read_blocks(text, 1, 3), ["--tag-column", "4"]),
        ("wikineural.conllu", WIKINEURAL, "columns", lambda text: read_blocks(text, 1), []),
        ("uner.iob2", UNER, "columns", lambda text: read_blocks(text, 1, 2), []),
        ("multiconer.conll", MULTICONER, "columns", read_blocks, []),
        ("few-nerd.txt", FEW_NERD, "columns", read_blocks, []),
        ("gum.conll", GUM, "columns", read_blocks, []),
        ("header.tsv", HEADER, "columns", lambda text: read_blocks(re.sub("token.*\n", "", text), 0, 1), []),
        ("bioes", BIOES, "columns", read_blocks, []),
        ("wikiann", WIKIANN, "columns", read_blocks, []),
        ("inline.txt", INLINE, "inline", read_inline, []),
        ("kaggle.csv", KAGGLE, "cells", read_kaggle, []),
        ("lists.jsonl", LISTS, "lists", read_lists, []),
        ("numbers.jsonl", NUMBERS, "lists", read_lists, ["--label-names", "names"]),
        ("seq.in", PAIR[0], "pair", read_pair, []),
    ],
)
def test_the_entities_of_an_independent_count(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    content: str,
    found: str,
    read: Callable[[str], Rows],
    options: list[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    Path(name).write_text(content, encoding="utf-8", newline="")
    Path("names").write_text("O\nB-PER\nI-PER\nB-ORG\n")
    Path("seq.out").write_text(PAIR[1])
    result = CliRunner().invoke(app, ["convert", name, "a.spacy", *options])
    assert result.exit_code == 0, result.output
    assert result.stdout.startswith(f"Read as {found}, converted to ents.\n")
    docs = list(DocBin().from_disk("a.spacy").get_docs(Vocab()))
    expected = read(content)
    assert [[token.text for token in doc] for doc in docs] == [[word for word, _ in sentence] for sentence in expected]
    entities = Counter((ent.text, ent.label_) for doc in docs for ent in doc.ents)
    assert entities == count_entities(expected)
    assert entities


@pytest.mark.parametrize(
    ("name", "content", "options", "line", "problem"),
    [
        ("seq.in", "play some Miles\nhi\n", {"file_format": "pair"}, 1, "3 words. Expected 4, as line 1 of"),
        ("seq.in", "play some Miles Davis\n", {"file_format": "pair"}, 2, "0 words. Expected 1, as line 2 of"),
        ("a.jsonl", NUMBERS, {"file_format": "lists"}, 1, "the tag in 'ner_tags' is the number 3. Pass --label-names"),
        ("a.jsonl", NUMBERS, {"file_format": "lists", "label_names": "two"}, 1, "Expected a number below 2."),
        (
            "a.jsonl",
            '{"text": "a"}\n',
            {"file_format": "lists"},
            1,
            "no field is a list of words. Expected one of form",
        ),
        (
            "a.jsonl",
            '{"tokens": ["a"], "tags": ["O"]}\n{"tokens": ["a"], "tags": []}\n',
            {"file_format": "lists"},
            2,
            "tokens, tags are not lists of one length. Expected a tag for each word.",
        ),
        ("a.jsonl", '{"tokens": [" "], "tags": ["O"]}\n', {"file_format": "lists"}, 1, "has no word"),
        (
            "a.jsonl",
            '{"tokens": ["a", null], "tags": ["O", "O"]}\n',
            {"file_format": "lists"},
            1,
            "tags is null. Expected",
        ),
        ("a.jsonl", '{"tokens": ["a"], "tags": [null]}\n', {"file_format": "lists"}, 1, "tags is null. Expected"),
        ("a.csv", "word,tag\na,O\n", {"file_format": "cells"}, 2, "no column names the sentences. Expected one such"),
        ("a.csv", "sentence_id,word,tag\n1,a,O\n1,,O\n", {"file_format": "cells"}, 3, "has no word"),
        ("a.txt", "a|O b|B-X\nc\n", {"file_format": "inline"}, 2, "'c' has 1 column"),
    ],
)
def test_files_that_contradict_themselves(
    tmp_path: Path, name: str, content: str, options: dict[str, str], line: int, problem: str
) -> None:
    source, names = tmp_path / name, tmp_path / "two"
    source.write_text(content)
    source.with_suffix(".out").write_text(PAIR[1])
    names.write_text("O\nB-X\n")
    if "label_names" in options:
        options = {**options, "label_names": str(names)}
    with pytest.raises(ColumnFormatError) as caught:
        convert_columns(source, tmp_path / "a.spacy", **options)
    assert (caught.value.line, problem in str(caught.value)) == (line, True), str(caught.value)
    assert not (tmp_path / "a.spacy").exists()


def test_intents_of_a_pair(tmp_path: Path) -> None:
    source, labels = tmp_path / "seq.in", tmp_path / "label"
    source.write_text("play some Miles Davis\n\nhi\n")
    source.with_suffix(".out").write_text("O O B-artist I-artist\n\nO\n")
    labels.write_text("PlayMusic\nNone\nGreet\n")
    report = convert(source, tmp_path / "a.spacy")
    docs = list(DocBin().from_disk(tmp_path / "a.spacy").get_docs(Vocab()))
    assert [[label for label, value in doc.cats.items() if value] for doc in docs] == [["PlayMusic"], ["Greet"]]
    assert [doc.cats.keys() for doc in docs] == [{"Greet", "None", "PlayMusic"}] * 2
    assert report.counts == {"intents of sentences, in doc.cats": 3}
    assert (report.label_counts, report.file_format) == ({"artist": 1}, "pair")
    with pytest.raises(SettingError, match="n_sents = 2"):
        convert(source, tmp_path / "a.spacy", n_sents=2)
    for wrong in ("PlayMusic\nNone\n", "a\nb\nc\nd\n", "a\n\nc\n", ""):
        labels.write_text(wrong)
        with pytest.raises(ColumnFormatError, match=r"Expected an intent for each of the 3 lines of .*seq\.in"):
            convert(source, tmp_path / "a.spacy")


def test_sentences_of_a_pair_without_intents_next_to_others(tmp_path: Path) -> None:
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "seq.in").write_text("hi\n")
        (tmp_path / folder / "seq.out").write_text("O\n")
    (tmp_path / "a" / "label").write_text("Greet\n")
    convert([tmp_path / "a" / "seq.in", tmp_path / "b" / "seq.in"], tmp_path / "a.spacy")
    assert [doc.cats for doc in DocBin().from_disk(tmp_path / "a.spacy").get_docs(Vocab())] == [{"Greet": 1}, {}]


def test_numbers_of_sentences_that_begin_anew_in_each_document(tmp_path: Path) -> None:
    rows = "doc_id,doc_token,sentence_id,word,tag\n1,1,1,Ada,B-PER\n,2,1,runs,O\n2,1,1,Rio,B-LOC\n,2,2,burns,O\n"
    (tmp_path / "a.csv").write_text(rows)
    convert(tmp_path / "a.csv", tmp_path / "a.spacy")
    docs = DocBin().from_disk(tmp_path / "a.spacy").get_docs(Vocab())
    assert [doc.text.split() for doc in docs] == [["Ada", "runs"], ["Rio"], ["burns"]]


def test_a_table_and_columns_are_not_read_together(tmp_path: Path) -> None:
    (tmp_path / "a.conll").write_text("Ada B-PER\nran O\n")
    (tmp_path / "b.csv").write_text(KAGGLE)
    with pytest.raises(DataError, match=r"a\.conll is columns, but .*b\.csv is cells\. Expected files of one kind"):
        convert([tmp_path / "a.conll", tmp_path / "b.csv"], tmp_path / "a.spacy")


def test_names_of_numbers_are_for_lists(tmp_path: Path) -> None:
    (tmp_path / "a.conll").write_text("Ada 1\nran 0\n")
    with pytest.raises(SettingError, match=r"label_names = .* Expected none here"):
        convert(tmp_path / "a.conll", tmp_path / "a.spacy", kind="tags", label_names=["O", "B-PER"])


def test_both_files_of_a_pair_may_be_named(tmp_path: Path) -> None:
    source, tags = tmp_path / "seq.in", tmp_path / "seq.out"
    source.write_text(PAIR[0])
    tags.write_text(PAIR[1])
    assert convert_columns([source, tags], tmp_path / "a.spacy", file_format="pair").label_counts == {"artist": 1}


def test_sentences_without_words_are_counted(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text(LISTS)
    report = convert_columns(tmp_path / "a.jsonl", tmp_path / "a.spacy", file_format="lists")
    assert (report.n_sentences, report.n_lines, report.n_lines_left_out) == (2, 3, {"empty sentences": 1})


def test_other_lists_may_have_as_many_elements_by_chance(tmp_path: Path) -> None:
    first, second = {"tokens": ["x"], "tags": ["O"], "topics": ["a"]}, {"tokens": ["Rio", "x"], "tags": ["B-LOC", "O"]}
    (tmp_path / "a.jsonl").write_text("\n".join(map(json.dumps, (first, {**second, "topics": []}))))
    assert convert_columns(tmp_path / "a.jsonl", tmp_path / "a.spacy", file_format="lists").label_counts == {"LOC": 1}


def test_inner_and_outer_entities_are_spans(tmp_path: Path) -> None:
    (tmp_path / "a.tsv").write_text(GERMEVAL)
    report = convert_columns(tmp_path / "a.tsv", tmp_path / "a.spacy", kind="spans")
    assert report.label_counts == {"LOC": 2, "LOCderiv": 1, "ORG": 1}


def test_tags_of_other_formats(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text(INLINE)
    report = convert_columns(tmp_path / "a.txt", tmp_path / "a.spacy", kind="tags", file_format="inline", tag_column=2)
    assert report.label_counts == {"IN": 1, "NNP": 4, "SYM": 1}


def test_labels_without_prefixes_may_be_asked_for(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("Ada X-person\nLove X-person\nRio place\n")
    report = convert_columns(tmp_path / "a", tmp_path / "a.spacy", scheme="bare")
    assert (report.scheme, report.label_counts) == ("bare", {"X-person": 1, "place": 1})


def test_the_language_in_front_of_words_is_reported_and_removed(tmp_path: Path) -> None:
    source, output = tmp_path / "a", tmp_path / "a.spacy"
    source.write_text(WIKIANN + "de:\tO\n")
    report = convert_columns(source, output)
    assert "every word with 'de:' in front (--fix removes it)" in report.format_notes()
    convert_columns(source, output, fix=True)
    docs = DocBin().from_disk(output).get_docs(Vocab())
    assert [[token.text for token in doc] for doc in docs] == [["Ada", "in", ":"], ["Rio", "de:"]]


@pytest.mark.parametrize(
    ("name", "content", "file_format"),
    [
        ("a.bio", "Zoë B-PER\nx O\n", None),
        ("a.txt", "Zoë|B-PER x|O\n", "inline"),
        ("a.csv", "sentence_id,word,tag\n1,Zoë,B-PER\n1,x,O\n", "cells"),
        ("a.json", '[{"tokens": ["Zoë", "x"], "tags": ["B-PER", "O"]}]', "lists"),
        ("a.in", "Zoë x\n", "pair"),
    ],
)
def test_other_encodings(tmp_path: Path, name: str, content: str, file_format: str | None) -> None:
    source, output = tmp_path / name, tmp_path / "a.spacy"
    source.write_bytes(content.encode("latin-1"))
    (tmp_path / "a.out").write_text("B-PER O\n")
    if name != "a.json":
        with pytest.raises(ColumnFormatError, match="--encoding"):
            convert_columns(source, output, file_format=file_format)
    convert_columns(source, output, file_format=file_format, encoding="latin-1")
    [doc] = DocBin().from_disk(output).get_docs(Vocab())
    assert [(ent.text, ent.label_) for ent in doc.ents] == [("Zoë", "PER")]


def list_documented() -> list[tuple[str, list[str]]]:
    """List the examples and commands of the table of words and tags; of a pair of files there is no whole example."""
    page = (Path(__file__).parents[3] / "docs/how-to/convert.md").read_text(encoding="utf-8")
    section = page.split("## Entities from column files")[1].split("## Tags")[0]
    rows = [re.split(r"(?<!\\)\|", line)[2:4] for line in section.splitlines() if line.startswith("| ")][1:]
    cells = [(re.findall("`([^`]+)`", example.replace("\\|", "|")), command.split("`")[1]) for example, command in rows]
    return [("\n".join(lines) + "\n", command.split()) for lines, command in cells if "seq.in" not in command]


@pytest.mark.parametrize(("example", "command"), list_documented())
def test_the_documented_commands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, example: str, command: list[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path(command[1]).write_text(example, encoding="utf-8")
    result = CliRunner().invoke(app, command)
    assert result.exit_code == 0, result.output
    [doc, *_] = DocBin().from_disk(command[2]).get_docs(Vocab())
    assert doc.ents or doc[0].tag_
    assert not doc.text.startswith("de:")
