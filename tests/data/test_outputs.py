from __future__ import annotations

from pathlib import Path

import pytest
from spacy.tokens import DocBin

from spacy_bertft.data.conversion import PartReport, PartWriter, list_paths, make_blank, plan_outputs
from spacy_bertft.errors import SettingError
from spacy_bertft.output import replace_when_done


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
    with pytest.raises(SettingError, match="a folder stands there") as caught:
        plan_outputs([], tmp_path / "a.spacy", {"dev": (0.1, None)})
    assert caught.value.name == "dev_path"


def test_a_part_counts_what_it_is_given(tmp_path: Path) -> None:
    nlp = make_blank("xx")
    writer = PartWriter(tmp_path / "a.spacy")
    writer.add(nlp("a b"), ["y", "y"])
    writer.add(nlp("c"), [])
    with replace_when_done(writer.path) as path:
        report = writer.write(path, labels=["z", "x"])
        assert not report.path.exists()
    assert report == PartReport(tmp_path / "a.spacy", 0, 2, 3, {"x": 0, "y": 2, "z": 0})
    assert [doc.text for doc in DocBin().from_disk(report.path).get_docs(nlp.vocab)] == ["a b", "c"]
