"""A whole report: its figures against spaCy's, its page, and what it refuses."""

from __future__ import annotations

import json
import re
import shutil
import sys
from datetime import date
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
import spacy
import srsly
from small_checkpoints import TEXTS, make_checkpoint
from spacy.tokens import DocBin
from taught_pipelines import GOLD, make_examples, make_taught_pipeline

from spacy_bertft.errors import DataError, MissingExtraError, SettingError
from spacy_bertft.evaluation.counts import measure_figures
from spacy_bertft.evaluation.evaluate import evaluate
from spacy_bertft.evaluation.report import name_encoder, report
from spacy_bertft.evaluation.tables import format_f1
from spacy_bertft.models.encoder.build import build_bert_encoder

TAGS = {"bert_tagger": [{"tags": [("NOUN", "VERB")[len(word) % 2] for word in text.split()]} for text in TEXTS[:1]]}
# Other answers than those that were taught: a wrong label, a wrong boundary, a spurious one, a missed one.
OTHER = {
    "bert_ner": [
        {"entities": [(19, 33, "TITLE"), (43, 48, "YEAR")]},
        {"entities": [(17, 26, "TITLE")]},
        {"entities": [(4, 12, "<b>NEW</b>")]},
        {"entities": []},
    ],
    "bert_textcat": [*GOLD["bert_textcat"][:3], {"cats": {"film": 1.0, "other": 0.0}}],
    "bert_textcat_multilabel": [{"cats": {"me": 1.0, "the": 0.0}}] * 4,
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory, checkpoint):
    """A pipeline with four heads, another one with the same heads that knows less, and a log next to them."""
    pytest.importorskip("matplotlib")
    folder = tmp_path_factory.mktemp("report")
    make_taught_pipeline(checkpoint, GOLD | TAGS).to_disk(folder / "model-best")
    less = {name: gold[:3] for name, gold in GOLD.items()} | TAGS
    make_taught_pipeline(str(make_checkpoint(folder / "encoder")), less).to_disk(folder / "other")
    nlp = spacy.blank("en")
    docs = [example.reference for example in make_examples(nlp, OTHER["bert_ner"])]
    for doc, *golds in zip(docs, OTHER["bert_textcat"], OTHER["bert_textcat_multilabel"], strict=True):
        doc.cats = {label: value for gold in golds for label, value in gold["cats"].items()}
    DocBin(docs=docs, store_user_data=True).to_disk(folder / "dev.spacy")
    return folder


@pytest.fixture(scope="module")
def written(folder):
    row = {"epoch": 0, "step": 1, "losses": {"bert_ner": 2.5}, "scores": {"ents_f": 12.25}, "score": 0.1225}
    (folder / "log.jsonl").write_text(json.dumps(row) + "\n", encoding="utf-8")
    found = report(folder / "model-best", folder / "dev.spacy", folder / "out.html", against=folder / "other")
    (folder / "log.jsonl").unlink()
    return found


def test_figures_are_those_of_evaluate(folder, written):
    scores = evaluate(folder / "model-best", folder / "dev.spacy").scores
    by_name = {result.component: result for result in written.evaluation.results}
    assert list(by_name) == ["bert_ner", "bert_textcat", "bert_textcat_multilabel", "bert_tagger"]
    entities, tokens = by_name["bert_ner"].levels
    figures = measure_figures(entities.counts, written.resampling)
    np.testing.assert_allclose(figures.shares[0], [scores[f"ents_{key}"] for key in "prf"])
    assert 0 < figures.shares[0, 2] < 1
    for row, label in enumerate(figures.names[2:], start=2):
        per_type = scores["ents_per_type"][label]
        np.testing.assert_allclose(np.nan_to_num(figures.shares[row]), [per_type[key] for key in "prf"])
    accuracy = measure_figures(tokens.accuracy, written.resampling)
    assert accuracy.shares[0, 0] == pytest.approx(scores["ents_token_f"])
    for name in ("bert_textcat", "bert_textcat_multilabel"):
        [level] = by_name[name].levels
        figures, theirs = measure_figures(level.counts, written.resampling), scores["cats_by_component"][name]
        np.testing.assert_allclose(figures.shares[0], [theirs[f"cats_micro_{key}"] for key in "prf"])
        np.testing.assert_allclose(figures.shares[1], [theirs[f"cats_macro_{key}"] for key in "prf"])
        accuracy = measure_figures(level.accuracy, written.resampling)
        assert accuracy.shares[0, 0] == pytest.approx(theirs["cats_accuracy"])
    assert not by_name["bert_tagger"].has_gold
    assert str(written).endswith("Without gold annotation: bert_tagger.")


def test_every_error_type_is_counted(written):
    types = written.evaluation.results[0].error_types
    assert types["TITLE"] == {
        "correct": 0,
        "label": 1,
        "boundary": 1,
        "label and boundary": 0,
        "missed": 0,
        "spurious": 1,
    }
    assert types["YEAR"]["correct"] == 1
    assert types["<b>NEW</b>"]["missed"] == 1


def test_the_page_holds_everything_and_needs_nothing(written):
    page = written.path.read_text(encoding="utf-8")
    for heading in (
        "model-best on dev.spacy",
        "model-best and other",
        "bert_ner",
        "bert_ner: entities",
        "Entities",
        "Tokens",
        "Categories",
        "Confusion matrix",
        "Error types",
        "Reliability",
        "Most confident errors",
        "Lengths of the texts",
        "Learning curve",
    ):
        assert re.search(rf"<h([123])[^>]*>{heading}(?: <small>\w+</small>)?</h\1>", page), heading
    assert 'per text</th><th scope="col">words</th><th scope="col">subword tokens' in page
    assert re.search(r"<p>Tokens with the correct BIO tag, [a-z ]+: [\d.]+ \([\d.]+ to [\d.]+\) %\.</p>", page)
    assert re.search(r"<p>Texts with all labels correct: [\d.]+ \([\d.]+ to [\d.]+\) %\.</p>", page)
    assert "No document has gold tags, so there is nothing to measure." in page
    assert "best 12.25 after 1 step<" in page
    assert '<th scope="row">1</th><td>12.25</td><td>12.25</td><td>2.50</td>' in page
    assert "<script" not in page
    assert not re.search(r"(?:src|href)=\"(?!#)|@import|url\((?!#)|javascript:| on\w+=", page)
    assert "prefers-color-scheme: dark" in page
    assert "<b>NEW" not in page
    assert "&lt;b&gt;NEW&lt;/b&gt;" in page


def test_the_card_sums_up_what_the_tables_say(written):
    page = written.path.read_text(encoding="utf-8")
    [card] = re.findall(r'<section class="card" aria-label="Summary">.*?</section>', page, flags=re.DOTALL)
    entities = measure_figures(written.evaluation.results[0].levels[0].counts, written.resampling)
    share, interval = format_f1(entities)[0].split(" ", 1)
    assert f"<strong>{share}</strong> {interval}, micro average" in card
    assert re.findall(r"<h2>(.*)</h2>", card) == [
        "bert_ner: F1 of entities",
        "bert_textcat: F1 of categories",
        "bert_textcat_multilabel: F1 of categories",
        "Measured",
    ]
    assert "<dt>Weakest labels</dt><dd>&lt;b&gt;NEW&lt;/b&gt; 0.00 (support 1), " in card
    assert len(re.findall(r"<dt>Calibration</dt><dd>[A-Z][^.]+\. Mean probability", card)) == 3
    assert f"<dt>Date</dt><dd>{date.today().isoformat()}</dd>" in card
    assert f"en_pipeline 0.0.0, spacy-bertft 0.1.0, spacy {spacy.__version__}, transformers " in card
    assert re.search(r"<dt>Encoder</dt><dd>[^<,]+/[^<,]+ \(bert, [^<]+\)</dd>", card)


def test_a_copy_of_an_encoder_is_named_by_its_configuration(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = Path(make_checkpoint(tmp_path / "encoder"), "config.json")
    srsly.write_json(path, srsly.read_json(path) | {"_name_or_path": "some/bert"})
    encoder = build_bert_encoder("encoder")
    encoder.initialize()
    assert re.fullmatch(r"encoder, from some/bert \(bert, \d layers of width \d+\)", name_encoder(encoder))
    srsly.write_json(path, srsly.read_json(path) | {"pad_token_id": 1})  # another one since
    assert name_encoder(encoder).startswith("encoder (bert, ")
    shutil.rmtree("encoder")
    assert name_encoder(encoder).startswith("encoder (bert, ")


def test_every_table_says_what_it_shows(written):
    page = written.path.read_text(encoding="utf-8")
    tables = re.findall(r"<table[^>]*>\s*(<[a-z]+)", page)
    assert len(tables) > 15
    assert set(tables) == {"<caption"}


def test_every_heading_is_in_the_contents(written):
    page = written.path.read_text(encoding="utf-8")
    links = re.findall(r'<a href="#(section-\d+)">(.*?)</a>', page)
    headings = re.findall(r'<h[23] id="(section-\d+)">(.*?)(?: <small>.*</small>)?</h[23]>', page)
    assert links == headings
    assert len(links) > 15
    assert page.index("<nav") < page.index("<h2 id")


def test_figures_are_on_the_page_once_and_bars_are_their_intervals(written):
    """No chart repeats a table, but for the details of the learning curve."""
    page = written.path.read_text(encoding="utf-8")
    assert page.count("<svg") == 5  # three of reliability, lengths, learning curve
    [table] = re.findall(r"<table>\s*<caption>F1[^<]*of entities</caption>.*?</table>", page, flags=re.DOTALL)
    figures = measure_figures(written.evaluation.results[0].levels[0].counts, written.resampling)
    bars = re.findall(r'left: ([\d.]+)%; width: ([\d.]+)%"></i><b style="left: ([\d.]+)%', table)
    known = ~np.isnan(figures.shares[:, 2])
    low, width, share = np.array(bars, dtype=float).T / 100
    np.testing.assert_allclose(share, figures.shares[known, 2])
    np.testing.assert_allclose(np.stack([low, low + width], axis=1), figures.intervals[known, 2], atol=1e-9)


def test_the_matrix_holds_the_counts(written):
    page = written.path.read_text(encoding="utf-8")
    [ours, *_] = re.findall(r'<table class="matrix[^"]*">.*?</table>', page, flags=re.DOTALL)
    confusion = written.evaluation.results[0].confusion
    rows = [re.findall(r"<td[^>]*>(\d*)", row) for row in re.findall(r"<tr>.*?</tr>", ours, flags=re.DOTALL)[1:]]
    assert [[int(count or 0) for count in row] for row in rows] == confusion.counts.tolist()
    assert '<th scope="row">spurious</th>' in ours
    assert '<th scope="col">missed</th>' in ours


class Nesting(HTMLParser):
    """Checks that every element is closed where it should be."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []

    def handle_starttag(self, tag, attrs):
        if tag not in ("meta", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_elements_are_closed(written):
    nesting = Nesting()
    nesting.feed(written.path.read_text(encoding="utf-8"))
    nesting.close()
    assert nesting.open == []


def test_pictures_have_ids_of_their_own_and_follow_the_theme(written):
    page = written.path.read_text(encoding="utf-8")
    svgs = re.findall(r"<svg.*?</svg>", page, flags=re.DOTALL)
    assert svgs
    ids = [each for svg in svgs for each in set(re.findall(r' id="([^"]+)"', svg))]
    assert len(ids) == len(set(ids))
    for svg in svgs:
        ElementTree.fromstring(svg)
        assert not re.search(r"#[0-9a-f]{6}\b", svg)
        own = set(re.findall(r' id="([^"]+)"', svg))
        assert set(re.findall(r'(?:href="#|url\(#)([^")]+)', svg)) <= own


@pytest.mark.slow
def test_the_same_seed_gives_the_same_page(folder):
    pages = []
    for seed in (1, 1, 2):
        report(folder / "model-best", folder / "dev.spacy", folder / "b.html", seed=seed, n_resamples=20, n_errors=1)
        pages.append((folder / "b.html").read_text(encoding="utf-8"))
    assert pages[0] == pages[1] != pages[2]
    assert "There is no log of the training run." in pages[0]
    assert (
        len(re.findall("<li><p>", pages[0])) == 3
    )  # one error of each component with probabilities and gold annotation


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"output_path": "a.pdf"}, SettingError, "Expected a name that ends in .html"),
        ({"output_path": "."}, SettingError, "Expected a name that ends in .html"),
        ({"n_errors": -1}, SettingError, "n_errors = -1. Expected 0 or more"),
        ({"n_resamples": 1}, SettingError, "resamples = 1. Expected at least 2"),
        ({"seed": -1}, SettingError, "seed = -1"),
        ({"log_path": "missing.jsonl"}, DataError, "missing.jsonl is no file"),
        ({"data_path": "missing.spacy"}, DataError, "missing.spacy is no file"),
        ({"pipeline": "missing"}, DataError, "missing is no pipeline"),
        ({"against": "missing"}, DataError, "missing is no pipeline"),
    ],
)
def test_what_is_refused(folder, tmp_path, changes, error, message):
    given = {
        "pipeline": folder / "model-best",
        "data_path": folder / "dev.spacy",
        "output_path": tmp_path / "a.html",
    }
    with pytest.raises(error, match=re.escape(message)):
        report(**(given | changes))
    assert not (tmp_path / "a.html").exists()


def test_a_pipeline_without_our_components(folder, tmp_path):
    spacy.blank("en").to_disk(tmp_path / "blank")
    for given in ({"pipeline": tmp_path / "blank"}, {"pipeline": folder / "other", "against": tmp_path / "blank"}):
        with pytest.raises(SettingError, match=r"Expected a pipeline with bert_ner, .*; this has none"):
            report(data_path=folder / "dev.spacy", output_path=tmp_path / "a.html", **given)


def test_another_pipeline_without_such_a_component(folder, tmp_path, checkpoint):
    nlp = make_taught_pipeline(checkpoint, {"bert_ner": GOLD["bert_ner"]})
    nlp.to_disk(tmp_path / "ner")
    with pytest.raises(SettingError, match="Expected a pipeline with one bert_textcat named 'bert_textcat'"):
        report(folder / "model-best", folder / "dev.spacy", tmp_path / "a.html", against=tmp_path / "ner")


def test_documents_without_gold_annotation(folder, tmp_path):
    nlp = spacy.blank("en")
    DocBin(docs=[nlp(text) for text in TEXTS]).to_disk(tmp_path / "plain.spacy")
    with pytest.raises(DataError, match=r"no document has gold categories or entities or tags\. Expected annotated"):
        report(folder / "model-best", tmp_path / "plain.spacy", tmp_path / "a.html")


def test_without_matplotlib_the_extra_is_named(folder, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(MissingExtraError) as caught:
        report(folder / "model-best", folder / "dev.spacy", tmp_path / "a.html")
    assert caught.value.extra == "plot"
