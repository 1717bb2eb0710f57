"""`bert_qa`: it learns, is stored, shares an encoder, and says when there is no answer."""

from __future__ import annotations

import numpy as np
import pytest
import spacy
from commands import run
from question_pipelines import QUESTIONS, make_examples, make_qa, make_question
from small_checkpoints import TEXTS
from spacy.tokens import DocBin
from spacy.training import Corpus, Example
from taught_pipelines import GOLD, SHARED
from thinc.api import fix_random_seed

from spacy_bertft import ask
from spacy_bertft.components.calibration import calibrate
from spacy_bertft.components.question_answering import BertQa
from spacy_bertft.data.pairs import make_pair
from spacy_bertft.errors import CheckpointError, DataError, SettingError, UnsupportedError
from spacy_bertft.exchange.package import package
from spacy_bertft.training.calibration import CalibrationData, fit_no_answer_threshold
from spacy_bertft.training.optimizer import configure_adamw

EXPECTED = [[answer] if answer else [] for _, _, answer in QUESTIONS]


def find_answers(nlp) -> list[list[str]]:
    return [[answer.text for answer in ask(nlp, question, context)] for question, context, _ in QUESTIONS]


@pytest.fixture(scope="module")
def taught(checkpoint):
    return make_qa(checkpoint, n_steps=40)


def test_it_answers_what_it_was_taught(taught):
    assert find_answers(taught) == EXPECTED
    question, context, text = QUESTIONS[0]
    [answer] = ask(taught, question, context)
    assert context[answer.char_start : answer.char_end] == text == answer.text
    assert answer.prob > 0.9
    doc = taught(f"{question}\x1f{context}")
    assert [span.text for span in doc.spans["answers"]] == [text]
    assert doc.spans["answers"].attrs["scores"] == pytest.approx([answer.prob])
    assert doc.spans["answers"].attrs["no_answer"] < 0.1
    assert "answers" not in taught(TEXTS[0]).spans
    scores = taught.evaluate(make_examples(taught))
    assert scores["qa_em"] == scores["qa_f1"] == scores["qa_no_answer_acc"] == 1.0
    assert scores["qa_calibration_error"] < 0.1


def test_it_is_stored_and_loaded_over_other_weights(taught, checkpoint, tmp_path):
    taught.get_pipe("bert_qa").cfg["threshold"] = 0.25
    other = make_qa(checkpoint, QUESTIONS[:1])
    assert other.get_pipe("bert_qa").cfg["threshold"] is None
    other.get_pipe("bert_qa").from_bytes(taught.get_pipe("bert_qa").to_bytes())
    taught.to_disk(tmp_path / "pipeline")
    for nlp in (other, spacy.load(tmp_path / "pipeline")):
        assert find_answers(nlp) == EXPECTED
        assert nlp.get_pipe("bert_qa").cfg["threshold"] == 0.25
    broken = taught.get_pipe("bert_qa").list_stored() | {"threshold": 2}
    with pytest.raises(CheckpointError, match="The threshold is 2"):
        other.get_pipe("bert_qa")._set_stored(broken)


def test_batches_and_number_formats_give_the_same_answers(taught, tmp_path):
    texts = [f"{question}\x1f{context}" for question, context, _ in QUESTIONS]
    mixed = [texts[0], TEXTS[0], texts[1], "", texts[2], texts[3]]
    taught.to_disk(tmp_path / "pipeline")
    half = {"components": {"bert_qa": {"model": {"encoder": {"precision": "bf16"}}}}}
    for nlp in (taught, spacy.load(tmp_path / "pipeline", config=half)):
        docs = [doc for doc in nlp.pipe(mixed, batch_size=4) if "answers" in doc.spans]
        assert [[span.text for span in doc.spans["answers"]] for doc in docs] == EXPECTED


def test_several_answers_are_ranked(checkpoint):
    nlp = make_qa(checkpoint, QUESTIONS[:2], n_best=3, max_answer_tokens=2)
    doc = nlp("who?\x1fshow me films with drew barrymore")
    probs = doc.spans["answers"].attrs["scores"]
    assert len(probs) == 3
    assert probs == sorted(probs, reverse=True)
    assert all(len(span) <= 2 and span.start_char >= 5 for span in doc.spans["answers"])
    assert doc.spans["answers"].attrs["no_answer"] is None


def test_one_of_two_components_answers(taught, checkpoint):
    nlp = make_qa(checkpoint)  # which has learned nothing
    nlp.add_pipe("bert_qa", source=taught, name="taught", before="bert_qa")
    question, context = QUESTIONS[0][:2]
    assert ask(nlp, question, context, "taught") == ask(taught, question, context)


def test_training_from_a_file_and_a_threshold_from_development_data(checkpoint, tmp_path):
    nlp = make_qa(checkpoint, QUESTIONS[:3])
    DocBin(docs=[each.reference for each in make_examples(nlp)]).to_disk(tmp_path / "questions.spacy")
    corpus = Corpus(tmp_path / "questions.spacy")
    optimizer = configure_adamw(5e-3)
    for _ in range(40):
        nlp.update(list(corpus(nlp)), sgd=optimizer, annotates=["text_pair"])
    pipe = nlp.get_pipe("bert_qa")
    assert pipe.cfg["threshold"] == 0.5
    [data] = calibrate(nlp, corpus(nlp)).values()
    assert data.is_correct.all()
    assert data.has_answer.tolist() == [True, True, False, True]
    assert 0 < pipe.cfg["threshold"] < 1
    assert find_answers(nlp) == EXPECTED


def test_the_threshold_with_the_best_f1_by_hand():
    probs = np.array([0.9, 0.1, 0.6, 0.4])
    f1 = np.array([[0.0, 1.0], [1.0, 0.0], [0.5, 0.0], [0.0, 1.0]])  # if it is answered, and if not
    data = CalibrationData(lambda t: probs, probs > 0.5, 2, lambda t: probs**t, f1, np.array([0, 1, 1, 0], dtype=bool))
    # Answered below 0.25: 1 + 2; below 0.5: 1 + 0 + 1; below 0.75: 1 + 0 + 0.5 + 1.
    assert fit_no_answer_threshold(data, 1.0) == pytest.approx(0.25)
    assert fit_no_answer_threshold(data, 2.0) == pytest.approx((0.01 + 0.16) / 2)
    same = CalibrationData(lambda t: probs, probs > 0.5, 2, lambda t: probs * 0 + 0.3, f1, data.has_answer)
    assert fit_no_answer_threshold(same, 1.0) == 0.0  # giving none: 2; answering all: 1.5
    all_have = CalibrationData(lambda t: probs, probs > 0.5, 2, lambda t: probs, f1, np.ones(4, dtype=bool))
    assert fit_no_answer_threshold(all_have, 1.0) is None


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*not among the labels that were given")  # of the other component
@pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning")  # of spaCy's own `package`
def test_one_encoder_for_every_head_trained_together(checkpoint, tmp_path):
    fix_random_seed(0)
    nlp = spacy.blank("en")
    nlp.add_pipe("text_pair")
    nlp.add_pipe("bert_encoder", config={"model": {"name": checkpoint, "precision": "fp32"}})
    for factory in ("bert_ner", "bert_textcat", "bert_regressor", "bert_qa"):
        nlp.add_pipe(factory, config={"model": {"encoder": SHARED}})
    examples = make_examples(nlp)
    for text, ents, cats in zip(TEXTS, GOLD["bert_ner"], GOLD["bert_textcat"], strict=False):
        gold = {"cats": cats["cats"] | {"length": float(len(text))}}
        examples.append(Example.from_dict(nlp.make_doc(text), ents | gold))
    labels = {"bert_textcat": ["film", "other"], "bert_regressor": ["length"]}
    nlp.config["initialize"]["components"] = {name: {"labels": each} for name, each in labels.items()}
    nlp.initialize(lambda: examples)
    optimizer = configure_adamw(5e-3)
    for _ in range(60):
        losses = nlp.update(examples, sgd=optimizer)
    assert losses.keys() >= {"bert_ner", "bert_textcat", "bert_regressor", "bert_qa"}
    nlp.to_disk(tmp_path / "pipeline")
    package(tmp_path / "pipeline", tmp_path / "ours", build="none")
    (tmp_path / "theirs").mkdir()
    run("spacy", "package", "pipeline", "theirs", "--build", "none", cwd=tmp_path)
    packaged = sorted(path.parent for path in tmp_path.glob("*/en_*/en_*/en_*/config.cfg"))
    assert [path.relative_to(tmp_path).parts[0] for path in packaged] == ["ours", "theirs"]
    loaded = [spacy.load(path) for path in (tmp_path / "pipeline", *packaged)]
    for pipeline in (nlp, *loaded):
        assert find_answers(pipeline) == EXPECTED
        for text, ents, cats in zip(TEXTS, GOLD["bert_ner"], GOLD["bert_textcat"], strict=False):
            doc = pipeline(text)
            assert [(ent.start_char, ent.end_char, ent.label_) for ent in doc.ents] == ents["entities"]
            assert doc.cats["length"] == pytest.approx(len(text), abs=3)
            assert (doc.cats["film"] > doc.cats["other"]) == (cats["cats"]["film"] == 1)
    expected, *found = [list(each.pipe([doc.reference.copy() for doc in examples])) for each in (nlp, *loaded)]
    for docs in found:
        assert [doc.cats for doc in docs] == [pytest.approx(doc.cats, abs=1e-5) for doc in expected]


def test_what_cannot_be_learned_is_counted_and_reported_once(checkpoint):
    nlp = make_qa(checkpoint, QUESTIONS[:2], max_answer_tokens=2)
    pipe = nlp.get_pipe("bert_qa")
    golds = [
        make_question(nlp, "who?", TEXTS[0], None),
        make_question(nlp, "who?", TEXTS[0], ["films with drew"]),
        make_question(nlp, "who?", TEXTS[0], ["drew"]),
    ]
    examples = [Example(make_pair(nlp, *gold.text.split("\x1f")), gold) for gold in golds]
    scores = pipe.model.predict([example.predicted for example in examples])
    with pytest.warns(UserWarning, match="'films with drew' cannot be predicted: .* more than 2 tokens"):
        loss, gradient = pipe.get_loss(examples, scores)
    assert (pipe.n_unknown, pipe.n_unreachable) == (1, 1)
    alone, _ = pipe.get_loss(examples[2:], pipe.model.predict([examples[2].predicted]))
    assert loss == pytest.approx(alone, rel=1e-5)
    assert gradient.shape == scores.scores.shape
    without = make_question(nlp, "who?", TEXTS[0], [])
    example = Example(make_pair(nlp, "who?", TEXTS[0]), without)
    with pytest.raises(DataError, match="Initialize it with examples of both"):
        pipe.get_loss([example], pipe.model.predict([example.predicted]))


def test_what_makes_no_sense_is_an_error(checkpoint, taught):
    pipe = taught.get_pipe("bert_qa")
    gold = make_question(taught, "who?", TEXTS[0], ["drew"])
    del gold.spans["text_pair"]
    example = Example(taught.make_doc(gold.text), gold)
    with pytest.raises(DataError, match=r"has doc.spans\['answers'\], but its predicted document is no pair"):
        taught.update([example], sgd=configure_adamw(1e-3))
    with pytest.raises(UnsupportedError, match="perhaps from predict"):
        pipe.get_loss([], pipe.predict([]))
    with pytest.raises(UnsupportedError, match="has no labels"):
        pipe.add_label("a")
    with pytest.raises(SettingError, match="component"):
        ask(taught, "who?", "drew", component="ner")
    with pytest.raises(SettingError, match="bert_qa, but the pipeline has none"):
        ask(spacy.blank("en"), "who?", "drew")
    for settings in ({"n_best": 0}, {"max_answer_tokens": 0}, {"spans_key": "text_pair"}):
        with pytest.raises(SettingError, match=next(iter(settings))):
            spacy.blank("en").add_pipe("bert_qa", config=settings)


def test_it_rehearses(checkpoint):
    nlp = make_qa(checkpoint, n_steps=5)
    optimizer = nlp.resume_training()
    optimizer.learn_rate = 5e-3
    examples = make_examples(nlp)
    assert nlp.get_pipe("bert_qa").rehearse(examples)["bert_qa"] == pytest.approx(0.0, abs=0.05)
    nlp.update(examples, sgd=configure_adamw(5e-2))
    first = nlp.get_pipe("bert_qa").rehearse(examples, sgd=configure_adamw(5e-3))["bert_qa"]
    for _ in range(20):
        last = nlp.get_pipe("bert_qa").rehearse(examples, sgd=configure_adamw(5e-3))["bert_qa"]
    assert last < first


def test_long_contexts_are_read_in_windows_and_long_questions_are_told(checkpoint):
    nlp = make_qa(checkpoint, QUESTIONS[:1])
    long = " ".join(TEXTS * 10)
    pipe: BertQa = nlp.get_pipe("bert_qa")
    assert len(ask(nlp, "who?", long)) == 1
    assert pipe.n_truncated == 0
    with pytest.warns(UserWarning, match="a question fills more than half of a window"):
        ask(nlp, " ".join(TEXTS), long)
    assert pipe.n_truncated == 1
