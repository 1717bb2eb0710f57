from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
from spacy.tokens import DocBin

from spacy_bertft.data.conversion import Conversion, Stream, format_example, write_corpus
from spacy_bertft.data.docs import make_blank
from spacy_bertft.data.files import list_paths
from spacy_bertft.data.packed import PackedDoc, pack_docs
from spacy_bertft.data.reports import PartReport
from spacy_bertft.data.rows import Tally
from spacy_bertft.errors import DataError, SettingError


def test_one_path_or_several() -> None:
    assert list_paths("a") == list_paths(Path("a")) == list_paths(iter(["a"])) == [Path("a")]


def test_parts_and_their_shares() -> None:
    plan = Conversion("a.csv", Path("x/a.spacy"), test=0.2, dev=0.1, dev_path="d.spacy")
    assert plan.paths == {"output": Path("x/a.spacy"), "test": Path("x/a-test.spacy"), "dev": Path("d.spacy")}
    assert list(plan.shares.items()) == [("test", 0.2), ("dev", 0.1)]


def test_settings_out_of_range() -> None:
    for name, settings in {
        "dev_path": {"dev": 0.1, "dev_path": "a.spacy"},
        "test_path": {"test_path": "t.spacy"},
    }.items():
        with pytest.raises(SettingError) as caught:
            Conversion([], Path("a.spacy"), **settings)
        assert caught.value.name == name


def test_a_folder_is_not_written_to(tmp_path: Path) -> None:
    (tmp_path / "a-dev.spacy").mkdir()
    with pytest.raises(SettingError, match="it is a directory") as caught:
        Conversion([], tmp_path / "a.spacy", dev=0.1)
    assert caught.value.name == "dev_path"


def read_items(tally: Tally) -> Iterator[str]:
    for text in ("a b", "c"):
        tally.n_lines += 1
        yield text


@pytest.mark.parametrize("is_stream", [False, True])
@pytest.mark.parametrize("has_labels", [False, True])
def test_parts_count_what_is_in_them(tmp_path: Path, is_stream: bool, has_labels: bool) -> None:
    nlp, tally = make_blank("xx"), Tally()
    plan = Conversion([], tmp_path / "a.spacy", dev=0.5)
    items = Stream(read_items, tally, Tally) if is_stream else list(read_items(tally))
    written = write_corpus(
        plan,
        items,
        partial(pack_docs, partial(map, nlp), lambda doc: ["y", "y"] if len(doc) > 1 else []),
        get_key=str,
        get_labels=(lambda text: [text]) if has_labels else None,
        labels=["z", "x"],
        has_sentences=True,
    )
    texts = {
        name: [doc.text for doc in DocBin().from_disk(written[name].path).get_docs(nlp.vocab)]
        for name in ("output", "dev")
    }
    assert sorted(texts.values()) == [["a b"], ["c"]]
    counts = {"a b": (2, {"x": 0, "y": 2, "z": 0}), "c": (1, {"x": 0, "z": 0})}
    for name, [text] in texts.items():
        n_tokens, labels = counts[text]
        assert written[name] == PartReport(plan.paths[name], 1, 1, n_tokens, labels)
    assert tally.n_lines == 2  # however often they are read


def test_no_part_is_written_after_an_error(tmp_path: Path) -> None:
    nlp = make_blank("xx")
    plan = Conversion([], tmp_path / "a.spacy", dev=0.5)
    with pytest.raises(ZeroDivisionError):
        write_corpus(plan, ["a", "b"], partial(pack_docs, partial(map, nlp), lambda doc: [str(1 / 0)]), get_key=str)
    with pytest.raises(DataError, match=r"no text\. Expected at least one\."):
        write_corpus(Conversion([], tmp_path / "a.spacy"), [], lambda _items, _attrs: [], get_key=str)
    assert not list(tmp_path.iterdir())


def test_a_dry_run_writes_nothing(tmp_path: Path) -> None:
    nlp = make_blank("xx")
    plan = Conversion([], tmp_path / "a.spacy", dev=0.5, dry_run=True)
    written = write_corpus(plan, ["a", "b"], partial(pack_docs, partial(map, nlp), lambda _: []), get_key=str)
    assert (written["example"], written["is_dry_run"], written["output"].n_docs) == ("a", True, 0)
    assert not list(tmp_path.iterdir())


def test_an_example_shows_all_that_is_annotated() -> None:
    doc = PackedDoc(
        ["the", "Bank", "of", "Spain"],
        spans=[(3, 4, "LOC"), (1, 4, "ORG"), (1, 2, "NOUN")],
        tags=["D", "N", "P", "N"],
        cats={"money": 1.0, "sport": 0.5},
    )
    assert format_example(doc) == "the/D [[Bank/N](NOUN) of/P [Spain/N](LOC)](ORG) money=1 sport=0.5"
