"""Cross-validation: each document is predicted by the pipeline that did not see it, and nothing is done twice."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import spacy
import srsly
from resumed_runs import N_STEPS, make_config, make_data
from spacy.tokens import DocBin
from spacy.training import Example

from spacy_bertft.cross_validation import crossval
from spacy_bertft.cross_validation.crossval import _make_report, give_labels
from spacy_bertft.distillation.teachers import TagTargets
from spacy_bertft.errors import DataError, SettingError
from spacy_bertft.evaluation.training_log import TrainingLog

N_FOLDS = 2


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return make_data(tmp_path_factory.mktemp("crossval"))


@pytest.fixture(scope="module")
def config(folder):
    return make_config(folder, {"training.score_weights": {"ents_f": 0.0, "ents_token_f": 1.0}})


@pytest.fixture(scope="module")
def report(config, folder):
    return crossval(config, folder / "out", n_folds=N_FOLDS, final=True)


def read_docs(path):
    return list(DocBin(store_user_data=True).from_disk(path).get_docs(spacy.blank("en").vocab))


def test_documents_are_in_the_order_of_the_corpus(report, folder):
    texts = [doc.text for doc in read_docs(folder / "train.spacy")]
    gold, predicted = (read_docs(report.path / f"{name}.spacy") for name in ("gold", "predicted"))
    assert [doc.text for doc in gold] == [doc.text for doc in predicted] == texts
    assert [[e.label_ for e in doc.ents] for doc in gold] == [
        [e.label_ for e in doc.ents] for doc in read_docs(folder / "train.spacy")
    ]
    targets = TagTargets.read(report.path / "ner.npz")
    assert targets.n_tokens.tolist() == [len(doc) for doc in predicted]
    probs = np.exp(targets.scores[~np.isnan(targets.scores[:, 0])])
    np.testing.assert_allclose(probs.sum(axis=1), 1, rtol=1e-4)


def test_who_predicts_a_document_has_not_seen_it(report):
    docs = {doc.text: doc for doc in read_docs(report.path / "predicted.spacy")}
    for number in range(1, N_FOLDS + 1):
        nlp = spacy.load(report.path / f"fold-{number}" / "model-last")
        own = read_docs(report.path / f"fold-{number}" / "predicted.spacy" / "predicted.spacy")
        assert 0 < len(own) < len(docs)
        for doc in own:
            found = nlp(doc.text)
            assert [(e.start, e.end, e.label) for e in found.ents] == [(e.start, e.end, e.label) for e in doc.ents]
            assert [e.text for e in docs[doc.text].ents] == [e.text for e in doc.ents]
            assert docs[doc.text].user_data == doc.user_data  # which has the scores
            assert bool(doc.user_data) == bool(doc.ents)


def test_the_report(report):
    assert report.names == ("score", "ents_token_f")
    assert report.scores.shape == (N_FOLDS, 2)
    np.testing.assert_allclose(report.scores[:, 0], report.scores[:, 1], atol=0.01)
    assert report.steps.tolist() == [0, 10, 20, N_STEPS]
    assert report.curve[-1] == pytest.approx(report.scores[:, 0].mean(), abs=0.01)
    (header, *rows) = report.format_rows()
    assert header == ("%", "mean", "deviation", "fold 1", "fold 2")
    assert len(rows) == 2
    assert f"best after {report.best_step} of {N_STEPS} steps" in report.format_notes()


def test_the_last_pipeline_is_trained_on_all_data(report, folder):
    nlp = spacy.load(report.final_path)
    section = nlp.config.interpolate()["corpora"]["train"]
    assert section["first"]["path"] == str(folder / "train.spacy")
    assert section["second"]["path"] == str(folder / "dev.spacy")
    assert nlp.config.interpolate()["training"]["max_steps"] == report.best_step
    temperatures = [
        srsly.read_json(report.path / f"fold-{number}" / "predicted.spacy" / "temperatures.json")["ner"]
        for number in range(1, N_FOLDS + 1)
    ]
    assert nlp.get_pipe("ner").cfg["temperature"] == pytest.approx(np.exp(np.mean(np.log(temperatures))))


def test_step_0_is_never_the_best(report):
    """To train for 0 steps is, to spaCy, to train without end."""
    flat = replace(report, curve=np.zeros(len(report.steps)))
    assert flat.best_step == report.steps[1]


def test_what_is_finished_is_not_done_again(report, config):
    files = {path: path.stat().st_mtime_ns for path in report.path.glob("fold-*/model-last/meta.json")}
    again = crossval(config, report.path, n_folds=N_FOLDS)
    np.testing.assert_array_equal(again.scores, report.scores)
    assert {path: path.stat().st_mtime_ns for path in files} == files


def test_results_of_something_else(report, config):
    with pytest.raises(DataError, match="results of something else: seed differ"):
        crossval(config, report.path, n_folds=N_FOLDS, seed=1)


def test_the_same_texts_with_corrected_annotation(config, folder, tmp_path):
    """After `audit`, that is what is cross-validated next."""
    (tmp_path / "fingerprint.json").write_bytes((folder / "out" / "fingerprint.json").read_bytes())
    docs = read_docs(folder / "train.spacy")
    next(doc for doc in docs if doc.ents).ents = []
    DocBin(docs=docs).to_disk(tmp_path / "train.spacy")
    told = config.copy()
    told["paths"]["train"] = str(tmp_path / "train.spacy")
    with pytest.raises(DataError, match="results of something else: config, data differ"):
        crossval(told, tmp_path, n_folds=N_FOLDS)


def test_the_last_training_needs_development_data_from_the_start(config, tmp_path):
    without = config.copy()
    without["paths"]["dev"] = str(tmp_path / "none.spacy")
    with pytest.raises(FileNotFoundError, match=r"none\.spacy"):
        crossval(without, tmp_path / "out", n_folds=N_FOLDS, final=True)
    assert not (tmp_path / "out").exists()


def test_other_development_data_are_not_those_of_the_last_training(report, config, folder, tmp_path):
    changed = config.copy()
    changed["paths"]["dev"] = str(tmp_path / "dev.spacy")
    DocBin(docs=read_docs(folder / "dev.spacy")[1:]).to_disk(tmp_path / "dev.spacy")
    told = srsly.read_json(report.path / "fingerprint.json")
    (tmp_path / "out" / "final").mkdir(parents=True)
    srsly.write_json(tmp_path / "out" / "fingerprint.json", told | {"config": changed.to_str()})
    (tmp_path / "out/final/fingerprint.json").write_bytes((report.path / "final/fingerprint.json").read_bytes())
    with pytest.raises(DataError, match="final has results of something else: development_data differ"):
        crossval(changed, tmp_path / "out", n_folds=N_FOLDS, final=True)


def test_a_frozen_component_reads_other_categories(config, folder):
    changed = config.copy()
    changed["training"]["frozen_components"] = ["textcat"]
    nlp = spacy.blank("en")
    nlp.add_pipe("bert_ner", name="ner")
    nlp.add_pipe("bert_textcat", name="textcat")
    example = Example.from_dict(nlp.make_doc("a film"), {"cats": {"short": 1.0, "polite": 1.0}})
    assert "textcat" not in give_labels(changed, nlp, [example])["initialize"]["components"]


def test_a_corpus_that_is_another_one_each_time(config, tmp_path):
    changed = config.copy()
    changed["corpora"]["train"]["augmenter"] = {"@augmenters": "spacy.lower_case.v1", "level": 0.3}
    with pytest.raises(SettingError, match=r"corpora\.train\.augmenter .* \[training\.batcher\.augmenter\]"):
        crossval(changed, tmp_path / "out", n_folds=N_FOLDS)
    assert not (tmp_path / "out").exists()


def test_folds_whose_epochs_have_other_numbers_of_batches(tmp_path):
    logs = [
        TrainingLog(tmp_path, np.array(steps), {}, {}, np.array(total))
        for steps, total in (([0, 10, 20, 21], [0.0, 4.0, 6.0, 7.0]), ([0, 10, 19], [0.0, 2.0, 9.0]))
    ]
    found = _make_report(tmp_path, logs, [], 5)
    assert found.scores[:, 0].tolist() == [7.0, 9.0]  # of the last step of each
    assert found.steps.tolist() == [0, 10, 20]
    assert found.curve.tolist() == [0.0, 3.0, 7.5]


def test_too_few_documents(config, tmp_path):
    with pytest.raises(DataError, match="different texts"):
        crossval(config, tmp_path / "out", n_folds=1000)
    with pytest.raises(SettingError, match="n_folds = 1"):
        crossval(config, tmp_path / "out", n_folds=1)
    assert not (tmp_path / "out").exists()
