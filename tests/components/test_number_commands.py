"""What commands say of numbers: one trained pipeline, and a file with gold values."""

from __future__ import annotations

import json
import re

import pytest
import spacy
from commands import run
from small_checkpoints import TEXTS
from spacy.tokens import DocBin
from text_pipelines import make_pipeline

from spacy_bertft.active.suggest import suggest
from spacy_bertft.components.calibration import configure_calibrate
from spacy_bertft.data import convert_texts, measure_corpus
from spacy_bertft.demo.page import Question, format_column
from spacy_bertft.errors import ColumnFormatError, DataError, SettingError
from spacy_bertft.evaluation.calibrate import calibrate
from spacy_bertft.evaluation.evaluate import evaluate
from spacy_bertft.evaluation.report import report
from spacy_bertft.exchange.extend import extend
from spacy_bertft.explanation.pipeline import explain
from spacy_bertft.recipes import init_config

NUMBERS = {text: {"price": 1000.0 * i, "stars": float(i % 3)} for i, text in enumerate(TEXTS)}


@pytest.fixture(scope="module")
def folder(checkpoint, tmp_path_factory):
    """Give a folder with a trained pipeline, and its texts as `convert` writes them."""
    folder = tmp_path_factory.mktemp("numbers")
    make_pipeline(checkpoint, "bert_regressor", n_steps=60, cats=NUMBERS).to_disk(folder / "model")
    rows = [{"text": text, **numbers} for text, numbers in NUMBERS.items()]
    (folder / "data.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    convert_texts(folder / "data.jsonl", folder / "data.spacy", number_columns="price,stars")
    return folder


def read_cats(path):
    return [doc.cats for doc in DocBin().from_disk(path).get_docs(spacy.blank("en").vocab)]


# convert


def test_a_file_like_that_of_the_sts_benchmark(tmp_path):
    """Columns by number, no header, quotes that are text, rows of two lengths."""
    lines = ['a\tb\t2012\t1\t5.000\tA "plane.\tAn air plane.', "a\tb\t2012\t2\t0.5\tA man.\tA flute.\tsource\tother"]
    (tmp_path / "sts.csv").write_text("\n".join(lines), encoding="utf-8")
    columns = ["--number-columns", "5=similarity", "--text-column", "6", "--second-text-column", "7"]
    options = ["--as", "numbers", "--format", "tsv", "--no-header", "--no-quoting", *columns]
    output = run("spacy_bertft", "convert", "sts.csv", "sts.spacy", *options, "--ragged", cwd=tmp_path)
    assert "similarity from 0.5 to 5, mean 2.75" in " ".join(output.split())
    docs = list(DocBin().from_disk(tmp_path / "sts.spacy").get_docs(spacy.blank("en").vocab))
    assert [doc.cats for doc in docs] == [{"similarity": 5.0}, {"similarity": 0.5}]
    assert [span.text for span in docs[0].spans["text_pair"]] == ['A "plane.', "An air plane."]
    refused = run("spacy_bertft", "convert", "sts.csv", "sts.spacy", *options, cwd=tmp_path, code=1)
    assert "line 2: the row has 9 cells" in " ".join(refused.split())


def test_cells_without_a_number_are_not_known(tmp_path):
    path, out = tmp_path / "a.csv", tmp_path / "a.spacy"
    path.write_text("text,x,y\na,1e3,\nb,,-2\nc,,\n", encoding="utf-8")
    report = convert_texts(path, out, number_columns={"x": "x", "y": "why"})
    assert read_cats(out) == [{"x": 1000.0}, {"why": -2.0}]
    assert report.n_lines_left_out == {"rows without a number": 1}
    assert measure_corpus(out, kind="numbers").label_counts == {"why": 1, "x": 1}


@pytest.mark.parametrize("cell", ["nan", "1_000", "3.5 €", "inf", '"1,5"'])
def test_cells_that_are_no_number(tmp_path, cell):
    path = tmp_path / "a.csv"
    path.write_text(f"text,x\na,1\nb,{cell}\n", encoding="utf-8")
    with pytest.raises(ColumnFormatError, match="line 3: the number 'x' is"):
        convert_texts(path, tmp_path / "a.spacy", number_columns="x")


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({"number_columns": "2"}, "a name for column 2 too"),
        ({"number_columns": "x,text=x"}, "different columns and names"),
        ({"number_columns": "x", "label_column": "y"}, "label_column = 'y'"),
        ({"number_columns": "x", "first_label": 1}, "first_label = 1"),
        ({"number_columns": "z"}, "there is no column 'z'"),
        ({"number_columns": "x=x,y=y", "ragged": True}, "line 3: there is no column 'y'"),
    ],
)
def test_settings_that_do_not_fit(tmp_path, settings, problem):
    path = tmp_path / "a.csv"
    path.write_text("text,x,y\na,1,2\nb,3\n" if "ragged" in settings else "text,x,y\na,1,2\n", encoding="utf-8")
    with pytest.raises((SettingError, ColumnFormatError), match=problem):
        convert_texts(path, tmp_path / "a.spacy", **settings)


def test_a_field_that_is_in_no_line(folder, tmp_path):
    with pytest.raises(DataError, match="no row has a value of z"):
        convert_texts(folder / "data.jsonl", tmp_path / "a.spacy", number_columns="price,z")


def test_number_columns_are_for_numbers(folder):
    for kind, options in (("cats", ["--number-columns", "price"]), ("numbers", [])):
        output = run("spacy_bertft", "convert", "data.jsonl", "x.spacy", "--as", kind, *options, cwd=folder, code=1)
        assert "number_columns" in output


# What is trained


@pytest.mark.slow
def test_evaluate_and_report(folder, tmp_path):
    evaluation = evaluate(folder / "model", folder / "data.spacy", tmp_path / "scores.json")
    [rows] = evaluation.format_tables()
    assert [row[0] for row in rows] == ["bert_regressor", "price", "stars"]
    scores = json.loads((tmp_path / "scores.json").read_text())
    assert scores["numbers_pearson"] > 0.9
    assert rows[1][1] == f"{100 * scores['numbers_per_type']['price']['pearson']:.2f}"
    with pytest.raises(SettingError, match="no multi-label categories"):
        evaluate(folder / "model", folder / "data.spacy", threshold=0.5)
    page = tmp_path / "page.html"
    found = report(folder / "model", folder / "data.spacy", page, against=folder / "model", n_resamples=20)
    assert [row[0] for row in found.format_rows()] == ["", "bert_regressor, price", "bert_regressor, stars"]
    html = page.read_text(encoding="utf-8")
    assert "Largest errors" in html
    assert "price: predicted" in html
    assert "Pearson's correlation of price" in html.replace("&#39;", "'")


@pytest.mark.slow
def test_calibration_is_refused(folder):
    with pytest.raises(SettingError, match="one with bert_ner, bert_"):
        calibrate(folder / "model", folder / "data.spacy")
    with pytest.raises(SettingError, match="no component of the pipeline gives probabilities"):
        configure_calibrate(folder / "data.spacy")(spacy.load(folder / "model"))
    with pytest.raises(SettingError, match="this has none"):
        suggest(folder / "model", folder / "data.jsonl")


@pytest.mark.slow
def test_explain(folder):
    for method in ("attention", "gradients"):
        if method == "gradients":
            pytest.importorskip("captum")
        [section] = explain(folder / "model", TEXTS[3], method=method)
        found = [attribution for _, attribution in section.entries]
        assert [each.target for each in found] == ["price", "stars"]
        value = spacy.load(folder / "model")(TEXTS[3]).cats["price"]
        assert found[0].value == pytest.approx(found[0].score, rel=1e-3) == pytest.approx(value, rel=1e-3)
        assert found[0].headline.startswith("price ")
    assert found[0].completeness_gap < 0.05
    largest, smallest = explain(folder / "model", str(folder / "data.spacy"), target="price", method="attention")
    assert (largest.heading, smallest.heading) == ("Largest errors", "Smallest errors")
    assert (len(largest.entries), len(smallest.entries)) == (3, 2)
    assert "price: predicted" in largest.entries[0][0]


@pytest.mark.slow
def test_annotate_and_the_demo(folder):
    run("spacy_bertft", "annotate", "model", "data.jsonl", "annotated", cwd=folder)
    [path] = (folder / "annotated").glob("*.jsonl")
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    nlp = spacy.load(folder / "model")
    assert rows[4]["cats"] == pytest.approx(nlp(TEXTS[4]).cats, rel=1e-4)
    column = format_column("model", nlp, Question(TEXTS[4], None))
    assert f"<td>{nlp(TEXTS[4]).cats['price']:.4g}</td>" in column


@pytest.mark.slow
def test_extend_teaches_a_new_number(folder, tmp_path):
    (tmp_path / "new.jsonl").write_text("\n".join(json.dumps({"text": t, "size": i}) for i, t in enumerate(TEXTS)))
    convert_texts(tmp_path / "new.jsonl", tmp_path / "new.spacy", number_columns="size")
    result = extend(folder / "model", tmp_path / "new.spacy", tmp_path / "out", epochs=2)
    assert (result.added, result.never_predicted) == (("size",), ())
    cats = spacy.load(tmp_path / "out")(TEXTS[0]).cats
    assert cats["price"] == pytest.approx(spacy.load(folder / "model")(TEXTS[0]).cats["price"], abs=600)
    assert cats["size"] == pytest.approx(2.0, abs=1.0)  # begins at the mean


@pytest.mark.slow
def test_debug_data(folder, checkpoint):
    init_config("regressor", folder / "numbers.cfg", encoder=checkpoint)
    paths = ["--paths.train", "data.spacy", "--paths.dev", "data.spacy"]
    output = run("spacy_bertft", "debug-data", "numbers.cfg", *paths, cwd=folder, code=1)  # of few documents
    assert "Numbers (bert_regressor)" in output
    assert re.search(r"price +training +5 +2000 +1414 +0 +4000", output)
