from __future__ import annotations

import pytest
import spacy
import srsly
from spacy.tokens import Doc, DocBin
from spacy.training import Corpus

from spacy_bertft.errors import SettingError
from spacy_bertft.evaluation.evaluate import evaluate

# Of 3 good ones 2 are found, of 1 bad one 1. A word not seen in training adds nothing, so that of the 3 pairs of a good
# and a bad one 2 are in the right order and 1 is a tie: an AUC of 2.5 / 3.
REVIEWS = [
    ("good", {"POS": 1.0, "NEG": 0.0}),
    ("so good", {"POS": 1.0, "NEG": 0.0}),
    ("not bad", {"POS": 1.0, "NEG": 0.0}),
    ("bad", {"POS": 0.0, "NEG": 1.0}),
]
TOPICS = [
    ("film", {"FILM": 1.0, "FOOD": 0.0}),
    ("soup", {"FILM": 1.0, "FOOD": 1.0}),
    ("film soup", {"FILM": 1.0, "FOOD": 1.0}),
    ("word", {"FILM": 0.0, "FOOD": 0.0}),
]


def test_exclusive_classes_by_hand(pipelines, write, tmp_path):
    evaluation = evaluate(pipelines("textcat"), write(REVIEWS), tmp_path / "scores.json")
    assert evaluation.format_tables() == [
        [
            ("textcat", "precision", "recall", "F1", "AUC", "support"),
            ("NEG", "50.00", "100.00", "66.67", "83.33", "1"),
            ("POS", "100.00", "66.67", "80.00", "83.33", "3"),
            ("macro average", "75.00", "83.33", "73.33", "83.33", "4"),
            ("micro average", "75.00", "75.00", "75.00", "–", "4"),
        ]
    ]
    assert evaluation.format_confusions() == [
        [("gold \\ predicted", "NEG", "POS"), ("NEG", "1", "0"), ("POS", "1", "2")]
    ]
    assert "; textcat: accuracy 75.00 %; Matthews' correlation 57.74; 4 documents; " in evaluation.format_notes()
    scores = srsly.read_json(tmp_path / "scores.json")
    assert scores["cats_accuracy"] == 0.75
    assert scores["cats_confusion"] == {"labels": ["NEG", "POS"], "matrix": [[1, 0], [1, 2]]}
    assert scores["cats_support"] == {"NEG": 1, "POS": 3}
    assert "cats_by_component" not in scores


def test_scores_are_those_of_spacy(pipelines, write):
    path = write([*REVIEWS, *TOPICS])
    folder = pipelines("textcat", "textcat_multilabel")
    scores = evaluate(folder, path).scores
    nlp = spacy.load(folder)
    expected = nlp.evaluate(list(Corpus(path)(nlp)))
    ours = {
        "speed",
        "calibration_error",
        "cats_accuracy",
        "cats_matthews",
        "cats_confusion",
        "cats_support",
        "cats_by_component",
    }
    assert {key: value for key, value in scores.items() if key not in ours} == {
        key: value for key, value in expected.items() if key != "speed"
    }


def test_multilabel_by_hand(pipelines, write):
    evaluation = evaluate(pipelines("textcat_multilabel"), write(TOPICS))
    film, food = evaluation.format_tables()[0][1:3]
    assert film[:4] == ("FILM", "100.00", "66.67", "80.00")
    assert food == ("FOOD", "100.00", "100.00", "100.00", "100.00", "2")
    assert evaluation.format_confusions() == []
    assert "textcat_multilabel: all labels correct in 75.00 % (threshold 0.5)" in evaluation.format_notes()
    assert evaluation.scores["cats_confusion"] is None


@pytest.mark.parametrize(("threshold", "recall", "accuracy"), [(0, 1.0, 0.5), (1, 0.0, 0.25)])
def test_another_threshold(pipelines, write, threshold, recall, accuracy):
    evaluation = evaluate(pipelines("textcat_multilabel"), write(TOPICS), threshold=threshold)
    assert evaluation.scores["cats_macro_r"] == recall
    assert evaluation.scores["cats_accuracy"] == accuracy
    assert f"(threshold {threshold})" in evaluation.format_notes()


@pytest.mark.parametrize("threshold", [-0.1, 1.1, float("nan")])
def test_a_threshold_is_a_share(pipelines, write, threshold):
    with pytest.raises(SettingError) as caught:
        evaluate(pipelines("textcat_multilabel"), write(TOPICS), threshold=threshold)
    assert caught.value.name == "threshold"


def test_exclusive_classes_have_no_threshold(pipelines, write):
    with pytest.raises(SettingError, match="no multi-label categories"):
        evaluate(pipelines("textcat"), write(REVIEWS), threshold=0.5)


def test_two_components(pipelines, write):
    evaluation = evaluate(pipelines("textcat", "textcat_multilabel"), write([*REVIEWS, *TOPICS]))
    assert [rows[0][0] for rows in evaluation.format_tables()] == ["textcat", "textcat_multilabel"]
    by_component = evaluation.scores["cats_by_component"]
    assert by_component["textcat"]["cats_accuracy"] == 0.75
    assert by_component["textcat_multilabel"]["cats_accuracy"] == 0.75
    assert by_component["textcat"]["cats_support"] == {"NEG": 1, "POS": 3}
    assert "4 without a gold label" in evaluation.format_notes()
    assert "does not know" not in evaluation.format_notes()


def test_entities_and_categories(pipelines, tmp_path):
    nlp = spacy.load(pipelines("textcat"))
    nlp.add_pipe("entity_ruler").add_patterns([{"label": "FOOD", "pattern": "soup"}])
    nlp.to_disk(tmp_path / "pipeline")
    doc = Doc(nlp.vocab, words=["good", "soup"], ents=["O", "B-FOOD"])
    doc.cats = {"POS": 1.0, "NEG": 0.0}
    DocBin(docs=[doc]).to_disk(tmp_path / "gold.spacy")
    evaluation = evaluate(tmp_path / "pipeline", tmp_path / "gold.spacy")
    entities, categories = evaluation.format_tables()
    assert entities == [
        ("entities, strict", "precision", "recall", "F1"),
        ("micro average", "100.00", "100.00", "100.00"),
        ("FOOD", "100.00", "100.00", "100.00"),
    ]
    assert categories[0][0] == "textcat"


def test_a_component_without_a_scorer_is_left_out(pipelines, write, tmp_path):
    nlp = spacy.load(pipelines("textcat"), config={"components": {"textcat": {"scorer": None}}})
    nlp.to_disk(tmp_path / "pipeline")
    evaluation = evaluate(tmp_path / "pipeline", write(REVIEWS))
    assert evaluation.results == ()
    assert evaluation.format_notes().startswith("nothing to score: ")
    assert "; 4 documents; " in evaluation.format_notes()


def test_no_categories_to_draw(write, tmp_path):
    pytest.importorskip("matplotlib")
    spacy.blank("en").to_disk(tmp_path / "blank")
    with pytest.raises(SettingError, match="no categories to draw"):
        evaluate(tmp_path / "blank", write(REVIEWS), plot_path=tmp_path / "a.png")


def test_nothing_to_score_is_reported_with_the_reason(pipelines, write):
    evaluation = evaluate(pipelines("textcat"), write([("good", {})]))
    notes = evaluation.format_notes()
    assert notes.startswith("nothing to score: the documents have no gold annotation")
    assert "; textcat: no document has a gold label; 1 document; " in notes


def test_a_pipeline_without_entities_to_draw(pipelines, write, tmp_path):
    with pytest.raises(SettingError, match=r"Expected none, since the pipeline has no entities to draw"):
        evaluate(pipelines("textcat"), write(REVIEWS), entities_path=tmp_path / "entities.html")
    assert not (tmp_path / "entities.html").exists()
