"""Components → checkpoints: what transformers answers with them, and what cannot be exported."""

from __future__ import annotations

import json
import re
import shlex
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import spacy
import torch
from huggingface_hub import ModelCard
from small_checkpoints import TEXTS, make_checkpoint
from spacy.training import Example
from text_pipelines import make_pipeline
from transformers import AutoModelForSequenceClassification, AutoModelForTokenClassification, AutoTokenizer
from transformers import pipeline as make_hf_pipeline
from typer.testing import CliRunner

from spacy_bertft.cli import app
from spacy_bertft.errors import CheckpointError, DataError, SettingError, UnsupportedError
from spacy_bertft.exchange.export_hf import export_hf
from spacy_bertft.exchange.import_hf import import_hf
from spacy_bertft.models.runtime.openvino import import_openvino
from spacy_bertft.training.optimizer import configure_adamw

LORA = {"@misc": "spacy-bertft.LoRA.v1", "rank": 2}


def train_ner(checkpoint, decoder="viterbi", n_steps=30, **encoder):
    nlp = spacy.blank("en")
    settings = {"name": checkpoint, "precision": "fp32", **encoder}
    nlp.add_pipe("bert_ner", name="ner", config={"model": {"decoder": decoder, "encoder": settings}})
    gold = [{"entities": [(19, 33, "ACTOR"), (43, 48, "YEAR")]}, {"entities": [(17, 26, "TITLE")]}]
    examples = [Example.from_dict(nlp.make_doc(text), one) for text, one in zip(TEXTS, gold, strict=False)]
    nlp.initialize(lambda: examples)
    optimizer = configure_adamw(5e-3)
    for _ in range(n_steps):
        nlp.update(examples, sgd=optimizer)
    return nlp


def test_a_trained_head_answers_the_same_in_transformers(checkpoint, tmp_path):
    nlp = train_ner(checkpoint)
    nlp.to_disk(tmp_path / "pipeline")
    report = export_hf(tmp_path / "pipeline", tmp_path / "hf")
    assert report.outputs[0] == "O"
    assert not report.notes
    recognize = make_hf_pipeline("token-classification", model=str(tmp_path / "hf"), aggregation_strategy="first")
    for text in TEXTS[:2]:
        expected = [(ent.start_char, ent.end_char, ent.label_) for ent in nlp(text).ents]
        assert expected
        assert [(found["start"], found["end"], found["entity_group"]) for found in recognize(text)] == expected


class Session:
    """What ONNX Runtime's class does, done by OpenVINO."""

    def __init__(self, path: str) -> None:
        self.compiled = import_openvino().compile_model(path, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})

    def get_inputs(self):
        return [SimpleNamespace(name=each.any_name) for each in self.compiled.inputs]

    def run(self, _, inputs):
        return list(self.compiled({name: np.array(value) for name, value in inputs.items()}).values())


def test_the_script_of_the_card_runs_the_graph(checkpoint, tmp_path, monkeypatch):
    pytest.importorskip("onnx", reason="needs the extra onnx")
    train_ner(checkpoint, n_steps=3).to_disk(tmp_path / "pipeline")
    export_hf(tmp_path / "pipeline", tmp_path / "hf", onnx=True)
    scripts = re.findall(r"```python\n(.*?)```", ModelCard.load(tmp_path / "hf" / "README.md").text, re.DOTALL)
    [script] = [each for each in scripts if "onnxruntime" in each]
    monkeypatch.chdir(tmp_path / "hf")
    monkeypatch.setitem(sys.modules, "onnxruntime", SimpleNamespace(InferenceSession=Session))
    printed = []
    exec(script.replace("a text", TEXTS[0]), {"print": lambda *values: printed.append(values)})
    [(tokens, [logits])] = printed
    encoded = AutoTokenizer.from_pretrained(".")(TEXTS[0], return_tensors="pt")
    assert len(tokens) == logits.shape[1] == encoded["input_ids"].shape[1]
    with torch.inference_mode():
        expected = AutoModelForTokenClassification.from_pretrained(".")(**encoded).logits
    np.testing.assert_allclose(logits, expected, atol=1e-4)


@pytest.mark.parametrize("factory", ["bert_textcat", "bert_textcat_multilabel"])
def test_categories_are_the_same_in_transformers(factory, checkpoint, tmp_path):
    nlp = make_pipeline(checkpoint, factory, n_steps=3)
    nlp.to_disk(tmp_path / "mean")
    with pytest.raises(UnsupportedError, match="pooling = cls"):
        export_hf(tmp_path / "mean", tmp_path / "hf")
    assert not (tmp_path / "hf").exists()

    nlp = make_pipeline(checkpoint, factory, n_steps=3, model={"encoder": {"name": checkpoint, "precision": "fp32"}})
    nlp.to_disk(tmp_path / "pipeline")
    export_hf(tmp_path / "pipeline", tmp_path / "hf", factory)
    model = AutoModelForSequenceClassification.from_pretrained(tmp_path / "hf").eval()
    is_multilabel = factory == "bert_textcat_multilabel"
    assert (model.config.problem_type == "multi_label_classification") == is_multilabel
    batch = AutoTokenizer.from_pretrained(tmp_path / "hf")(TEXTS, padding=True, return_tensors="pt")
    with torch.inference_mode():
        logits = model(**batch).logits
    probs = logits.sigmoid() if is_multilabel else logits.softmax(dim=1)
    found = [[doc.cats[label] for label in model.config.id2label.values()] for doc in nlp.pipe(TEXTS)]
    np.testing.assert_allclose(found, probs.numpy(), atol=1e-5)


def test_numbers_are_the_same_in_transformers_and_back(checkpoint, tmp_path):
    numbers = {text: {"price": 1000.0 * i, "stars": float(i % 3)} for i, text in enumerate(TEXTS)}
    model = {"encoder": {"name": checkpoint, "precision": "fp32"}}
    nlp = make_pipeline(checkpoint, "bert_regressor", n_steps=3, cats=numbers, model=model)
    nlp.to_disk(tmp_path / "pipeline")
    export_hf(tmp_path / "pipeline", tmp_path / "hf")
    model = AutoModelForSequenceClassification.from_pretrained(tmp_path / "hf").eval()
    assert model.config.problem_type == "regression"
    assert model.config.id2label == {0: "price", 1: "stars"}
    batch = AutoTokenizer.from_pretrained(tmp_path / "hf")(TEXTS, padding=True, return_tensors="pt")
    with torch.inference_mode():
        expected = model(**batch).logits.numpy()
    found = [list(doc.cats.values()) for doc in nlp.pipe(TEXTS)]
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)
    classify = make_hf_pipeline("text-classification", model=str(tmp_path / "hf"), top_k=None)
    assert {each["label"]: each["score"] for each in classify(TEXTS)[0]} == pytest.approx(nlp(TEXTS[0]).cats, rel=1e-5)
    assert import_hf(str(tmp_path / "hf"), tmp_path / "back").factory == "bert_regressor"
    fp32 = {"components": {"regressor": {"model": {"encoder": {"precision": "fp32"}}}}}
    back = [list(doc.cats.values()) for doc in spacy.load(tmp_path / "back", config=fp32).pipe(TEXTS)]
    np.testing.assert_allclose(back, expected, rtol=1e-5, atol=1e-5)
    export_hf(tmp_path / "back", tmp_path / "again")
    names = [tmp_path / name / "model.safetensors" for name in ("hf", "again")]
    assert names[0].read_bytes() == names[1].read_bytes()


def test_an_adapter_is_merged(checkpoint, tmp_path):
    pytest.importorskip("peft")
    nlp = train_ner(checkpoint, adapter=LORA)
    nlp.to_disk(tmp_path / "pipeline")
    export_hf(tmp_path / "pipeline", tmp_path / "hf")
    import_hf(str(tmp_path / "hf"), tmp_path / "back")
    back = spacy.load(tmp_path / "back", config={"components": {"ner": {"model": {"encoder": {"precision": "fp32"}}}}})
    docs = [nlp.make_doc(text) for text in TEXTS]
    expected = nlp.get_pipe("ner").model.predict(docs).scores
    np.testing.assert_allclose(back.get_pipe("ner").model.predict(docs).scores, expected, atol=1e-5)


def test_what_decides_on_predictions_and_stays_behind_is_said(checkpoint, tmp_path):
    nlp = train_ner(checkpoint, n_steps=2)
    nlp.get_pipe("ner").cfg["temperature"] = 1.5
    nlp.to_disk(tmp_path / "trained")
    nlp = spacy.load(tmp_path / "trained", config={"components": {"ner": {"min_score": 0.25}}})
    nlp.to_disk(tmp_path / "pipeline")
    notes = export_hf(tmp_path / "pipeline", tmp_path / "hf").notes
    assert ["1.500" in notes[0], "0.250" in notes[1]] == [True, True]


def test_another_reading_of_texts_stays_behind_and_that_is_said(checkpoint, tmp_path):
    nlp = spacy.blank("en")
    nlp.add_pipe("sentencizer")
    encoder = {"name": checkpoint, "tokenize": "tokens", "windows_over": "sentences"}
    nlp.add_pipe("bert_tagger", name="tagger", config={"model": {"encoder": encoder}})
    nlp.initialize(lambda: [Example.from_dict(nlp.make_doc("a"), {"tags": ["X"], "sent_starts": [True]})])
    nlp.to_disk(tmp_path / "pipeline")
    notes = export_hf(tmp_path / "pipeline", tmp_path / "hf").notes
    assert ["tokens one by one" in notes[0], "over sentences" in notes[1]] == [True, True]


def test_transitions_stay_behind_and_that_is_said(checkpoint, tmp_path):
    nlp = train_ner(checkpoint, decoder="crf", n_steps=2)
    nlp.to_disk(tmp_path / "pipeline")
    report = export_hf(tmp_path / "pipeline", tmp_path / "hf")
    assert "transitions" in report.notes[0]
    card = (tmp_path / "hf" / "README.md").read_text()
    assert report.notes[0] in card
    model = AutoModelForTokenClassification.from_pretrained(tmp_path / "hf")
    assert list(model.config.label2id) == ["O", "B-ACTOR", "I-ACTOR", "B-TITLE", "I-TITLE", "B-YEAR", "I-YEAR"]


def test_the_card_says_what_it_is(checkpoint, tmp_path):
    nlp = train_ner(checkpoint, n_steps=1)
    nlp.meta["license"] = "MIT"
    nlp.meta["performance"] = {"ents_f": 0.8874, "ents_per_type": {"YEAR": {"f": 1.0}}, "speed": 12000.0}
    nlp.to_disk(tmp_path / "pipeline")
    report = export_hf(tmp_path / "pipeline", tmp_path / "hf")
    assert report.base_model is None  # the encoder was a directory
    assert "pass its hub id as --base-model" in str(report)
    card = ModelCard.load(tmp_path / "hf" / "README.md")
    front = card.data.to_dict()
    assert (front["language"], front["pipeline_tag"], front["license"]) == (["en"], "token-classification", "mit")
    assert "base_model" not in front
    assert "`B-ACTOR`" in card.text
    assert "on its development data" in card.text
    assert "| ents_f | 88.74 % |" in card.text
    assert "12000" not in card.text
    [result] = card.data.eval_results
    assert (result.metric_type, result.metric_value, result.dataset_split) == ("f1", 0.8874, "validation")


def test_the_card_has_what_is_given(checkpoint, tmp_path):
    train_ner(checkpoint, n_steps=1).to_disk(tmp_path / "pipeline")
    scores = {"ents_p": 0.5, "ents_r": None, "ents_f": 0.66666, "cats_macro_f": 0.1, "speed": 1.0}
    (tmp_path / "test.json").write_text(json.dumps(scores))
    settings = {"base_model": "google-bert/bert-base-uncased", "license": "CC BY 4.0"}
    report = export_hf(tmp_path / "pipeline", tmp_path / "hf", scores_path=tmp_path / "test.json", **settings)
    assert "--base-model" not in str(report)
    card = ModelCard.load(tmp_path / "hf" / "README.md")
    assert (card.data.base_model, card.data.license) == ("google-bert/bert-base-uncased", "cc-by-4.0")
    found = [(each.metric_type, each.metric_value, each.dataset_split) for each in card.data.eval_results]
    assert found == [("precision", 0.5, "test"), ("f1", 0.6667, "test")]
    assert "on its test data" in card.text
    (tmp_path / "test.json").write_text(json.dumps({"cats_macro_f": 0.1, "speed": 1.0}))
    with pytest.raises(DataError, match="has none of ner"):
        export_hf(tmp_path / "pipeline", tmp_path / "other", scores_path=tmp_path / "test.json")
    assert not (tmp_path / "other").exists()


def test_a_card_without_scores_shows_none(checkpoint, tmp_path):
    train_ner(checkpoint, n_steps=1).to_disk(tmp_path / "pipeline")
    export_hf(tmp_path / "pipeline", tmp_path / "hf")
    card = ModelCard.load(tmp_path / "hf" / "README.md")
    assert not card.data.eval_results
    assert "model-index" not in card.content
    assert "Scores" not in card.text


def test_what_the_card_says_about_spacy_works(tmp_path, monkeypatch):
    """Its command makes the pipeline again: language, scheme, and the tag that is never predicted."""
    outputs = {"id2label": dict(enumerate(["O", "I-PER", "B-PER", "X"]))}
    make_checkpoint(tmp_path / "first", "bert", 4, **outputs)
    import_hf(str(tmp_path / "first"), tmp_path / "pipeline", lang="de", scheme="iob1", labels={"X": "-"})
    export_hf(tmp_path / "pipeline", tmp_path / "hf")
    monkeypatch.chdir(tmp_path / "hf")
    [command] = re.findall(r"^spacy-bertft (import-hf .*)$", Path("README.md").read_text(), flags=re.MULTILINE)
    done = CliRunner().invoke(app, shlex.split(command))
    assert done.exit_code == 0, done.output
    before, after = (spacy.load(folder) for folder in (tmp_path / "pipeline", "my-pipeline"))
    assert after.lang == "de"
    settings = [(nlp.get_pipe("ner").model.scheme, nlp.get_pipe("ner").model.never) for nlp in (before, after)]
    assert settings[0] == settings[1] == ("iob1", ["X"])


@pytest.mark.parametrize("layers", ["second_to_last", "scalar_mix"])
def test_features_of_other_layers_are_refused(layers, checkpoint, tmp_path):
    nlp = train_ner(checkpoint, n_steps=1, layers=layers)
    nlp.to_disk(tmp_path / "pipeline")
    with pytest.raises(UnsupportedError, match="layers = last"):
        export_hf(tmp_path / "pipeline", tmp_path / "hf")


def test_errors(checkpoint, tmp_path):
    nlp = train_ner(checkpoint, n_steps=1)
    nlp.to_disk(tmp_path / "pipeline")
    with pytest.raises(DataError, match="is no pipeline"):
        export_hf(tmp_path / "nowhere", tmp_path / "hf")
    with pytest.raises(SettingError, match="one of ner"):
        export_hf(tmp_path / "pipeline", tmp_path / "hf", "tagger")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").touch()
    with pytest.raises(CheckpointError, match=r"thesis\.txt"):
        export_hf(tmp_path / "pipeline", tmp_path / "mine")
    spacy.blank("en").to_disk(tmp_path / "empty")
    with pytest.raises(SettingError, match="has none"):
        export_hf(tmp_path / "empty", tmp_path / "hf")


def test_the_command(tmp_path):
    names = {"id2label": dict(enumerate(["O", "B-PER", "I-PER"]))}
    import_hf(str(make_checkpoint(tmp_path / "first", "bert", 3, **names)), tmp_path / "pipeline")
    arguments = ["export-hf", str(tmp_path / "pipeline"), str(tmp_path / "hf"), "--component", "ner"]
    for _ in range(2):  # an earlier checkpoint is replaced
        done = CliRunner().invoke(app, arguments)
        assert done.exit_code == 0, done.output
    assert "O, B-PER, I-PER" in " ".join(done.output.split())
    config = json.loads((tmp_path / "hf" / "config.json").read_text())
    assert config["architectures"] == ["BertForTokenClassification"]
