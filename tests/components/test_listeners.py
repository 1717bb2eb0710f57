"""spaCy's own components on the encoder of a `bert_encoder`, alongside our heads."""

from __future__ import annotations

import copy
import logging
from importlib.util import find_spec
from threading import Thread

import pytest
import spacy
from small_checkpoints import TEXTS, make_checkpoint
from spacy.kb import InMemoryLookupKB
from spacy.language import Language
from spacy.training import Example
from spacy.training.initialize import init_nlp
from stock_components import SHARED, STOCK, add_stock, make_examples, make_gold, make_stock_pipeline, read
from thinc.api import Config, Model

from spacy_bertft.errors import MissingEncoderError, SettingError, ShapeError, UnsupportedError
from spacy_bertft.models.heads.head import find_own_encoder
from spacy_bertft.training.optimizer import configure_adamw

LONG = " ".join(TEXTS * 4)  # some windows
MIXED = [*TEXTS, LONG, "", "  ", *TEXTS[::-1]]
FEW = ("tagger", "parser", "textcat")


@pytest.fixture(scope="module")
def taught(checkpoint) -> Language:
    return make_stock_pipeline(checkpoint, n_steps=30)


@pytest.fixture(scope="module")
def folder(taught, tmp_path_factory) -> str:
    taught.to_disk(folder := tmp_path_factory.mktemp("taught"))
    return str(folder)


def count_passes(nlp: Language, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Note the number of documents of each pass of the encoder from now on."""
    passes: list[int] = []
    encoder = nlp.get_pipe("bert_encoder").model
    forward = encoder._func
    counted = lambda model, docs, is_train: passes.append(len(docs)) or forward(model, docs, is_train)  # noqa: E731
    monkeypatch.setattr(encoder, "_func", counted)
    return passes


def read_all(nlp: Language, texts=MIXED, **settings) -> list[dict]:
    return [read(doc) for doc in nlp.pipe(texts, **settings)]


@pytest.mark.slow
def test_all_components_learn(taught):
    for text in TEXTS[:4]:
        doc, gold = taught(text), make_gold(taught, text)
        for attribute in ("tag_", "pos_", "lemma_", "dep_", "is_sent_start"):
            assert [getattr(token, attribute) for token in doc] == [getattr(token, attribute) for token in gold]
        assert [token.head.i for token in doc] == [token.head.i for token in gold]
        assert [str(token.morph) for token in doc] == [str(token.morph) for token in gold]
        assert [(ent.start, ent.end, ent.label_) for ent in doc.ents] == [(1, 3, "SECOND")]
        assert [(span.start, span.end) for span in doc.spans["bert_ner"]] == [(1, 3)]
        assert max(doc.cats, key=doc.cats.get) == max(gold.cats, key=gold.cats.get)


@pytest.mark.slow
def test_a_stored_pipeline_predicts_the_same(taught, folder):
    assert read_all(spacy.load(folder)) == read_all(taught)


@pytest.mark.slow
def test_batches_and_threads_predict_the_same(taught):
    expected = read_all(taught)
    assert read_all(taught, batch_size=3) == expected
    found: list[list[dict]] = []
    threads = [Thread(target=lambda size=size: found.append(read_all(taught, batch_size=size))) for size in (2, 5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [expected] * 2


@pytest.mark.process
def test_processes_predict_the_same(taught):
    assert read_all(taught, n_process=2, batch_size=4) == read_all(taught)


def test_one_pass_in_training(checkpoint, monkeypatch):
    nlp = make_stock_pipeline(checkpoint)
    passes = count_passes(nlp, monkeypatch)
    nlp.update(make_examples(nlp), sgd=configure_adamw(1e-4))
    assert passes == [4]


def test_one_more_pass_for_all_that_annotate_in_training(checkpoint, monkeypatch):
    nlp = make_stock_pipeline(checkpoint, ("parser", "ner", "tagger"))
    passes = count_passes(nlp, monkeypatch)
    nlp.update(make_examples(nlp), sgd=False, annotates=["parser", "ner"])
    assert passes == [4, 4]


@pytest.mark.slow
@pytest.mark.parametrize("batch_size", [2, 4, 100])
def test_one_pass_for_each_batch(taught, batch_size, monkeypatch):
    """Although `parser` and `ner` sort the documents of a batch, and take it in parts."""
    passes = count_passes(taught, monkeypatch)
    list(taught.pipe(MIXED, batch_size=batch_size))
    sizes = [len(MIXED[start : start + batch_size]) for start in range(0, len(MIXED), batch_size)]
    assert passes == sizes
    assert taught.get_pipe("bert_encoder").states._kept.encoded is None


def replace(nlp: Language, names=STOCK) -> None:
    for name in names:
        nlp.replace_listeners("bert_encoder", name, ["model.tok2vec"])
    nlp.replace_listeners("bert_encoder", "bert_ner", ["model.encoder"])


@pytest.mark.everyday(1)
@pytest.mark.parametrize("pooling", ["first", "mean"])
def test_replaced_listeners_predict_the_same_without_the_encoder(checkpoint, tmp_path, pooling):
    nlp = make_stock_pipeline(checkpoint, FEW, n_steps=5, pooling=pooling)
    expected = read_all(nlp)
    replace(nlp, FEW)
    nlp.remove_pipe("bert_encoder")
    assert all(find_own_encoder(pipe.model) for _, pipe in nlp.pipeline)  # which `package` stores in half precision
    assert read_all(nlp) == expected
    assert nlp.config["components"]["tagger"]["model"]["tok2vec"]["pooling"] == pooling
    nlp.to_disk(tmp_path)
    assert read_all(spacy.load(tmp_path)) == expected


def test_a_listener_that_chooses_layers_is_not_replaced(checkpoint):
    nlp = make_stock_pipeline(checkpoint, ("tagger",), encoder={"layers": "all"}, layers="last")
    nlp.remove_pipe("bert_ner")
    expected = nlp(TEXTS[0]).to_json()
    with pytest.raises(UnsupportedError, match="layers = last cannot be replaced"):
        nlp.replace_listeners("bert_encoder", "tagger", ["model.tok2vec"])
    assert nlp(TEXTS[0]).to_json() == expected
    assert nlp.config["components"]["tagger"]["model"]["tok2vec"]["layers"] == "last"


@pytest.mark.slow
def test_a_sourced_component_with_an_encoder_of_its_own(taught, folder):
    config = Config({"nlp": {"lang": "en", "pipeline": ["tagger", "bert_ner"]}, "components": {}})
    for name, path in (("tagger", "model.tok2vec"), ("bert_ner", "model.encoder")):
        config["components"][name] = {"source": folder, "replace_listeners": [path]}
    nlp = spacy.util.load_model_from_config(config, auto_fill=True)
    for found, expected in zip(nlp.pipe(MIXED), taught.pipe(MIXED), strict=True):
        assert [token.tag_ for token in found] == [token.tag_ for token in expected]
        assert len(found.spans["bert_ner"]) == len(expected.spans["bert_ner"])


@pytest.mark.slow
def test_sourced_together_with_its_encoder(taught, folder):
    nlp, source = spacy.blank("en"), spacy.load(folder)
    for name in ("bert_encoder", "tagger", "textcat"):
        nlp.add_pipe(name, source=source)
    for found, expected in zip(nlp.pipe(TEXTS), taught.pipe(TEXTS), strict=True):
        assert [token.tag_ for token in found] == [token.tag_ for token in expected]
        assert found.cats == pytest.approx(expected.cats, abs=1e-5)


@pytest.mark.slow
def test_without_its_encoder_a_component_raises(folder):
    with pytest.raises(MissingEncoderError):
        spacy.load(folder, exclude=["bert_encoder"])(TEXTS[0])
    nlp = spacy.load(folder, enable=["bert_encoder", "tagger"])
    nlp.remove_pipe("bert_encoder")
    with pytest.raises(MissingEncoderError, match=r"tagger: .* before=\"tagger\""):
        nlp(TEXTS[0])
    alone = spacy.blank("en")
    alone.add_pipe("textcat", source=spacy.load(folder))
    with pytest.raises(MissingEncoderError):
        alone(TEXTS[0])


TOK2VEC = {"@architectures": "spacy.Tok2VecListener.v1", "width": 32}
TRANSFORMER = {"@architectures": "spacy-transformers.TransformerListener.v1", "grad_factor": 1.0}
TRANSFORMER["pooling"] = {"@layers": "reduce_mean.v1"}
needs_stock = pytest.mark.skipif(find_spec("spacy_transformers") is None, reason="needs the extra spacy-transformers")


@pytest.mark.parametrize(
    ("listener", "named"),
    [
        (TOK2VEC, "tok2vec-listener"),
        (TOK2VEC | {"upstream": "bert_encoder"}, "tok2vec-listener"),
        pytest.param(TRANSFORMER, "transformer-listener", marks=needs_stock),
    ],
)
def test_a_listener_of_another_package_is_refused(checkpoint, listener, named):
    """It would see zeros, and predict nonsense."""
    nlp = spacy.blank("en")
    nlp.add_pipe("bert_encoder", config={"model": {"name": checkpoint}})
    model = {"@architectures": "spacy.Tagger.v2", "tok2vec": listener}
    with pytest.raises(SettingError, match=rf"components\.tagger\.model: a layer '{named}'.*Listener\.v1"):
        nlp.add_pipe("tagger", config={"model": model})


def test_a_listener_of_another_component_is_left_to_it(checkpoint):
    nlp = spacy.blank("en")
    nlp.add_pipe("tok2vec")
    nlp.add_pipe("bert_encoder", config={"model": {"name": checkpoint}})
    listener = {"@architectures": "spacy.Tok2VecListener.v1", "width": 96}
    nlp.add_pipe("tagger", config={"model": {"@architectures": "spacy.Tagger.v2", "tok2vec": listener}})
    add_stock(nlp, "senter")
    assert nlp.get_pipe("tok2vec").listening_components == ["tagger"]
    assert nlp.get_pipe("bert_encoder").listening_components == ["senter"]


def list_weights(model: Model) -> dict[str, list]:
    weights = {}
    for index, node in enumerate(model.walk()):
        weights |= {
            f"{index}.{name}": node.get_param(name).tolist() for name in node.param_names if node.has_param(name)
        }
        for shim in node.shims:
            weights |= {name: each.tolist() for name, each in shim.module.state_dict().items()}
    return weights


@pytest.mark.parametrize(
    ("frozen", "annotating", "moved"),
    [
        (["bert_encoder"], [], {"tagger", "parser", "bert_ner"}),
        (["parser"], ["parser"], {"bert_encoder", "tagger", "bert_ner"}),
        (["tagger", "parser", "bert_ner"], [], set()),
        ([], ["tagger", "parser"], {"bert_encoder", "tagger", "parser", "bert_ner"}),
    ],
)
def test_what_is_frozen_does_not_learn(checkpoint, frozen, annotating, moved):
    nlp = make_stock_pipeline(checkpoint, ("tagger", "parser"), n_steps=1)
    before = {name: list_weights(pipe.model) for name, pipe in nlp.pipeline}
    optimizer = configure_adamw(1e-3)
    for _ in range(2):
        nlp.update(make_examples(nlp), sgd=optimizer, exclude=frozen, annotates=annotating)
    nlp.get_pipe("bert_encoder").states.end_update()
    assert {name for name, pipe in nlp.pipeline if list_weights(pipe.model) != before[name]} == moved


def test_a_grad_factor_of_0_keeps_a_component_from_teaching_the_encoder(checkpoint):
    nlp = make_stock_pipeline(checkpoint, ("tagger",), grad_factor=0.0)
    nlp.remove_pipe("bert_ner")
    before = list_weights(nlp.get_pipe("bert_encoder").model)
    nlp.update(make_examples(nlp), sgd=configure_adamw(1e-3))
    nlp.get_pipe("bert_encoder").states.end_update()
    assert list_weights(nlp.get_pipe("bert_encoder").model) == before


@pytest.mark.slow
def test_spacy_warns_of_a_frozen_listener(folder, checkpoint, tmp_path, caplog):
    """By W087, whose advice, `replace_listeners`, is followed in the second round."""
    blank = spacy.blank("en")
    spacy.tokens.DocBin(docs=[make_gold(blank, text) for text in TEXTS[:4]]).to_disk(tmp_path / "train.spacy")
    path = str(tmp_path / "train.spacy")
    names = ("bert_encoder", "tagger", "senter")
    config = spacy.blank("en").config
    config["paths"] = {"train": path, "dev": path, "vectors": None, "init_tok2vec": None}
    config["nlp"]["pipeline"] = [*names]
    config["components"] = {name: {"source": folder} for name in names}
    config["training"]["frozen_components"] = ["tagger"]
    logger = logging.getLogger("spacy")
    logger.addHandler(caplog.handler)
    try:
        init_nlp(config)
        assert "W087" in caplog.text
        caplog.clear()
        config["components"]["tagger"]["replace_listeners"] = ["model.tok2vec"]
        init_nlp(config)
        assert "W087" not in caplog.text
    finally:
        logger.removeHandler(caplog.handler)


@pytest.mark.slow
def test_a_copy_to_rehearse_shares_the_encoder(taught):
    """`nlp.resume_training`, which `spacy train` calls for sourced components, copies the model of each."""
    model = copy.deepcopy(taught.get_pipe("tagger").model)
    [listener] = [node for node in model.walk() if node.name == "shared_encoder"]
    assert listener.states is taught.get_pipe("bert_encoder").states
    docs = [taught.make_doc(text) for text in TEXTS]
    for found, expected in zip(model.predict(docs), taught.get_pipe("tagger").model.predict(docs), strict=True):
        assert found == pytest.approx(expected, abs=1e-5)
    pipe = copy.deepcopy(taught.get_pipe("bert_encoder"))
    assert pipe.states.encoder is pipe.model is not taught.get_pipe("bert_encoder").model


@pytest.mark.slow
def test_an_encoder_of_another_width_is_refused(folder, tmp_path):
    wide = make_checkpoint(tmp_path / "wide", hidden_size=64)
    nlp = spacy.blank("en")
    nlp.add_pipe("bert_encoder", config={"model": {"name": str(wide)}}).initialize(lambda: [])
    nlp.add_pipe("tagger", source=spacy.load(folder))
    with pytest.raises(ShapeError, match="a width of 32, as trained"):
        nlp(TEXTS[0])


def test_entity_linker(checkpoint, tmp_path):
    """It reads sentences by themselves, which the encoder does not learn from."""
    nlp = spacy.blank("en")
    nlp.add_pipe("bert_encoder", config={"model": {"name": checkpoint, "precision": "fp32"}})
    nlp.add_pipe("sentencizer")
    nlp.add_pipe("bert_ner", config={"model": {"encoder": SHARED}})
    add_stock(nlp, "entity_linker")

    def make_base(vocab):
        base = InMemoryLookupKB(vocab, entity_vector_length=8)
        for number, name in enumerate(("Q1", "Q2")):
            base.add_entity(name, 5, [float(1 - 2 * number)] * 8)
        base.add_alias("drew barrymore", ["Q1", "Q2"], [0.4, 0.6])
        return base

    def make_linked() -> list[Example]:
        predicted, gold = nlp.make_doc(TEXTS[0]), nlp.make_doc(TEXTS[0])
        for doc, link in ((predicted, ""), (gold, "Q1")):
            doc[0].is_sent_start = True
            for token in doc[1:]:
                token.is_sent_start = False
            doc.ents = [doc.char_span(19, 33, "ACTOR", kb_id=link)]
        return [Example(predicted, gold)]

    nlp.get_pipe("entity_linker").set_kb(make_base)
    nlp.initialize(make_linked)
    optimizer = configure_adamw(5e-3)
    for _ in range(15):
        nlp.update(make_linked(), sgd=optimizer)
    assert [ent.kb_id_ for ent in nlp(TEXTS[0]).ents] == ["Q1"]
    nlp.to_disk(tmp_path)
    assert [ent.kb_id_ for ent in spacy.load(tmp_path)(TEXTS[0]).ents] == ["Q1"]
