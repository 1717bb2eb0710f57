"""One encoder for several heads: one of ours and, where it is installed, that of spacy-transformers."""

from __future__ import annotations

import pickle
from copy import deepcopy
from importlib.util import find_spec

import numpy as np
import pytest
import spacy
import torch
from small_checkpoints import TEXTS, make_sentences
from spacy.training import Example
from thinc.api import Adam, fix_random_seed

from spacy_bertft.errors import MissingEncoderError, NotInitializedError
from spacy_bertft.exchange.export_hf import export_hf
from spacy_bertft.exchange.import_hf import import_hf
from spacy_bertft.training.optimizer import configure_adamw

SHARED = {"@architectures": "spacy-bertft.SharedEncoder.v1"}
GOLD = [
    {"entities": [(19, 33, "ACTOR"), (43, 48, "YEAR")], "cats": {"film": 1.0, "other": 0.0}},
    {"entities": [(17, 26, "TITLE")], "cats": {"film": 0.0, "other": 1.0}},
]
needs_stock = pytest.mark.skipif(find_spec("spacy_transformers") is None, reason="needs the extra spacy-transformers")
both = pytest.mark.parametrize("kind", ["bert_encoder", pytest.param("transformer", marks=needs_stock)])


def add_encoder(nlp, kind: str, checkpoint: str, **settings) -> None:
    if kind == "bert_encoder":
        nlp.add_pipe(kind, config={"model": {"name": checkpoint, "precision": "fp32", **settings}})
        return
    spans = {"@span_getters": "spacy-transformers.strided_spans.v1", "window": 16, "stride": 12}
    model = {"@architectures": "spacy-transformers.TransformerModel.v3", "name": checkpoint, "get_spans": spans}
    nlp.add_pipe(kind, config={"model": model | {"tokenizer_config": {"use_fast": True}}})


def make(kind: str, checkpoint: str, heads=("bert_ner", "bert_textcat"), grad_factor: float = 1.0, **settings):
    fix_random_seed(0)
    nlp = spacy.blank("en")
    add_encoder(nlp, kind, checkpoint, **settings)
    encoder = SHARED | {"grad_factor": grad_factor}
    pooling = {"bert_textcat": {"pooling": "mean"}}
    for head in heads:
        nlp.add_pipe(head, config={"model": {"encoder": encoder, **pooling.get(head, {})}})
    examples = make_examples(nlp)
    nlp.initialize(lambda: examples)
    return nlp


def make_examples(nlp):
    return [Example.from_dict(nlp.make_doc(text), gold) for text, gold in zip(TEXTS, GOLD, strict=False)]


def train(nlp, n_steps: int, **settings) -> list[dict[str, float]]:
    optimizer = configure_adamw(5e-3)
    examples = make_examples(nlp)
    return [nlp.update(examples, sgd=optimizer, **settings) for _ in range(n_steps)]


def copy_weights(nlp) -> dict[str, torch.Tensor]:
    shims = [shim for node in nlp.pipeline[0][1].model.walk() for shim in node.shims]
    module = next(shim._model for shim in shims if shim._model is not None)
    return {name: tensor.detach().clone() for name, tensor in module.named_parameters()}


def read(doc):
    return [(ent.text, ent.label_) for ent in doc.ents], doc.cats


def check_same(found, expected) -> None:
    """Compare what `read` has read of two lists of documents."""
    assert [ents for ents, _ in found] == [ents for ents, _ in expected]
    for (_, left), (_, right) in zip(found, expected, strict=True):
        assert left == pytest.approx(right, abs=1e-5)


@both
def test_two_heads_learn_from_one_encoder(kind, checkpoint):
    nlp = make(kind, checkpoint)
    before = copy_weights(nlp)
    losses = train(nlp, 60)
    for head in ("bert_ner", "bert_textcat"):
        assert losses[-1][head] < losses[0][head] / 5
    after = copy_weights(nlp)
    assert [name for name in before if "encoder.layer" in name and not torch.equal(before[name], after[name])]
    docs = list(nlp.pipe(TEXTS))
    for doc, gold in zip(docs, GOLD, strict=False):
        assert [(ent.start_char, ent.end_char, ent.label_) for ent in doc.ents] == gold["entities"]
        assert max(doc.cats, key=doc.cats.get) == max(gold["cats"], key=gold["cats"].get)
    check_same([read(nlp(doc.text)) for doc in docs], [read(doc) for doc in docs])


@both
@pytest.mark.parametrize("head", ["bert_ner", "bert_textcat"])
def test_the_gradient_of_each_head_arrives(kind, head, checkpoint):
    """Alone, each moves the encoder; with a factor of 0, it does not."""
    for grad_factor, moves in ((1.0, True), (0.0, False)):
        nlp = make(kind, checkpoint, [head], grad_factor)
        before = copy_weights(nlp)
        optimizer = Adam(0.01, L2=0.0)
        for _ in range(2):  # the stock component makes the step of a batch with the next one
            nlp.update(make_examples(nlp), sgd=optimizer)
        after = copy_weights(nlp)
        moved = [name for name in before if "layer" in name and not torch.equal(before[name], after[name])]
        assert bool(moved) == moves


def test_the_gradient_is_the_sum_of_those_of_the_heads(checkpoint):
    """Against torch's own sums, through encoders of their own with the same weights."""
    gradients = {}
    for heads in (("bert_ner",), ("bert_textcat",), ("bert_ner", "bert_textcat")):
        nlp = make("bert_encoder", checkpoint, ("bert_ner", "bert_textcat"))
        for name in {"bert_ner", "bert_textcat"} - set(heads):
            nlp.disable_pipe(name)
        nlp.update(make_examples(nlp), sgd=False)
        nlp.get_pipe("bert_encoder").states.settle()
        module = nlp.get_pipe("bert_encoder").model.find_source().module
        gradients[heads] = {
            name: parameter.grad.clone() for name, parameter in module.named_parameters() if parameter.grad is not None
        }
    ner, textcat, together = gradients.values()
    assert ner.keys() == textcat.keys() == together.keys()
    for name, gradient in together.items():
        torch.testing.assert_close(gradient, ner[name] + textcat[name], atol=1e-5, rtol=1e-4)


def test_a_shared_encoder_answers_as_one_of_its_own(checkpoint):
    shared, own = make("bert_encoder", checkpoint), spacy.blank("en")
    fix_random_seed(0)
    encoder = {"name": checkpoint, "precision": "fp32"}
    for head, settings in (("bert_ner", {}), ("bert_textcat", {"pooling": "mean"})):
        own.add_pipe(head, config={"model": {"encoder": encoder, **settings}})
    examples = make_examples(own)
    own.initialize(lambda: examples)
    for head in ("bert_ner", "bert_textcat"):
        module = own.get_pipe(head).model.shims[0].module
        module.load_state_dict(shared.get_pipe(head).model.shims[0].module.state_dict())
    for text in [*TEXTS, *make_sentences(20), "", "   "]:
        check_same([read(shared(text))], [read(own(text))])


@pytest.mark.parametrize("batch_size", [1, 3, 100])
def test_the_encoder_runs_once_per_batch(batch_size, checkpoint):
    nlp = make("bert_encoder", checkpoint)
    states = nlp.get_pipe("bert_encoder").states
    calls = []
    forward = states.encoder._func
    states.encoder._func = lambda model, docs, is_train: calls.append(len(docs)) or forward(model, docs, is_train)
    texts = [*TEXTS, "", *make_sentences(7)]
    docs = list(nlp.pipe(texts, batch_size=batch_size))
    assert sum(calls) == len(texts)
    assert states._kept.encoded is None  # nothing is kept once both have had it
    check_same([read(doc) for doc in docs], [read(nlp(text)) for text in texts])


def test_tokens_that_change_in_between_are_seen(checkpoint):
    """A component between two heads merges tokens: the states are those of the new tokens."""
    nlp = make("bert_encoder", checkpoint, ["bert_textcat", "bert_ner"])
    train(nlp, 30)
    nlp.add_pipe("merge_entities", before="bert_ner")
    ruler = nlp.add_pipe("entity_ruler", before="merge_entities")
    ruler.add_patterns([{"label": "ACTOR", "pattern": "drew barrymore"}])
    doc = nlp(TEXTS[0])
    assert "drew barrymore" in [token.text for token in doc]
    assert all(ent.end <= len(doc) for ent in doc.ents)


@both
def test_storage(kind, checkpoint, tmp_path):
    nlp = make(kind, checkpoint)
    train(nlp, 20)
    expected = [read(nlp(text)) for text in TEXTS]
    nlp.to_disk(tmp_path / "pipeline")
    other = spacy.load(tmp_path / "pipeline")
    check_same([read(other(text)) for text in TEXTS], expected)
    weights = (tmp_path / "pipeline" / "bert_ner" / "model").stat().st_size
    assert weights < (tmp_path / "pipeline" / kind / "model").stat().st_size  # the encoder is written once
    train(other, 2)


def test_a_frozen_encoder_only_annotates(checkpoint):
    nlp = make("bert_encoder", checkpoint)
    before = copy_weights(nlp)
    losses = train(nlp, 30, exclude=["bert_encoder"])
    assert losses[-1]["bert_textcat"] < losses[0]["bert_textcat"]
    assert all(torch.equal(before[name], tensor) for name, tensor in copy_weights(nlp).items())


def test_gradients_accumulate_over_batches(checkpoint):
    """As with `training.accumulate_gradient`: several batches, then one step."""
    nlp = make("bert_encoder", checkpoint)
    before, examples, optimizer = copy_weights(nlp), make_examples(nlp), configure_adamw(1e-3)
    for example in examples:
        nlp.update([example], sgd=False)
    assert all(torch.equal(before[name], tensor) for name, tensor in copy_weights(nlp).items())
    for _, pipe in nlp.pipeline:
        pipe.finish_update(optimizer)
    assert any(not torch.equal(before[name], tensor) for name, tensor in copy_weights(nlp).items())


@pytest.mark.parametrize("copy", [deepcopy, lambda pipe: pickle.loads(pickle.dumps(pipe))])
def test_a_copy_has_the_step_that_waits_for_a_head(copy, checkpoint):
    """Where only one of two heads is updated, the encoder waits for the other one."""
    nlp = make("bert_encoder", checkpoint)
    train(nlp, 1, exclude=["bert_textcat"])
    copied = copy(nlp.get_pipe("bert_encoder"))
    assert copied.model.to_bytes() == nlp.get_pipe("bert_encoder").model.to_bytes()


def test_a_copied_pipeline_has_it_too(checkpoint):
    nlp = make("bert_encoder", checkpoint)
    train(nlp, 1, exclude=["bert_textcat"])
    copied = deepcopy(nlp)
    check_same([read(doc) for doc in copied.pipe(TEXTS)], [read(doc) for doc in nlp.pipe(TEXTS)])


def test_a_head_can_get_a_copy_of_its_own(checkpoint):
    nlp = make("bert_encoder", checkpoint)
    train(nlp, 20)
    expected = [read(nlp(text)) for text in TEXTS]
    nlp.replace_listeners("bert_encoder", "bert_ner", ["model.encoder"])
    assert nlp.get_pipe("bert_encoder").listening_components == ["bert_textcat"]
    check_same([read(nlp(text)) for text in TEXTS], expected)
    nlp.remove_pipe("bert_textcat")
    nlp.remove_pipe("bert_encoder")
    assert [read(nlp(text))[0] for text in TEXTS] == [ents for ents, _ in expected]


def test_without_an_encoder_there_is_one_error(checkpoint):
    nlp = spacy.blank("en")
    nlp.add_pipe("bert_ner", config={"model": {"encoder": SHARED | {"upstream": "shared"}}})
    with pytest.raises(NotInitializedError, match="no component named 'shared' is before bert_ner"):
        nlp.initialize(lambda: make_examples(nlp))


NEEDS_ENCODER = {
    "predict": lambda nlp, _: nlp(TEXTS[0]),
    "update": lambda nlp, _: nlp.update(make_examples(nlp), sgd=False),
    "initialize": lambda nlp, _: nlp.initialize(lambda: make_examples(nlp)),
    "to_disk": lambda nlp, tmp_path: nlp.to_disk(tmp_path / "saved"),
    "to_bytes": lambda nlp, _: nlp.to_bytes(),
}


def remove_encoder(nlp):
    held = nlp.remove_pipe("bert_encoder")  # it is still there, but not in the pipeline
    assert held
    return nlp


def rename_encoder(nlp):
    """The head listens to a component of the old name, which a loaded pipeline would not find."""
    nlp.rename_pipe("bert_encoder", "other")
    return nlp


def source_head(nlp):
    other = spacy.blank("en")
    other.add_pipe("bert_ner", source=nlp)
    return other


def source_head_before_encoder(nlp):
    other = source_head(nlp)
    other.add_pipe("bert_encoder", source=nlp)
    return other


@pytest.mark.everyday(8)
@pytest.mark.parametrize("need", NEEDS_ENCODER)
@pytest.mark.parametrize("lose", [remove_encoder, rename_encoder, source_head, source_head_before_encoder])
@pytest.mark.parametrize("is_loaded", [False, True])
def test_a_head_without_its_encoder_is_an_error(lose, need, is_loaded, checkpoint, tmp_path):
    nlp = make("bert_encoder", checkpoint, ["bert_ner"])
    if lose is rename_encoder:
        nlp = spacy.blank("en")
        add_encoder(nlp, "bert_encoder", checkpoint)
        nlp.add_pipe("bert_ner", config={"model": {"encoder": SHARED | {"upstream": "bert_encoder"}}})
        nlp.initialize(lambda: make_examples(nlp))
    if is_loaded:
        nlp.to_disk(tmp_path / "pipeline")
        nlp = spacy.load(tmp_path / "pipeline")
    changed = lose(nlp)
    with pytest.raises(MissingEncoderError, match=r"bert_ner: .*nlp\.add_pipe\(\"bert_encoder\".*replace_listeners"):
        NEEDS_ENCODER[need](changed, tmp_path)


def test_a_head_before_its_encoder_is_an_error(checkpoint, tmp_path):
    nlp = spacy.blank("en")
    nlp.add_pipe("bert_ner", config={"model": {"encoder": SHARED}})
    add_encoder(nlp, "bert_encoder", checkpoint)
    # Next to spacy-transformers a `transformer` may be its encoder, which does not say to what it is linked.
    has_stock = find_spec("spacy_transformers") is not None
    for need in ("initialize",) if has_stock else ("initialize", "to_disk", "to_bytes"):
        with pytest.raises(MissingEncoderError, match="no bert_encoder or transformer is before bert_ner"):
            NEEDS_ENCODER[need](nlp, tmp_path)


def test_an_encoder_that_comes_back_is_found(checkpoint, tmp_path):
    nlp = make("bert_encoder", checkpoint)
    train(nlp, 20)
    expected = [read(nlp(text)) for text in TEXTS]
    _, encoder = nlp.remove_pipe("bert_encoder")
    other = spacy.blank("en")
    for name in ("bert_ner", "bert_textcat"):
        other.add_pipe(name, source=nlp)
    nlp.to_disk(tmp_path, exclude=["bert_ner", "bert_textcat"])
    complete = make("bert_encoder", checkpoint)
    complete.get_pipe("bert_encoder").from_bytes(encoder.to_bytes())
    other.add_pipe("bert_encoder", source=complete, first=True)
    assert [read(other(text)) for text in TEXTS] == expected
    other.to_disk(tmp_path)
    check_same([read(doc) for doc in spacy.load(tmp_path).pipe(TEXTS)], expected)


@pytest.fixture
def trained(checkpoint, tmp_path):
    """The folder of a trained pipeline, and what it says of our texts."""
    nlp = make("bert_encoder", checkpoint)
    train(nlp, 20)
    nlp.to_disk(tmp_path / "trained")
    return tmp_path / "trained", [read(nlp(text)) for text in TEXTS]


def test_an_encoder_that_is_disabled_is_used_all_the_same(trained, tmp_path):
    folder, expected = trained
    loaded = spacy.load(folder, disable=["bert_encoder"])
    switched = spacy.load(folder)
    switched.disable_pipe("bert_encoder")
    for nlp in (loaded, switched, spacy.load(folder, enable=["bert_ner", "bert_textcat"])):
        nlp.add_pipe("sentencizer")  # spaCy links all components again, but none that is disabled
        check_same([read(nlp(text)) for text in TEXTS], expected)
        nlp.to_disk(tmp_path / "saved")
        nlp.enable_pipe("bert_encoder")
        check_same([read(nlp(text)) for text in TEXTS], expected)
    check_same([read(doc) for doc in spacy.load(tmp_path / "saved").pipe(TEXTS)], expected)


def test_an_encoder_may_be_left_out_when_a_pipeline_is_stored(trained, tmp_path):
    folder, expected = trained
    nlp = spacy.load(folder)
    nlp.to_disk(tmp_path / "heads", exclude=["bert_encoder"])
    nlp.from_bytes(nlp.to_bytes(exclude=["bert_encoder"]))
    check_same([read(nlp(text)) for text in TEXTS], expected)
    other = spacy.load(folder).from_disk(tmp_path / "heads", exclude=["bert_encoder"])
    check_same([read(other(text)) for text in TEXTS], expected)
    with pytest.raises(NotInitializedError, match=r"bert_ner: .* transformer .* before"):
        spacy.load(folder, exclude=["bert_encoder"])(TEXTS[0])


def test_a_head_outside_of_its_pipeline(trained):
    folder, expected = trained
    nlp = spacy.load(folder)
    head, doc = nlp.get_pipe("bert_textcat"), nlp.make_doc(TEXTS[0])
    del nlp
    assert head(doc).cats == pytest.approx(expected[0][1], abs=1e-5)
    assert head.to_bytes()


def test_a_new_head_over_an_encoder_that_was_sourced(trained, tmp_path):
    """As `spacy train` makes it: what is sourced is disabled while new components are initialized."""
    config = spacy.load(trained[0]).config.copy()
    config["components"]["bert_encoder"] = {"source": str(trained[0])}
    config["components"]["bert_ner"] = {"source": str(trained[0])}
    nlp = spacy.util.load_model_from_config(config, auto_fill=True)
    nlp._link_components()
    with nlp.select_pipes(disable=["bert_encoder", "bert_ner"]):
        nlp.initialize(lambda: make_examples(nlp))
    before = copy_weights(nlp)
    train(nlp, 2)
    assert any(not torch.equal(before[name], tensor) for name, tensor in copy_weights(nlp).items())
    nlp.to_disk(tmp_path / "saved")
    check_same([read(spacy.load(tmp_path / "saved")(text)) for text in TEXTS], [read(nlp(text)) for text in TEXTS])


@needs_stock
@pytest.mark.parametrize("need", NEEDS_ENCODER)
def test_a_head_without_a_stock_transformer_is_an_error(need, checkpoint, tmp_path):
    """What is stored is not checked: a `transformer` does not say to what it is linked."""
    nlp = make("transformer", checkpoint, ["bert_ner"])
    other = spacy.blank("en")
    other.add_pipe("bert_ner", source=nlp)
    nlp.remove_pipe("transformer")
    for each in (nlp, other):
        if need in ("to_disk", "to_bytes"):
            NEEDS_ENCODER[need](each, tmp_path)
        else:
            with pytest.raises(NotInitializedError, match=r"bert_ner: .*transformer.* before"):
                NEEDS_ENCODER[need](each, tmp_path)


@needs_stock
def test_a_stock_transformer_that_is_disabled_is_an_error(checkpoint):
    nlp = make("transformer", checkpoint, ["bert_ner"])
    with nlp.select_pipes(disable="transformer"), pytest.raises(NotInitializedError, match="bert_ner: no transformer"):
        nlp(TEXTS[0])
    with pytest.raises(NotInitializedError, match="annotating_components"):
        nlp.update(make_examples(nlp), sgd=False, annotates=["bert_ner"])
    nlp.update(make_examples(nlp), sgd=False, annotates=["transformer", "bert_ner"])


def test_upstream_names_one_of_several(checkpoint):
    nlp = spacy.blank("en")
    for name in ("first", "second"):
        nlp.add_pipe("bert_encoder", name=name, config={"model": {"name": checkpoint}})
    nlp.add_pipe("bert_ner", config={"model": {"encoder": SHARED | {"upstream": "first"}}})
    nlp.add_pipe("bert_tagger", config={"model": {"encoder": SHARED}})
    listening = {name: nlp.get_pipe(name).states for name in ("first", "second")}
    assert nlp.get_pipe("bert_ner").model.encoder.states is listening["first"]
    assert nlp.get_pipe("bert_tagger").model.encoder.states is listening["second"]  # the nearest


@pytest.mark.process
def test_processes(checkpoint):
    nlp = make("bert_encoder", checkpoint)
    train(nlp, 5)
    expected = [read(doc) for doc in nlp.pipe(TEXTS * 4)]
    check_same([read(doc) for doc in nlp.pipe(TEXTS * 4, n_process=2, batch_size=5)], expected)
    pipes = pickle.loads(pickle.dumps([pipe for _, pipe in nlp.pipeline]))
    assert pipes[0].states is pipes[1].model.encoder.states


def test_the_head_of_the_checkpoint_is_found_through_it(tmp_path):
    from small_checkpoints import make_checkpoint

    names = {"id2label": dict(enumerate(["O", "B-PER", "I-PER"]))}
    checkpoint = str(make_checkpoint(tmp_path / "hf", "bert", 3, **names))
    nlp = spacy.blank("en")
    nlp.add_pipe("bert_encoder", config={"model": {"name": checkpoint, "precision": "fp32"}})
    nlp.add_pipe("bert_ner", config={"model": {"encoder": SHARED, "decoder": "viterbi"}})
    nlp.initialize()
    import_hf(checkpoint, tmp_path / "alone")
    alone = spacy.load(tmp_path / "alone", config={"components.ner.model.encoder.precision": "fp32"})
    docs = [nlp.make_doc(text) for text in TEXTS]
    expected = alone.get_pipe("ner").model.predict(docs).scores
    np.testing.assert_allclose(nlp.get_pipe("bert_ner").model.predict(docs).scores, expected, atol=1e-6)
    nlp.to_disk(tmp_path / "pipeline")
    export_hf(tmp_path / "pipeline", tmp_path / "back")
    assert (tmp_path / "back" / "model.safetensors").stat().st_size > 0
