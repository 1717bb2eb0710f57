from __future__ import annotations

import re
from importlib.util import find_spec

import pytest
import spacy
from small_checkpoints import TEXTS, make_checkpoint
from spacy.tokens import DocBin
from typer.testing import CliRunner

from spacy_bertft.cli import app
from spacy_bertft.exchange.import_hf import import_hf


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory):
    folder = tmp_path_factory.mktemp("explain")
    names = {"id2label": {0: "film", 1: "other"}}
    import_hf(str(make_checkpoint(folder / "hf", "bert", 2, "text", **names)), folder / "pipeline")
    return str(folder / "pipeline")


def invoke(*arguments):
    return CliRunner().invoke(app, ["explain", *map(str, arguments)], env={"COLUMNS": "120"})


@pytest.mark.parametrize(
    "options",
    [
        ("--method", "attention"),
        ("--method", "rollout", "--target", "film"),
        pytest.param(
            ("--steps", "8", "--component", "textcat"),
            marks=pytest.mark.skipif(find_spec("captum") is None, reason="needs the extra explain"),
        ),
    ],
)
def test_words_and_weights_where_no_colours_are_seen(pipeline, options):
    done = invoke(pipeline, TEXTS[0], *options)
    assert done.exit_code == 0, done.output
    rows = re.findall(r"^ ?(\S+) +([+-]?\d\.\d{4}) *$", done.stdout, flags=re.MULTILINE)
    assert [word for word, _ in rows] == TEXTS[0].split()
    assert re.match(r"^(film|other), \d+\.\d % \(textcat, (attention|rollout|gradients)\); ", done.stdout)
    assert ("completeness gap" in done.stdout) == ("--steps" in options)


def test_a_page_of_a_file(pipeline, tmp_path):
    nlp = spacy.blank("en")
    docs = [nlp.make_doc(text) for text in TEXTS]
    for number, doc in enumerate(docs):
        doc.cats = {"film": float(number % 2), "other": float(number % 2 == 0)}
    DocBin(docs=docs).to_disk(tmp_path / "gold.spacy")
    done = invoke(
        pipeline, tmp_path / "gold.spacy", "--method", "attention", "--html", tmp_path / "out.html", "--limit", 2
    )
    assert done.exit_code == 0, done.output
    assert "Predictions explained: 2, in" in done.stdout
    assert (tmp_path / "out.html").read_text(encoding="utf-8").count("<section>") == 2
    printed = invoke(pipeline, tmp_path / "gold.spacy", "--method", "attention")
    assert len(re.findall(r"^predicted (?:film|other), gold (?:film|other): ", printed.stdout, re.MULTILINE)) == 5


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (("show", "--method", "attention", "--limit", "3"), "limit = 3. Expected none for a single text"),
        (("show", "--method", "attention", "--steps", "3"), "steps = 3. Expected none with this method"),
        (("show", "--method", "attention", "--target", "FILM"), "target = 'FILM'. Expected one of film, other."),
        (("none.spacy", "--method", "attention"), "none.spacy: no such file. Expected the path of a file."),
        (("show", "--method", "attention", "--html", "out.pdf"), "Expected a file whose name ends in .html."),
    ],
)
def test_an_error_is_one_line(pipeline, arguments, problem):
    done = invoke(pipeline, *arguments)
    assert done.exit_code == 1
    assert re.fullmatch(r"Error: .*\n", done.stderr)
    assert problem in done.stderr


def test_a_missing_extra_is_named(pipeline, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "captum.attr", None)
    done = invoke(pipeline, "show")
    assert done.exit_code == 1
    assert done.stderr == (
        "Error: The method gradients needs an extra. Install it with: pip install 'spacy-bertft[explain]'\n"
    )
