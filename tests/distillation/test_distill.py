"""A student learns what its teachers predict, also of texts without labels."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
import spacy
import srsly
from planted_words import make_example, plant
from resumed_runs import make_config, make_data
from spacy.tokens import DocBin
from spacy.util import registry
from thinc.api import Config

from spacy_bertft.distillation import distill
from spacy_bertft.distillation.asked import Teacher
from spacy_bertft.distillation.distill import _ask, _teach_values
from spacy_bertft.distillation.teachers import TagTargets, score_tags
from spacy_bertft.errors import DataError, SettingError
from spacy_bertft.training.folds import assign_folds

SHORT = {"training.optimizer.learn_rate.total_steps": 1}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return make_data(tmp_path_factory.mktemp("distill"))


@pytest.fixture(scope="module")
def teacher(planted, tmp_path_factory):
    """Give a pipeline with a `ner` and a `textcat` that find keywords."""
    nlp = spacy.load(planted)
    nlp.rename_pipe("bert_ner", "ner")
    nlp.rename_pipe("bert_textcat", "textcat")
    path = tmp_path_factory.mktemp("teacher") / "model"
    nlp.to_disk(path)
    return path


@pytest.fixture
def data(folder, tmp_path):
    """Write a few labelled texts and many without labels."""
    nlp = spacy.blank("en")
    labelled = [make_example(nlp, *each).reference for each in plant(12, seed=2)]
    for name in ("train.spacy", "dev.spacy"):
        DocBin(docs=labelled).to_disk(tmp_path / name)
    texts = [{"text": text} for text, _ in plant(80, seed=3)]
    srsly.write_jsonl(tmp_path / "texts.jsonl", texts)
    shutil.copytree(folder / "encoder", tmp_path / "encoder")
    return tmp_path


def make_student(data, **changes) -> Config:
    settings = {
        "training.before_to_disk": None,
        "training.optimizer.learn_rate.total_steps": 60,
        "training.batcher.join_level": 0.5,
        "components.ner.model.encoder.precision": "fp32",
    }
    return make_config(data, settings | changes)


def make_textcat_student(data, changes) -> Config:
    model = {"@architectures": "spacy-bertft.TextClassifier.v1"}
    model["encoder"] = {"@architectures": "spacy-bertft.BertEncoder.v1", "name": "${paths.encoder}"}
    given = {
        "nlp.pipeline": ["textcat"],
        "components": {"textcat": {"factory": "bert_textcat", "model": model}},
        "training.score_weights": {"cats_score": 1.0},
    }
    return make_student(data, **given, **changes)


def test_a_student_learns_from_texts_without_labels(data, teacher):
    out = data / "out"
    last = distill(make_student(data), [teacher, teacher], out, texts_path=data / "texts.jsonl", n_swapped=1, weight=2)
    student, own = spacy.load(last), spacy.load(teacher)
    texts = [text for text, _ in plant(40, seed=9)]
    same = [
        {(e.text, e.label_) for e in one.ents} == {(e.text, e.label_) for e in other.ents}
        for one, other in zip(student.pipe(texts), own.pipe(texts), strict=True)
    ]
    assert np.mean(same) > 0.8
    corpus = list(DocBin().from_disk(out / "distillation" / "corpus.spacy").get_docs(student.vocab))
    assert len(corpus) == 12 + 12 + 80
    assert not corpus[-1].has_annotation("ENT_IOB")
    assert TagTargets.read(out / "distillation" / "ner.npz").n_tokens.tolist() == [len(doc) for doc in corpus]
    kept = {path: path.stat().st_mtime_ns for path in (out / "distillation").glob("ner-*.npz")}
    assert len(kept) == 1  # both teachers are the same
    distill(make_student(data, **SHORT), [teacher], out, texts_path=data / "texts.jsonl", n_swapped=1)
    assert {path: path.stat().st_mtime_ns for path in kept} == kept  # what a teacher said is not computed again


@pytest.mark.everyday(1)
@pytest.mark.parametrize("temperature", [2.0, 1.0])
def test_categories_are_between_gold_and_teacher(data, teacher, temperature):
    distill(
        make_textcat_student(data, {"training.optimizer.learn_rate.total_steps": 2}),
        [teacher],
        data / "out",
        texts_path=data / "texts.jsonl",
        weight=3,
        temperature=temperature,
    )
    nlp = spacy.load(teacher)
    for index, doc in enumerate(DocBin().from_disk(data / "out/distillation/corpus.spacy").get_docs(nlp.vocab)):
        soft = {label: value ** (1 / temperature) for label, value in nlp(doc.text).cats.items()}
        predicted, gold = {label: value / sum(soft.values()) for label, value in soft.items()}, dict.fromkeys(soft, 0.0)
        if index < 12:
            (ent,) = doc.ents
            gold[ent.label_] = 1.0
            expected = {label: (gold[label] + 3 * predicted[label]) / 4 for label in gold}
        else:
            expected = predicted
        assert doc.cats == pytest.approx(expected, abs=1e-4)


def test_values_of_several_teachers(data, teacher):
    asked = [spacy.blank("en").make_doc(text) for text, _ in plant(5, seed=4)]
    docs = [doc.copy() for doc in asked]
    own = Teacher(teacher, np.arange(5))
    nlp = spacy.load(teacher)
    pipe = nlp.get_pipe("textcat")
    _teach_values(docs, _ask(pipe, asked, [own, own], 1.0), 1.0, exclusive=True)
    for doc in docs:
        assert doc.cats == pytest.approx(nlp(doc.text).cats, abs=1e-5)


@pytest.mark.parametrize(
    ("gold", "exclusive", "expected"),
    [
        ({"X": 1.0}, True, {"X": 0.85, "Y": 0.05, "Z": 0.1}),  # no other label holds then
        ({"Z": 0.0}, True, {"X": 0.7875, "Y": 0.1125, "Z": 0.1}),
        (dict.fromkeys("XYZ", 0.0), True, {"X": 0.7, "Y": 0.1, "Z": 0.2}),  # that the class is not known
        ({}, True, {"X": 0.7, "Y": 0.1, "Z": 0.2}),
        ({"X": 1.0}, False, {"X": 0.85, "Y": 0.1, "Z": 0.2}),
        (dict.fromkeys("XYZ", 0.0), False, {"X": 0.35, "Y": 0.05, "Z": 0.1}),
    ],
)
def test_values_between_gold_and_what_is_said(gold, exclusive, expected):
    doc = spacy.blank("en").make_doc("a film")
    doc.cats = {"of another component": 1.0, **gold}
    said = {label: np.array([value]) for label, value in {"X": 0.7, "Y": 0.1, "Z": 0.2}.items()}
    _teach_values([doc], said, 1.0, exclusive=exclusive)
    assert doc.cats == pytest.approx({"of another component": 1.0, **expected})


@pytest.mark.parametrize("given", [None, ["ACTOR", "GENRE", "OTHER"]])
def test_a_teacher_of_categories_with_other_labels(data, teacher, given):
    config = make_textcat_student(data, SHORT)
    config["initialize"]["components"]["textcat"] = {"labels": given}
    nlp = spacy.load(teacher)
    nlp.get_pipe("textcat").add_label("OTHER")
    nlp.to_disk(data / "other")
    teachers, wrong = ([teacher, data / "other"], "NONE, OTHER") if given is None else ([teacher], "NONE, TITLE")
    with pytest.raises(DataError, match=f"'textcat' has the labels ACTOR, {wrong}.* Expected those of student"):
        distill(config, teachers, data / "out")


def test_a_text_that_is_labelled_too(data, crossval_dir):
    """The pipeline that has seen it with its label is not asked."""
    nlp = spacy.blank("en")
    labelled = [doc.text for doc in DocBin().from_disk(data / "train.spacy").get_docs(nlp.vocab)]
    srsly.write_jsonl(data / "texts.jsonl", [{"text": text} for text in labelled])
    distill(make_student(data, **SHORT), [crossval_dir], data / "out", texts_path=data / "texts.jsonl")
    rows = list(TagTargets.read(data / "out/distillation/ner.npz").split())
    assert len(rows) == 2 * len(labelled)
    for row, again in zip(rows[:12], rows[12:], strict=True):
        np.testing.assert_array_equal(again, row)


@pytest.fixture
def crossval_dir(data, teacher):
    """Write what a cross-validation writes: two pipelines, the second of which is less sure of everything."""
    path, docs = data / "crossval", DocBin().from_disk(data / "train.spacy")
    nlp = spacy.load(teacher)
    for number in (1, 2):
        (path / f"fold-{number}").mkdir(parents=True)
    nlp.to_disk(path / "fold-1" / "model-last")
    for name in ("ner", "textcat"):
        nlp.get_pipe(name).cfg["temperature"] = 3.0
    nlp.to_disk(path / "fold-2" / "model-last")
    srsly.write_json(path / "fingerprint.json", {"n_folds": 2, "seed": 5})
    docs.to_disk(path / "gold.spacy")
    return path


def test_a_fold_says_nothing_of_what_it_has_seen(data, crossval_dir):
    model = {"@architectures": "spacy-bertft.TextClassifier.v1"}
    model["encoder"] = {"@architectures": "spacy-bertft.BertEncoder.v1", "name": "${paths.encoder}"}
    config = make_student(data, **SHORT)
    config["nlp"]["pipeline"] = ["ner", "textcat"]
    config["components"]["textcat"] = {"factory": "bert_textcat", "model": model}
    distill(config, [crossval_dir], data / "out", texts_path=data / "texts.jsonl", n_swapped=1)
    folds = [spacy.load(crossval_dir / f"fold-{number}" / "model-last") for number in (1, 2)]
    docs = list(DocBin().from_disk(data / "out/distillation/corpus.spacy").get_docs(folds[0].vocab))
    its_fold = assign_folds([doc.text for doc in docs[:12]], 2, seed=5).tolist()
    assert {*its_fold} == {0, 1}
    found = TagTargets.read(data / "out/distillation/ner.npz")
    scores = [list(score_tags(nlp, nlp.get_pipe("ner"), docs).split()) for nlp in folds]
    cats = [[doc.cats for doc in nlp.pipe([doc.text for doc in docs])] for nlp in folds]
    for index, (doc, rows) in enumerate(zip(docs, found.split(), strict=True)):
        asked = [its_fold[index % 12]] if index < 24 else [0, 1]  # labelled, copies of these, texts without labels
        np.testing.assert_allclose(rows, np.mean([scores[fold][index] for fold in asked], axis=0), rtol=1e-4)
        predicted = {label: np.mean([cats[fold][index][label] for fold in asked]) for label in doc.cats}
        expected = predicted
        if index < 24:
            gold = max(docs[index % 12].cats, key=docs[index % 12].cats.__getitem__)
            expected = {label: (value + (label == gold)) / 2 for label, value in predicted.items()}
        assert doc.cats == pytest.approx(expected, abs=1e-4)


def test_a_cross_validation_of_other_documents(data, crossval_dir):
    DocBin().to_disk(crossval_dir / "gold.spacy")
    with pytest.raises(DataError, match="the cross-validation has other documents"):
        distill(make_student(data), [crossval_dir], data / "out")
    assert not (data / "out").exists()


def test_a_teacher_without_the_component(data, planted):
    with pytest.raises(SettingError, match="component 'ner'"):
        distill(make_student(data), [planted], data / "out")


def test_texts_in_another_order(data, teacher):
    """As many tokens do not make them the same texts."""
    last = distill(make_student(data, **SHORT), [teacher], data / "out")
    path = data / "out" / "distillation" / "corpus.spacy"
    nlp = spacy.load(last)
    section = nlp.config.interpolate()["corpora"]["train"]
    docs = list(DocBin().from_disk(path).get_docs(nlp.vocab))
    length = next(len(doc) for doc in docs if sum(len(doc) == len(other) for other in docs) > 1)
    first, second, *_ = [index for index, doc in enumerate(docs) if len(doc) == length]
    docs[first], docs[second] = docs[second], docs[first]
    DocBin(docs=docs).to_disk(path)
    with pytest.raises(DataError, match="the teachers have scored other texts"):
        list(registry.resolve({"corpus": section})["corpus"](nlp))


def test_unfinished_training_keeps_its_corpus(data, teacher):
    (data / "out" / "snapshot").mkdir(parents=True)
    (data / "out" / "snapshot" / "progress.json").write_text("{}", encoding="utf-8")
    with pytest.raises(SettingError, match="spacy-bertft resume"):
        distill(make_student(data, **SHORT), [teacher], data / "out")
    assert not (data / "out" / "distillation").exists()
    assert distill(make_student(data, **SHORT), [teacher], data / "out", overwrite=True).is_dir()


def test_a_component_that_no_teacher_can_teach(data, teacher, capsys):
    changes = {"nlp.pipeline": ["ner", "small"], **SHORT}
    config = make_student(data, **changes)
    config["components"]["small"] = {"factory": "ner"}
    distill(config, [teacher], data / "out")
    assert "small: learns from gold annotation alone" in capsys.readouterr().out


def test_words_that_change_are_not_those_that_teachers_saw(data, teacher, capsys):
    config = make_student(data, **SHORT)
    config["training"]["batcher"]["augmenter"] = {"@augmenters": "spacy-bertft.swap_entities.v1", "level": 0.5}
    last = distill(config, [teacher], data / "out")
    assert "augmenter is left out" in capsys.readouterr().out
    assert spacy.load(last).config["training"]["batcher"]["augmenter"] is None


def test_no_teacher(data):
    with pytest.raises(SettingError, match="at least one pipeline"):
        distill(make_student(data), [], data / "out")


def test_a_teacher_with_other_labels(data, teacher):
    nlp = spacy.load(teacher)
    nlp.get_pipe("ner").add_label("OTHER")
    nlp.to_disk(data / "other")
    with pytest.raises(DataError, match="do not have the same tags"):
        distill(make_student(data), [teacher, data / "other"], data / "out")


@pytest.mark.parametrize("changes", [{"n_swapped": -1}, {"weight": -1.0}, {"temperature": 0.0}])
def test_settings_out_of_range(data, teacher, changes):
    with pytest.raises(SettingError, match=next(iter(changes))):
        distill(make_student(data), [teacher], data / "out", **changes)
    assert not (data / "out").exists()
