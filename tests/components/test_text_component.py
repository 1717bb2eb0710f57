"""What `bert_textcat` and `bert_textcat_multilabel` share: every verb of spaCy."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
import spacy
from small_checkpoints import TEXTS, make_sentences
from small_checkpoints import WORDS as VOCABULARY
from spacy.tokens import Doc, DocBin
from spacy.training import Example
from text_pipelines import BOTH, CATS, choose, make_config, make_examples, make_pipeline, read
from thinc.api import fix_random_seed

from spacy_bertft.data.pairs import make_pair, mark_pair
from spacy_bertft.errors import DataError, SettingError, UnsupportedError
from spacy_bertft.training.optimizer import configure_adamw

both = pytest.mark.parametrize("factory", BOTH)


@pytest.fixture(scope="module")
def trained(checkpoint):
    """Give a pipeline that has learned its texts by heart, made once per factory."""
    return {factory: make_pipeline(checkpoint, factory, n_steps=40) for factory in BOTH}


@both
def test_it_learns(trained, factory):
    nlp = trained[factory]
    assert [choose(doc) for doc in nlp.pipe(TEXTS)] == list(CATS[factory].values())
    scores = nlp.evaluate(make_examples(nlp, CATS[factory]))
    assert scores["cats_score"] == scores["cats_macro_f"] == scores["cats_micro_f"] == 1.0
    assert set(scores["cats_f_per_type"]) == set(nlp.get_pipe(factory).labels)


@both
def test_batches_do_not_matter(trained, factory):
    texts = [*TEXTS, "", *make_sentences(20), " \n "]
    alone = [read(trained[factory](text)) for text in texts]
    for batch_size in (1, 7, 100):
        together = [read(doc) for doc in trained[factory].pipe(texts, batch_size=batch_size)]
        np.testing.assert_allclose(together, alone, atol=1e-5)


@both
def test_predict_writes_nothing_and_set_annotations_computes_nothing(trained, factory, monkeypatch):
    pipe = trained[factory].get_pipe(factory)
    docs = [trained[factory].make_doc(text) for text in TEXTS]
    docs[0].cats["from elsewhere"] = 0.5
    predicted = pipe.predict(docs)
    assert not any(doc.cats for doc in docs[1:])
    monkeypatch.setattr(type(pipe.model), "predict", None)
    pipe.set_annotations(docs, predicted)
    assert docs[0].cats.pop("from elsewhere") == 0.5
    assert [choose(doc) for doc in docs] == list(CATS[factory].values())
    assert all(type(value) is float for value in docs[0].cats.values())


@both
def test_round_trips_over_other_weights(checkpoint, trained, tmp_path, factory):
    nlp, other = trained[factory], make_pipeline(checkpoint, factory)
    expected = [read(doc) for doc in nlp.pipe(TEXTS)]
    assert np.abs(np.array([read(doc) for doc in other.pipe(TEXTS)]) - expected).max() > 0.1
    nlp.to_disk(tmp_path)
    loaded = spacy.load(tmp_path, config={f"components.{factory}.model.encoder.name": "/gone"})
    assert [read(doc) for doc in loaded.pipe(TEXTS)] == expected
    assert [read(doc) for doc in other.from_bytes(nlp.to_bytes()).pipe(TEXTS)] == expected
    again = make_pipeline(checkpoint, factory).from_disk(tmp_path)
    assert [read(doc) for doc in again.pipe(TEXTS)] == expected
    stored = list(DocBin().from_bytes(DocBin(docs=[nlp(TEXTS[0])]).to_bytes()).get_docs(nlp.vocab))
    assert read(stored[0]) == pytest.approx(expected[0], abs=1e-6)  # alone, not in a batch


@both
def test_settings_at_load_time_hold(trained, tmp_path, factory):
    trained[factory].to_disk(tmp_path)
    section = f"components.{factory}"
    loaded = spacy.load(tmp_path, config={f"{section}.threshold": 0.9, f"{section}.model.encoder.precision": "bf16"})
    assert loaded.get_pipe(factory).cfg["threshold"] == 0.9
    exact, rough = read(trained[factory](TEXTS[0])), read(loaded(TEXTS[0]))
    assert exact != rough
    assert exact == pytest.approx(rough, abs=0.1)


@both
def test_labels(checkpoint, factory):
    nlp = make_pipeline(checkpoint, factory)
    pipe = nlp.get_pipe(factory)
    assert pipe.labels == pipe.label_data == tuple(sorted(CATS[factory][TEXTS[0]]))
    assert nlp.pipe_labels[factory] == list(pipe.labels)
    given = ("unseen", *reversed(pipe.labels))
    assert make_pipeline(checkpoint, factory, initialize={"labels": given})("a").cats.keys() == set(given)


@both
def test_add_label(checkpoint, factory):
    nlp = spacy.blank("en")
    pipe = nlp.add_pipe(factory, config=make_config(checkpoint))
    assert [pipe.add_label("extra"), pipe.add_label("extra")] == [1, 0]
    nlp.initialize(lambda: make_examples(nlp, CATS[factory]))
    assert pipe.labels == ("extra", *sorted(CATS[factory][TEXTS[0]]))
    assert len(nlp("a").cats) == 4
    assert pipe.add_label("extra") == 0


@both
def test_errors_of_gold_annotation(trained, factory):
    nlp = trained[factory]
    with pytest.raises(DataError, match="unheard"):
        nlp.update([Example.from_dict(nlp.make_doc("a"), {"cats": {"unheard": 1.0}})])
    fresh = spacy.blank("en")
    fresh.add_pipe(factory)
    with pytest.raises(DataError, match="no labels"):
        fresh.initialize(lambda: [Example.from_dict(fresh.make_doc("a"), {})])


@both
def test_an_example_without_annotation_teaches_nothing(checkpoint, factory):
    nlp = make_pipeline(checkpoint, factory)
    before = nlp.get_pipe(factory).model.to_bytes()
    unknown = Example.from_dict(nlp.make_doc(TEXTS[0]), {"cats": {}})
    losses = nlp.update([unknown], sgd=configure_adamw(1e-2, weight_decay=0.0))
    assert losses == {factory: 0.0}
    assert nlp.get_pipe(factory).model.to_bytes() == before
    known = make_examples(nlp, CATS[factory])[1]
    get_loss = nlp.get_pipe(factory).get_loss
    row = np.array([[2.0, -1.0, 0.5]], dtype=np.float32)
    loss, gradient = get_loss([unknown, known, unknown], row.repeat(3, axis=0))
    alone, alone_gradient = get_loss([known], row)
    assert loss == pytest.approx(alone)
    np.testing.assert_allclose(gradient, alone_gradient * [[0], [1], [0]])


@both
@pytest.mark.parametrize(("setting", "value"), [("threshold", 1.5), ("label_smoothing", 1.0)])
def test_settings_outside_of_what_is_allowed(factory, setting, value):
    with pytest.raises(SettingError) as caught:
        spacy.blank("en").add_pipe(factory, config={setting: value})
    assert (caught.value.name, caught.value.value) == (setting, value)


@both
def test_empty_and_very_long_docs_have_categories_too(trained, factory):
    nlp = trained[factory]
    words = np.random.default_rng(0).choice(VOCABULARY, size=10_000).tolist()
    docs = [nlp.make_doc(""), Doc(nlp.vocab, words=words), nlp.make_doc(" \n\t ")]
    probs = np.array([read(doc) for doc in nlp.pipe(docs)])
    assert np.isfinite(probs).all()
    assert ((probs > 0) & (probs < 1)).all()


@both
def test_a_pair_is_one_however_it_is_made(trained, factory):
    nlp = trained[factory]
    texts = f"{TEXTS[0]}\x1f{TEXTS[1]}", " ".join(TEXTS[:2])
    docs = [make_pair(nlp, TEXTS[0], TEXTS[1]), *(mark_pair(nlp.make_doc(text)) for text in texts)]
    # Logits: once a text is known by heart, its probabilities hardly move.
    made, written, single = nlp.get_pipe(factory).model.predict(docs)
    assert made == pytest.approx(written, abs=1e-5)
    assert made != pytest.approx(single, abs=1e-3)


@both
def test_dropout_is_that_of_the_update(checkpoint, factory):
    losses = {}
    for drop in (0.0, 0.0, 0.5):
        nlp = make_pipeline(checkpoint, factory, encoder={"frozen_layers": "all"})
        fix_random_seed(1)
        losses.setdefault(drop, []).append(nlp.update(make_examples(nlp, CATS[factory]), drop=drop)[factory])
    assert losses[0.0][0] == losses[0.0][1] != losses[0.5][0]


@both
def test_a_new_process_can_be_given_the_component(trained, factory):
    """Where processes are spawned, not forked, `nlp.pipe(n_process=2)` sends it to them."""
    copied = pickle.loads(pickle.dumps(trained[factory].get_pipe(factory)))
    docs = [trained[factory].make_doc(text) for text in TEXTS]
    copied.set_annotations(docs, copied.predict(docs))
    assert [choose(doc) for doc in docs] == list(CATS[factory].values())


@pytest.mark.process
@both
def test_processes(trained, factory):
    """The parent has run the model before: that is what hangs elsewhere."""
    expected = [read(doc) for doc in trained[factory].pipe(TEXTS * 4)]
    docs = list(trained[factory].pipe(TEXTS * 4, n_process=2, batch_size=5))
    np.testing.assert_allclose([read(doc) for doc in docs], expected, atol=1e-5)


@both
def test_a_seed_gives_the_same_weights(checkpoint, factory):
    contents = [make_pipeline(checkpoint, factory, n_steps=3).get_pipe(factory).model.to_bytes() for _ in range(2)]
    assert contents[0] == contents[1]


@both
def test_the_loss_of_probabilities_is_that_of_their_scores(trained, factory):
    """spaCy's documentation calls `get_loss` with what `predict` gives."""
    nlp = trained[factory]
    pipe = nlp.get_pipe(factory)
    examples = make_examples(nlp, CATS[factory])
    docs = [example.predicted for example in examples]
    scores = pipe.model.predict(docs)
    for temperature in (1.0, 2.0):
        pipe.cfg["temperature"] = temperature
        loss, gradient = pipe.get_loss(examples, pipe.predict(docs))
        expected_loss, expected = pipe.get_loss(examples, scores)
        assert loss == pytest.approx(expected_loss, rel=1e-4)
        np.testing.assert_allclose(gradient, expected, atol=1e-6)
    pipe.cfg["temperature"] = 1.0
    with pytest.raises(UnsupportedError, match=rf"no probabilities.*{factory}\.model\.predict\(docs\)"):
        pipe.get_loss(examples, scores.astype(np.float64))
