"""Pipelines that earlier versions have saved, one folder for each format, load and answer as they did."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import srsly
from saved_pipelines import ASKED, check, save

from spacy_bertft.models.store.shim import FORMAT

SAVED = sorted((Path(__file__).parent / "saved").glob("format-*/*"))
# spaCy advises against what another of its versions has saved; it is what is tested here.
pytestmark = [pytest.mark.stock, pytest.mark.filterwarnings("ignore:\\[W095\\]:UserWarning")]


@pytest.mark.parametrize("folder", SAVED, ids=lambda folder: f"{folder.parent.name}-{folder.name}")
def test_it_answers_as_it_did(folder):
    check(folder)


def test_every_format_is_here():
    assert {folder.parent.name for folder in SAVED} == {f"format-{number}" for number in range(1, FORMAT + 1)}


def test_the_answers_say_something():
    for folder in SAVED:
        answers = srsly.read_json(folder / "answers.json")
        assert [answer["text"] for answer in answers] == ASKED
        assert {label for answer in answers for *_, label in answer["entities"]} == {"ACTOR", "TITLE", "YEAR"}
        assert {tag for answer in answers for tag in answer["tags"]} >= {"EVEN", "ODD"}
        assert {label for answer in answers for label in answer["cats"]} == {"film", "other", "the"}


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    folder = tmp_path_factory.mktemp("saved")
    save(folder)
    check(folder)
    return folder


@pytest.mark.parametrize("kind", ["entities", "tags", "cats", "scores"])
def test_another_answer_is_noticed(kind, saved, tmp_path):
    shutil.copytree(saved, tmp_path, dirs_exist_ok=True)
    answers = srsly.read_json(tmp_path / "answers.json")
    answers[0][kind] = [score + 1e-4 for score in answers[0][kind]] if kind == "scores" else answers[0][kind][:-1]
    srsly.write_json(tmp_path / "answers.json", answers)
    noticed = "Not equal to tolerance" if kind == "scores" else rf"\('{ASKED[0]}', '{kind}'\)"
    with pytest.raises(AssertionError, match=noticed):
        check(tmp_path)
