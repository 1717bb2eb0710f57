from __future__ import annotations

from pathlib import Path

import pytest
from spacy.tokens import DocBin

from spacy_bertft.data.conversion import PartReport, list_paths, make_blank, plan_outputs, write_parts
from spacy_bertft.errors import SettingError


def test_one_path_or_several() -> None:
    assert list_paths("a") == list_paths(Path("a")) == list_paths(iter(["a"])) == [Path("a")]


def test_parts_and_their_shares() -> None:
    plan = plan_outputs(
        [Path("a.csv")], Path("x/a.spacy"), {"test": (0.2, None), "dev": (0.1, "d.spacy"), "z": (0, None)}
    )
    assert plan.paths == {"output": Path("x/a.spacy"), "test": Path("x/a-test.spacy"), "dev": Path("d.spacy")}
    assert list(plan.shares.items()) == [("test", 0.2), ("dev", 0.1)]


def test_settings_out_of_range() -> None:
    for name, splits in {"dev_path": {"dev": (0.1, "a.spacy")}, "test_path": {"test": (0, "t.spacy")}}.items():
        with pytest.raises(SettingError) as caught:
            plan_outputs([], Path("a.spacy"), splits)
        assert caught.value.name == name


def test_a_folder_is_not_written_to(tmp_path: Path) -> None:
    (tmp_path / "a-dev.spacy").mkdir()
    with pytest.raises(SettingError, match="it is a directory") as caught:
        plan_outputs([], tmp_path / "a.spacy", {"dev": (0.1, None)})
    assert caught.value.name == "dev_path"


def test_a_part_counts_what_it_is_given(tmp_path: Path) -> None:
    nlp = make_blank("xx")
    plan = plan_outputs([], tmp_path / "a.spacy", {"dev": (0.5, None)})
    docs = [nlp("a b"), nlp("c")]
    reports = write_parts(plan, [docs, []], lambda doc: ["y", "y"] if len(doc) > 1 else [], labels=["z", "x"])
    assert reports == {
        "output": PartReport(tmp_path / "a.spacy", 0, 2, 3, {"x": 0, "y": 2, "z": 0}),
        "dev": PartReport(tmp_path / "a-dev.spacy", 0, 0, 0, {"x": 0, "z": 0}),
    }
    assert [doc.text for doc in DocBin().from_disk(tmp_path / "a.spacy").get_docs(nlp.vocab)] == ["a b", "c"]


def test_no_part_is_written_after_an_error(tmp_path: Path) -> None:
    plan = plan_outputs([], tmp_path / "a.spacy", {"dev": (0.5, None)})
    with pytest.raises(ZeroDivisionError):
        write_parts(plan, [[], [make_blank("xx")("a")]], lambda doc: [str(1 / 0)])
    assert not list(tmp_path.iterdir())
