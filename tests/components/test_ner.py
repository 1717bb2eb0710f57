"""`bert_ner`: every verb of spaCy."""

from __future__ import annotations

import pickle
import warnings

import numpy as np
import pytest
import spacy
import torch
from small_checkpoints import TEXTS, make_checkpoint, make_sentences
from spacy.language import Language
from spacy.tokens import Doc, DocBin, Span
from spacy.training import Example
from thinc.api import fix_random_seed

from spacy_bertft.errors import BertftError, DataError, SettingError
from spacy_bertft.models.heads.losses import compute_divergence
from spacy_bertft.training.optimizer import configure_adamw

ENTITIES = {
    TEXTS[0]: {"entities": [(19, 33, "ACTOR"), (43, 48, "YEAR")]},
    TEXTS[1]: {"entities": [(13, 26, "TITLE")]},
    TEXTS[3]: {"entities": [(20, 38, "TITLE")]},
    TEXTS[4]: {"entities": [(39, 51, "ACTOR"), (56, 67, "ACTOR")]},
    "hello": {"entities": []},
    "": {"entities": []},
}


def make_config(checkpoint: str, **settings):
    # A smoothed loss would not fall to zero.
    model = {"encoder": {"name": checkpoint, "precision": "fp32"}, "token_loss": 0.0, "label_smoothing": 0.0}
    return {"model": model, **settings}


def make_examples(nlp: Language) -> list[Example]:
    return [Example.from_dict(nlp.make_doc(text), gold) for text, gold in ENTITIES.items()]


def train(nlp: Language, examples: list[Example], n_steps: int = 40) -> dict[str, float]:
    nlp.initialize(lambda: examples)
    optimizer = configure_adamw(5e-3)
    for _ in range(n_steps):
        losses = nlp.update(examples, sgd=optimizer)
    return losses


def read(doc: Doc) -> list[tuple[int, int, str]]:
    return [(ent.start_char, ent.end_char, ent.label_) for ent in doc.ents]


@pytest.fixture(scope="module")
def nlp(checkpoint) -> Language:
    """A pipeline that has learned its six texts by heart."""
    fix_random_seed(0)
    nlp = spacy.blank("en")
    nlp.add_pipe("bert_ner", config=make_config(checkpoint))
    losses = train(nlp, make_examples(nlp))
    assert losses["bert_ner"] < 0.1
    return nlp


def test_it_learns(nlp):
    docs = list(nlp.pipe(ENTITIES))
    assert [read(doc) for doc in docs] == [gold["entities"] for gold in ENTITIES.values()]
    scores = nlp.evaluate(make_examples(nlp))
    assert scores["ents_f"] == scores["ents_token_f"] == 1.0
    assert set(scores["ents_per_type"]) == {"ACTOR", "YEAR", "TITLE"}


def test_batches_do_not_matter(nlp):
    texts = [*ENTITIES, "", *make_sentences(20), " "]
    alone = [read(nlp(text)) for text in texts]
    for batch_size in (1, 7, 100):
        assert [read(doc) for doc in nlp.pipe(texts, batch_size=batch_size)] == alone


def test_scores_of_entities_survive_a_doc_bin(nlp):
    doc = nlp(TEXTS[0])
    scores = doc.spans["bert_ner"].attrs["scores"]
    assert len(scores) == len(doc.ents) == 2
    assert all(0.5 < score <= 1 for score in scores)
    assert [ent._.bertft_score for ent in doc.ents] == scores
    assert doc[0:1]._.bertft_score is None
    [stored] = DocBin().from_bytes(DocBin(docs=[doc]).to_bytes()).get_docs(spacy.blank("en").vocab)
    assert [ent._.bertft_score for ent in stored.ents] == scores


def test_nothing_but_annotations_stays_on_the_doc(nlp):
    doc = nlp(TEXTS[0])
    assert doc.tensor.size == 0
    expected = {("._.", "bertft_score", e.start_char, e.end_char): {e.label_: e._.bertft_score} for e in doc.ents}
    assert doc.user_data == expected
    assert [name for name in dir(doc._) if name not in dir(spacy.blank("en")("a")._)] == []


def test_predict_writes_nothing_and_set_annotations_computes_nothing(nlp, monkeypatch):
    ner = nlp.get_pipe("bert_ner")
    docs = [nlp.make_doc(text) for text in ENTITIES]
    predicted = ner.predict(docs)
    assert not any(doc.ents or doc.spans for doc in docs)
    monkeypatch.setattr(type(ner.model), "predict", None)
    ner.set_annotations(docs, predicted)
    assert [read(doc) for doc in docs] == [gold["entities"] for gold in ENTITIES.values()]


def test_tokens_that_are_no_entity_are_outside(nlp):
    assert all(token.ent_iob_ in "BIO" for text in ENTITIES for token in nlp(text))
    assert nlp("hello")[0].ent_iob_ == "O"


def test_whitespace_inside_an_entity_does_not_break_it(nlp):
    doc = nlp(TEXTS[0].replace("drew barrymore", "drew  \n barrymore"))
    assert [ent.text for ent in doc.ents] == ["drew  \n barrymore", "1980s"]


def test_min_score_leaves_out_unsure_entities(nlp, tmp_path):
    scores = nlp(TEXTS[0]).spans["bert_ner"].attrs["scores"]
    nlp.to_disk(tmp_path)
    strict = spacy.load(tmp_path, config={"components": {"bert_ner": {"min_score": sum(scores) / 2}}})
    assert len(strict(TEXTS[0]).ents) == 1
    assert strict(TEXTS[0]).spans["bert_ner"].attrs["scores"] == [max(scores)]


def test_round_trips_over_other_weights(nlp, checkpoint, tmp_path):
    expected = [read(doc) for doc in nlp.pipe(ENTITIES)]
    nlp.to_disk(tmp_path)
    assert [read(doc) for doc in spacy.load(tmp_path).pipe(ENTITIES)] == expected
    other = spacy.blank("en")
    other.add_pipe("bert_ner", config=make_config(checkpoint))
    other.initialize(lambda: make_examples(other))
    assert [read(doc) for doc in other.pipe(ENTITIES)] != expected
    other.from_bytes(nlp.to_bytes())
    assert [read(doc) for doc in other.pipe(ENTITIES)] == expected
    component = spacy.load(tmp_path, exclude=["bert_ner"])
    assert component.pipe_names == []


def test_settings_at_load_time_hold(nlp, tmp_path):
    nlp.to_disk(tmp_path)
    override = {"components.bert_ner.model.encoder.precision": "bf16", "components.bert_ner.overwrite": True}
    loaded = spacy.load(tmp_path, config=override)
    assert loaded.get_pipe("bert_ner").cfg["overwrite"] is True
    doc = nlp.make_doc(TEXTS[0])
    exact, rough = (p.get_pipe("bert_ner").model.predict([doc]).scores for p in (nlp, loaded))
    assert not np.array_equal(exact, rough)


def test_a_stored_pipeline_needs_no_checkpoint(nlp, tmp_path):
    nlp.to_disk(tmp_path)
    loaded = spacy.load(tmp_path, config={"components.bert_ner.model.encoder.name": "/gone"})
    assert read(loaded(TEXTS[0])) == ENTITIES[TEXTS[0]]["entities"]


def test_sourcing_and_two_in_one_pipeline(nlp, checkpoint, tmp_path):
    nlp.to_disk(tmp_path)
    both = spacy.blank("en")
    both.add_pipe("bert_ner", source=spacy.load(tmp_path), name="first")
    both.add_pipe("bert_ner", name="second", config=make_config(checkpoint))
    gold = {"entities": [(0, 4, "VERB")]}
    examples = [Example.from_dict(both.make_doc(TEXTS[0]), gold)]
    second = both.get_pipe("second")
    fix_random_seed(0)
    second.initialize(lambda: examples)
    optimizer = configure_adamw(5e-3)
    for _ in range(30):
        second.update(examples, sgd=optimizer)
    doc = both(TEXTS[0])
    assert read(doc) == [(0, 4, "VERB"), *ENTITIES[TEXTS[0]]["entities"]]
    assert [len(doc.spans[name]) for name in ("first", "second")] == [2, 1]
    with both.select_pipes(disable=["second"]):
        assert read(both(TEXTS[0])) == ENTITIES[TEXTS[0]]["entities"]


def test_beside_other_components(nlp, checkpoint):
    mixed = spacy.blank("en")
    mixed.add_pipe("sentencizer")
    ruler = mixed.add_pipe("entity_ruler")
    ruler.add_patterns([{"label": "RULE", "pattern": "show"}])
    mixed.add_pipe("bert_ner", config=make_config(checkpoint))
    mixed.initialize(lambda: make_examples(mixed))
    ruler.add_patterns([{"label": "RULE", "pattern": "show"}])
    mixed.get_pipe("bert_ner").from_bytes(nlp.get_pipe("bert_ner").to_bytes())
    assert read(mixed(TEXTS[0])) == [(0, 4, "RULE"), *ENTITIES[TEXTS[0]]["entities"]]


def test_labels_from_a_file(checkpoint):
    nlp = spacy.blank("en")
    ner = nlp.add_pipe("bert_ner", config=make_config(checkpoint))
    ner.initialize(lambda: make_examples(nlp), nlp=nlp, labels=["TITLE", "ACTOR", "YEAR", "UNSEEN"])
    assert ner.labels == ner.label_data == ("TITLE", "ACTOR", "YEAR", "UNSEEN")


def test_add_label(checkpoint):
    nlp = spacy.blank("en")
    ner = nlp.add_pipe("bert_ner", config=make_config(checkpoint))
    assert [ner.add_label("EXTRA"), ner.add_label("EXTRA")] == [1, 0]
    nlp.initialize(lambda: make_examples(nlp))
    assert ner.labels == ("EXTRA", "ACTOR", "TITLE", "YEAR")
    assert nlp.pipe_labels["bert_ner"] == list(ner.labels)
    assert ner.add_label("YEAR") == 0


def test_a_label_that_is_not_known_is_one_clear_error(nlp):
    example = Example.from_dict(nlp.make_doc("hello"), {"entities": [(0, 5, "GREETING")]})
    with pytest.raises(DataError, match="GREETING"):
        nlp.get_pipe("bert_ner").update([example])


def test_no_labels_is_one_clear_error(checkpoint):
    nlp = spacy.blank("en")
    nlp.add_pipe("bert_ner", config=make_config(checkpoint))
    with pytest.raises(DataError, match="no labels"):
        nlp.initialize(lambda: [Example.from_dict(nlp.make_doc("a"), {"entities": []})])


def test_min_score_is_a_probability():
    with pytest.raises(BertftError, match="min_score"):
        spacy.blank("en").add_pipe("bert_ner", config={"min_score": 2})


def test_entities_that_do_not_fit_the_tokens_leave_the_loss_and_are_counted(checkpoint):
    nlp = spacy.blank("en")
    ner = nlp.add_pipe("bert_ner", config=make_config(checkpoint))
    nlp.initialize(lambda: make_examples(nlp))
    reference = Doc(nlp.vocab, words=["barry", "more", "films", "1980s"], spaces=[False, True, True, False])
    reference.ents = [Span(reference, 0, 1, label="ACTOR"), Span(reference, 3, 4, label="YEAR")]
    example = Example(nlp.make_doc(reference.text), reference)
    answer, _ = ner.model.begin_update([example.predicted])
    with pytest.warns(UserWarning, match=r"'barry' does not fit"):
        _, gradient = ner.get_loss([example], answer)
    assert np.abs(gradient.scores[1:]).sum() > 0
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        ner.get_loss([example], answer)
    assert ner.n_misaligned == 2


def test_tokens_without_annotation_leave_the_loss(nlp):
    ner = nlp.get_pipe("bert_ner")
    doc = nlp.make_doc(TEXTS[0])
    reference = doc.copy()
    reference.set_ents([Span(reference, 4, 6, label="TITLE")], default="missing")
    answer, _ = ner.model.begin_update([doc])
    loss, gradient = ner.get_loss([Example(doc, reference)], answer)
    assert loss > 0.1
    unknown = reference.copy()
    unknown.set_ents([], default="missing")
    loss, gradient = ner.get_loss([Example(doc, unknown)], answer)
    assert loss == pytest.approx(0, abs=1e-9)
    assert np.abs(gradient.scores).max() < 1e-9


def test_token_loss_and_label_smoothing_add_to_the_loss(checkpoint):
    losses = {}
    for token_loss, label_smoothing in [(0.0, 0.0), (1.0, 0.0), (0.5, 0.0), (1.0, 0.2)]:
        fix_random_seed(7)
        nlp = spacy.blank("en")
        config = make_config(checkpoint)
        config["model"] |= {"token_loss": token_loss, "label_smoothing": label_smoothing, "dropout": 0.0}
        ner = nlp.add_pipe("bert_ner", config=config)
        examples = make_examples(nlp)
        nlp.initialize(lambda examples=examples: examples)
        answer = ner.model.predict([example.predicted for example in examples])
        losses[token_loss, label_smoothing], gradient = ner.get_loss(examples, answer)
        assert gradient.scores.sum() == pytest.approx(0, abs=1e-6)
    whole, both = losses[0.0, 0.0], losses[1.0, 0.0]
    assert both > whole
    assert losses[0.5, 0.0] == pytest.approx((whole + both) / 2)
    assert losses[1.0, 0.2] not in (whole, both)


def test_a_seed_gives_the_same_weights(checkpoint):
    def run() -> bytes:
        fix_random_seed(7)
        nlp = spacy.blank("en")
        nlp.add_pipe("bert_ner", config=make_config(checkpoint))
        train(nlp, make_examples(nlp), n_steps=3)
        return nlp.get_pipe("bert_ner").model.to_bytes()

    assert run() == run()


def test_a_new_process_can_be_given_the_component(nlp):
    """Where processes are spawned, not forked, `nlp.pipe(n_process=2)` sends it to them."""
    copied = pickle.loads(pickle.dumps(nlp.get_pipe("bert_ner")))
    docs = [nlp.make_doc(text) for text in ENTITIES]
    copied.set_annotations(docs, copied.predict(docs))
    assert [read(doc) for doc in docs] == [gold["entities"] for gold in ENTITIES.values()]


@pytest.mark.process
@pytest.mark.parametrize("n_process", [2])
def test_processes(nlp, n_process):
    """The parent has run the model before: that is what hangs elsewhere."""
    texts = [*ENTITIES] * 8
    expected = [read(doc) for doc in nlp.pipe(texts)]
    docs = list(nlp.pipe(texts, n_process=n_process, batch_size=8))
    assert [read(doc) for doc in docs] == expected
    assert docs[0].spans["bert_ner"].attrs["scores"]


def make_consistent(checkpoint: str, consistency: float, dropout: float) -> Language:
    fix_random_seed(0)
    nlp = spacy.blank("en")
    encoder = {"name": checkpoint, "precision": "fp32"}
    nlp.add_pipe("bert_ner", config={"model": {"encoder": encoder, "consistency": consistency, "dropout": dropout}})
    nlp.initialize(lambda: make_examples(nlp))
    return nlp


def test_two_passes_without_dropout_are_one(tmp_path):
    """The gradient is the same too: after a step of training the weights are."""
    pipes = []
    rates = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    checkpoint = str(make_checkpoint(tmp_path / "checkpoint", "bert", **rates))
    for consistency in (0.0, 5.0):
        nlp = make_consistent(checkpoint, consistency, 0.0)
        losses = [nlp.update(make_examples(nlp), sgd=configure_adamw(5e-3))["bert_ner"] for _ in range(2)]
        pipes.append((losses, [ent._.bertft_score for doc in nlp.pipe(ENTITIES) for ent in doc.ents]))
    (one, scores), (two, same_scores) = pipes
    assert two == pytest.approx(one, rel=1e-4)
    assert same_scores == pytest.approx(scores, rel=1e-3)


def test_passes_that_differ_cost_and_are_drawn_together(checkpoint):
    def measure(consistency: float) -> tuple[float, float]:
        nlp = make_consistent(checkpoint, consistency, 0.4)
        examples = make_examples(nlp)
        first = nlp.update(examples, sgd=False)["bert_ner"]
        optimizer = configure_adamw(2e-3)
        for _ in range(20):
            nlp.update(examples, sgd=optimizer)
        pipe = nlp.get_pipe("bert_ner")
        scores, _ = pipe.model.begin_update([example.predicted for example in examples])
        halves = np.split(scores.scores, 2) if consistency else (scores.scores, scores.scores)
        return first, compute_divergence(*map(torch.from_numpy, halves)).item()

    assert measure(8.0)[0] > measure(1e-6)[0]
    assert 0 < measure(8.0)[1] < measure(1e-6)[1]


def test_consistency_needs_an_encoder_of_its_own():
    shared = {"@architectures": "spacy-bertft.SharedEncoder.v1"}
    with pytest.raises(SettingError) as caught:
        spacy.blank("en").add_pipe("bert_ner", config={"model": {"encoder": shared, "consistency": 1.0}})
    assert caught.value.name == "consistency"
