"""Hand-made results of a cross-validation, with planted label errors."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import srsly
from hypothesis import given, settings
from hypothesis import strategies as st
from spacy.tokens import Doc, DocBin, Span
from spacy.vocab import Vocab
from thinc.api import Config
from typer.testing import CliRunner

from spacy_bertft.cli import app
from spacy_bertft.components.entity_scores import write_entities
from spacy_bertft.cross_validation.audit import audit
from spacy_bertft.cross_validation.problems import Problem, compute_score, score_problems
from spacy_bertft.data import convert
from spacy_bertft.distillation.teachers import TagTargets, hash_words
from spacy_bertft.errors import DataError, SettingError
from spacy_bertft.tags.forward_backward import build_free_chain
from spacy_bertft.tags.schemes import TagSpan, write_tags

VOCAB = Vocab()
TAGS = ("O", "B-X", "I-X", "B-Y", "I-Y")
WORDS = ["a", "b", "c", "d", "e"]
X, Y, LONG_X = (1, 3, "X"), (1, 3, "Y"), (1, 4, "X")


def make_doc(spans=(), default="outside", **more) -> Doc:
    doc = Doc(VOCAB, words=WORDS, **more)
    doc.set_ents([Span(doc, *span) for span in spans], default=default)
    return doc


def spread(columns, n_columns: int, prob: float) -> np.ndarray:
    """Give one column of each row a probability, and the others the same share of the rest."""
    probs = np.full((len(columns), n_columns), (1 - prob) / (n_columns - 1))
    probs[np.arange(len(columns)), columns] = prob
    return probs


def write(folder: Path, gold: list[Doc], predicted: list[Doc], probs: np.ndarray, tags=TAGS, **section) -> Path:
    """Write what crossval writes."""
    for name, docs in (("gold", gold), ("predicted", predicted)):
        folder.mkdir(exist_ok=True)
        DocBin(docs=docs, store_user_data=True).to_disk(folder / f"{name}.spacy")
    n_tokens = np.array([len(doc) for doc in predicted])
    scores, words = np.log(probs).astype("f"), hash_words(predicted)
    TagTargets(tags, build_free_chain(len(tags)), scores, n_tokens, words).write(folder / "head.npz")
    model = folder / "fold-1" / "model-last"
    model.mkdir(parents=True, exist_ok=True)
    section = {"factory": "bert_ner", **section}
    Config({"nlp": {"pipeline": ["head"]}, "components": {"head": section}}).to_disk(model / "config.cfg")
    srsly.write_json(model / "meta.json", {"labels": {"head": ["X", "Y"]}})
    return folder


def write_entity_folder(folder: Path, gold: list, predicted: list, probs=None, default="outside") -> Path:
    """Write a folder of documents with these entities, each tag predicted with a probability of its document."""
    docs, rows = [], []
    for spans, prob in zip(predicted, probs or [0.9] * len(gold), strict=True):
        doc = make_doc(spans)
        write_entities(doc, "head", [(ent, prob) for ent in doc.ents])
        docs.append(doc)
        tags = write_tags([TagSpan(*span) for span in spans], len(WORDS))
        rows.append(spread([TAGS.index(tag) for tag in tags], len(TAGS), prob))
    return write(folder, [make_doc(spans, default) for spans in gold], docs, np.concatenate(rows))


@given(st.lists(st.sampled_from([(), (X,), (Y,), (LONG_X,), ((0, 1, "X"), Y)]), min_size=1, max_size=4))
@settings(max_examples=10)
def test_nothing_where_all_is_as_predicted(tmp_path_factory, docs):
    report = audit(write_entity_folder(tmp_path_factory.mktemp("same"), docs, docs))
    assert report.problems == ()
    assert report.n_docs == len(docs)


@pytest.mark.parametrize(
    ("gold", "predicted", "kind"),
    [
        ([], [X], "missing"),
        ([X], [], "spurious"),
        ([X], [LONG_X], "boundary"),
        ([LONG_X], [(1, 2, "X"), (3, 4, "X")], "boundary"),
        ([X], [Y], "label"),
        ([(0, 2, "X"), (4, 5, "Y")], [Y, (4, 5, "Y")], "label and boundary"),
    ],
)
def test_planted_problems_have_their_kind(tmp_path, gold, predicted, kind):
    usual = [[X, (4, 5, "Y")]] * 8
    report = audit(write_entity_folder(tmp_path / "cv", [*usual, gold], [*usual, predicted]))
    [problem] = report.reported
    assert (problem.doc, problem.kind, problem.component) == (8, kind, "head")
    assert {*problem.gold} == {TagSpan(*span) for span in gold if span not in predicted}
    assert {*problem.predicted} == {TagSpan(*span) for span in predicted if span not in gold}
    assert report.format_rows()[:2] == [("", kind), ("all", "1")]
    assert "differ in 1 place, of which by confident learning 1 are probable label errors" in report.format_notes()


def test_what_another_component_has_found_is_no_problem(tmp_path):
    folder = write_entity_folder(tmp_path / "cv", [[X, (4, 5, "Y")], [X]], [[X], [Y]])
    docs = list(DocBin(store_user_data=True).from_disk(folder / "predicted.spacy").get_docs(VOCAB))
    docs[0].set_ents([Span(docs[0], *span) for span in (X, (4, 5, "Y"))])
    DocBin(docs=docs, store_user_data=True).to_disk(folder / "predicted.spacy")
    assert [problem.doc for problem in audit(folder).problems] == [1]


def test_the_more_probable_the_prediction_the_higher_the_rank(tmp_path):
    probs = [0.6, 0.99, 0.8, 0.7]
    report = audit(write_entity_folder(tmp_path / "cv", [[X]] * 4, [[Y]] * 4, probs), limit=3)
    assert [problem.doc for problem in report.problems] == [1, 2, 3, 0]
    assert [problem.doc for problem in report.reported] == [1, 2, 3]
    assert all(0 <= problem.score <= 1 for problem in report.problems)


@given(st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=1), st.integers(0), st.floats(0, 1))
def test_the_score_falls_with_the_probability_of_the_annotation(pairs, place, factor):
    gold, predicted = np.array(pairs).T
    place %= len(gold)
    less = gold.copy()
    less[place] *= factor
    assert 0 <= compute_score(gold, predicted) <= compute_score(less, predicted) <= 1


@given(st.integers(0, 1000))
def test_confident_predictions_are_those_of_the_definition(seed):
    rng = np.random.default_rng(seed)
    probs = rng.dirichlet([1, 1, 1], size=12)
    gold, predicted = rng.integers(-1, 3, size=12).tolist(), probs.argmax(axis=1).tolist()
    found = [(Problem(row, "head", "category", (), ()), [row]) for row in range(12)]
    scored = {each.doc: each for each in score_problems(found, probs, gold, predicted, "xyz")}
    assert [*scored] == [row for row in range(12) if gold[row] >= 0]
    for row, each in scored.items():
        own = [probs[other, predicted[row]] for other in range(12) if gold[other] == predicted[row]]
        assert each.is_confident == (bool(own) and probs[row, predicted[row]] >= sum(own) / len(own) - 1e-12)
        assert each.score == pytest.approx((1 + probs[row, predicted[row]] - probs[row, gold[row]]) / 2)


def test_missing_annotation_is_no_problem(tmp_path):
    report = audit(write_entity_folder(tmp_path / "cv", [[], [X]], [[X], [X, (4, 5, "Y")]], default="missing"))
    assert report.problems == ()


def test_entities_that_do_not_fit_the_tokens_are_counted(tmp_path):
    predicted, whole = (Doc(VOCAB, words=["a b", "c", "d"]) for _ in range(2))
    parts = Doc(VOCAB, words=["a", "b", "c", "d"])
    for doc in (whole, parts):
        doc.set_ents([Span(doc, 0, 1, "X")])
    report = audit(write(tmp_path / "cv", [whole, parts], [predicted] * 2, spread([0] * 6, 5, 0.9)), limit=9)
    assert [(each.doc, each.kind, each.gold[0]) for each in report.problems] == [(0, "spurious", (0, 1, "X"))]
    assert report.format_notes().endswith("; entities that do not fit the tokens: 1.")


def test_whitespace_without_probabilities(tmp_path):
    folder = write_entity_folder(tmp_path / "cv", [[(1, 2, "X")], [LONG_X]], [[], []])
    targets = TagTargets.read(folder / "head.npz")
    targets.scores[[1, 6]] = np.nan
    targets.write(folder / "head.npz")
    [problem] = audit(folder).problems
    assert problem.doc == 1
    assert problem.score == pytest.approx(0.9375)


# Doccano's entities of a first text without any look like categories.
@pytest.mark.parametrize(("file_format", "read_as"), [("prodigy", None), ("label-studio", None), ("doccano", "spans")])
def test_what_is_written_is_read_by_convert(tmp_path, file_format, read_as):
    gold, predicted = [[X], [Y], [], [(4, 5, "Y")]], [[X], [X], [LONG_X], []]
    folder = write_entity_folder(tmp_path / "cv", gold, predicted, [0.9, 0.6, 0.8, 0.7])
    report = audit(folder, jsonl_path=tmp_path / "a.jsonl", file_format=file_format, limit=3)
    assert [problem.doc for problem in report.reported] == [2, 3, 1]
    convert(tmp_path / "a.jsonl", tmp_path / "a.spacy", **({"file_format": read_as} if read_as else {}))
    docs = DocBin().from_disk(tmp_path / "a.spacy").get_docs(VOCAB)
    assert [[(e.start, e.end, e.label_) for e in doc.ents] for doc in docs] == [gold[n] for n in (2, 3, 1)]


def test_what_is_said_of_a_document(tmp_path):
    folder = write_entity_folder(tmp_path / "cv", [[X, (4, 5, "Y")]], [[Y, (0, 1, "X")]])
    audit(folder, jsonl_path=tmp_path / "a.json", limit=5)
    [task] = json.loads((tmp_path / "a.json").read_text(encoding="utf-8"))
    assert task["text"] == "a b c d e "
    assert [(span["start"], span["end"], span["label"]) for span in task["spans"]] == [(2, 5, "X"), (8, 9, "Y")]
    assert task["meta"]["document"] == 1
    by_kind = {problem["kind"]: problem for problem in task["meta"]["problems"]}
    assert {*by_kind} == {"label", "missing", "spurious"}
    assert by_kind["label"] == {"component": "head", "kind": "label", "score": pytest.approx(0.9375)} | {
        "gold": [{"label": "X", "start": 2, "end": 5}],
        "predicted": [{"label": "Y", "start": 2, "end": 5}],
    }
    assert by_kind["missing"]["gold"] == by_kind["spurious"]["predicted"] == []


def test_missing_annotation_stays_missing(tmp_path):
    folder = write_entity_folder(tmp_path / "cv", [[X]], [[Y]], default="missing")
    audit(folder, jsonl_path=tmp_path / "a.jsonl", limit=1)
    convert(tmp_path / "a.jsonl", tmp_path / "a.spacy")
    [doc] = DocBin().from_disk(tmp_path / "a.spacy").get_docs(VOCAB)
    assert [token.ent_iob for token in doc] == [0, 3, 1, 0, 0]


def test_categories_that_exclude_each_other(tmp_path):
    probs = [(0.9, 0.1), (0.2, 0.8), (0.3, 0.7), (0.6, 0.4)]
    names = ["X", "Y", "X", None]
    gold = [make_doc() for _ in probs]
    for doc, name in zip(gold, names, strict=True):
        doc.cats = {label: float(label == name) for label in "XY"} if name else {}
    predicted = [make_doc() for _ in probs]
    for doc, (x, y) in zip(predicted, probs, strict=True):
        doc.cats = {"X": x, "Y": y}
    folder = write(tmp_path / "cv", gold, predicted, spread([0] * 20, 5, 0.9), factory="bert_textcat")
    report = audit(folder, jsonl_path=tmp_path / "a.jsonl", limit=1)
    [problem] = report.problems
    assert (problem.doc, problem.kind, problem.label) == (2, "category", "X")
    assert (problem.score, problem.is_confident) == (pytest.approx(0.7), False)  # Y is at 0.8 where it is annotated
    convert(tmp_path / "a.jsonl", tmp_path / "a.spacy", kind="cats")
    [doc] = DocBin().from_disk(tmp_path / "a.spacy").get_docs(VOCAB)
    assert {label for label, value in doc.cats.items() if value} == {"X"}


def test_categories_of_which_several_may_hold(tmp_path):
    gold, predicted = make_doc(), make_doc()
    gold.cats, predicted.cats = {"X": 1.0, "Y": 0.0}, {"X": 0.3, "Y": 0.6}
    unknown = make_doc()
    unknown.cats = {"Y": 1.0}
    probs = spread([0] * 10, 5, 0.9)
    folder = write(
        tmp_path / "cv", [gold, unknown], [predicted] * 2, probs, factory="textcat_multilabel", threshold=0.5
    )
    found = [(each.doc, each.kind, each.label, round(each.score, 6)) for each in audit(folder).problems]
    assert found == [(0, "spurious", "X", 0.7), (0, "missing", "Y", 0.6)]


def test_tags(tmp_path):
    gold, predicted = make_doc(tags=["N", "V", "", "!V", "V"]), make_doc(tags=["N", "N", "V", "V", "V"])
    probs = spread([0, 0, 1, 1, 1], 2, 0.8)
    folder = write(tmp_path / "cv", [gold], [predicted], probs, ("N", "V"), factory="bert_tagger")
    [problem] = audit(folder, tmp_path / "a.html", jsonl_path=tmp_path / "a.jsonl", limit=1).problems
    assert (problem.kind, problem.gold, problem.predicted) == ("tag", (TagSpan(1, 2, "V"),), (TagSpan(1, 2, "N"),))
    [line] = (tmp_path / "a.jsonl").read_text(encoding="utf-8").splitlines()
    assert [span["label"] for span in json.loads(line)["spans"]] == ["N", "V", "!V", "V"]


def test_a_page(tmp_path):
    folder = write_entity_folder(tmp_path / "cv", [[(1, 3, "<i>")], [X]], [[(1, 3, "Y")], [X]])
    tags, scores = (*TAGS, "B-<i>", "I-<i>"), np.log(spread([0] * 10, 7, 0.9))
    words = TagTargets.read(folder / "head.npz").words
    TagTargets(tags, build_free_chain(7), scores, np.array([5, 5]), words).write(folder / "head.npz")
    audit(folder, tmp_path / "new" / "a.html", limit=9)
    page = (tmp_path / "new" / "a.html").read_text(encoding="utf-8")
    assert "<i>" not in page
    assert page.count("<mark") == 2
    assert "gold: &lt;i&gt;</figcaption>" in page
    assert "predicted: Y</figcaption>" in page


def test_other_documents_are_an_error(tmp_path):
    folder = write_entity_folder(tmp_path / "cv", [[X], [Y]], [[X], [Y]])
    first = Doc(VOCAB, words=["z"])
    for docs in ([make_doc()], [make_doc(), first], [first, make_doc()], []):
        DocBin(docs=docs).to_disk(folder / "gold.spacy")
        with pytest.raises(DataError, match="hold other documents, or no documents"):
            audit(folder)


def test_what_else_may_be_wrong_with_the_directory(tmp_path):
    folder = write_entity_folder(tmp_path / "cv", [[X], [Y]], [[X], [Y]])
    targets = TagTargets.read(folder / "head.npz")
    replace(targets, words=hash_words([make_doc()])).write(folder / "head.npz")
    for problem, path in (
        ("not those of the tokens of predicted.spacy", "head.npz"),
        ("head.npz is missing", "fold-1/model-last/meta.json"),
        ("model-last is no pipeline", "gold.spacy"),
        ("gold.spacy", "predicted.spacy"),
    ):
        with pytest.raises(DataError, match=problem):
            audit(folder)
        (folder / path).unlink()


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"component": "ner"}, "component = 'ner'. Expected one of head"),
        ({"output_path": "a.txt"}, "Expected a name that ends in .html"),
        ({"jsonl_path": "a.html"}, "Expected a name that ends in .jsonl or .json"),
        ({"limit": -1}, "limit = -1. Expected 0 or more"),
        ({"file_format": "brat"}, "Expected one of prodigy"),
    ],
)
def test_settings_that_make_no_sense(tmp_path, options, problem):
    with pytest.raises(SettingError) as caught:
        audit(write_entity_folder(tmp_path / "cv", [[X]], [[X]]), **options)
    assert problem in str(caught.value)


def test_the_command(tmp_path):
    folder = write_entity_folder(tmp_path / "cv", [[X]] * 3 + [[Y]], [[X]] * 4)
    done = CliRunner().invoke(app, ["audit", str(folder), "-o", str(tmp_path / "a.html"), "--component", "head"])
    assert done.exit_code == 0, done.output
    assert "1 reported, the most improbable annotation first." in " ".join(done.stdout.split())
    assert (tmp_path / "a.html").is_file()
