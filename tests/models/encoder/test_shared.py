"""What an encoder learns from several heads, and that no head sees states of weights that are not there any more."""

from __future__ import annotations

import gc
from importlib.util import find_spec
from itertools import combinations
from threading import Thread

import pytest
import spacy
import torch
from small_checkpoints import TEXTS, make_checkpoint
from spacy.language import Language
from spacy.tokens import Doc
from spacy.training import Example
from thinc.api import fix_random_seed

from spacy_bertft.training.optimizer import configure_adamw

SHARED = {"@architectures": "spacy-bertft.SharedEncoder.v1"}
HEADS = ("bert_ner", "bert_tagger", "bert_textcat")
POOLING = {"bert_textcat": {"pooling": "mean"}}
GOLD = [
    {"entities": [(19, 33, "ACTOR")], "cats": {"film": 1.0, "other": 0.0}, "tags": list("ABABABABA")},
    {"entities": [(17, 26, "TITLE")], "cats": {"film": 0.0, "other": 1.0}},
    {"entities": [], "cats": {"film": 0.0, "other": 1.0}},
    {},
]


@Language.component("copy_docs")
def copy_docs(doc: Doc) -> Doc:
    return doc.copy()


@Language.component("merge_first")
def merge_first(doc: Doc) -> Doc:
    with doc.retokenize() as retokenizer:
        retokenizer.merge(doc[:2])
    return doc


@Language.component("ask_again")
def ask_again(doc: Doc) -> Doc:
    """Use a head in the middle of its training."""
    nlp = asked[0]
    nlp.get_pipe("bert_textcat").predict([nlp.make_doc(TEXTS[3])])
    return doc


asked: list[Language] = []


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory) -> str:
    """Give the folder of a small random BERT without dropout, so that every pass gives the same states."""
    rates = dict.fromkeys(("hidden_dropout_prob", "attention_probs_dropout_prob"), 0.0)
    return str(make_checkpoint(tmp_path_factory.mktemp("checkpoint"), **rates))


@pytest.fixture(scope="module", params=["last", "scalar_mix"])
def pipeline(checkpoint, request):
    return make_pipeline(checkpoint, HEADS, request.param)


def make_pipeline(checkpoint, heads, layers="last", grad_factors=None) -> Language:
    fix_random_seed(0)
    nlp = spacy.blank("en")
    model = {"name": checkpoint, "precision": "fp32", "layers": layers}
    nlp.add_pipe("bert_encoder", config={"model": model})
    for head in heads:
        encoder = SHARED | {"grad_factor": (grad_factors or {}).get(head, 1.0)}
        nlp.add_pipe(head, config={"model": {"encoder": encoder, "dropout": 0.0, **POOLING.get(head, {})}})
    nlp.initialize(lambda: make_examples(nlp))
    return nlp


def make_examples(nlp, golds=GOLD) -> list[Example]:
    return [Example.from_dict(nlp.make_doc(text), gold) for text, gold in zip(TEXTS, golds, strict=False)]


def list_parameters(nlp) -> dict[str, torch.nn.Parameter]:
    shims = nlp.get_pipe("bert_encoder").model.shims
    return {f"{index}.{name}": p for index, shim in enumerate(shims) for name, p in shim.module.named_parameters()}


def take_gradients(nlp) -> dict[str, torch.Tensor]:
    """Return the gradients that have reached the encoder, and clear all of them."""
    nlp.get_pipe("bert_encoder").states.settle()
    gradients = {name: p.grad for name, p in list_parameters(nlp).items() if p.grad is not None}
    for _, pipe in nlp.components:
        for node in pipe.model.walk() if hasattr(pipe, "model") else ():
            for shim in node.shims:
                shim.module.zero_grad(set_to_none=True)
    return gradients


def learn_alone(nlp, head: str, examples) -> dict[str, torch.Tensor]:
    """Return the gradient of a head alone, with respect to the same weights."""
    with nlp.select_pipes(enable=["bert_encoder", head]):
        for batch in examples:
            nlp.update(batch, sgd=False)
    return take_gradients(nlp)


def add_up(parts: list[dict[str, torch.Tensor]]) -> dict[str, torch.Tensor]:
    names = {name for part in parts for name in part}
    return {name: sum(part[name] for part in parts if name in part) for name in names}


def check_gradients(found, expected) -> None:
    assert found.keys() == expected.keys()
    assert found
    for name, gradient in found.items():
        torch.testing.assert_close(gradient, expected[name], atol=1e-6, rtol=1e-4)


def choose(names) -> list[tuple[str, ...]]:
    return [chosen for n in range(len(names) + 1) for chosen in combinations(names, n)]


@pytest.mark.everyday(3)
@pytest.mark.parametrize("heads", [*combinations(HEADS, 2), HEADS], ids=" ".join)
def test_the_gradient_is_the_sum_of_those_of_each_head_alone(pipeline, heads):
    """For every choice of components that annotate, with all gradients at once or by parts of the batch."""
    examples = make_examples(pipeline)
    alone = add_up([learn_alone(pipeline, head, [examples]) for head in heads])
    with pipeline.select_pipes(enable=["bert_encoder", *heads]):
        for annotates in choose(("bert_encoder", *heads)):
            pipeline.update(examples, sgd=False, annotates=annotates)
            check_gradients(take_gradients(pipeline), alone)
    parts = [examples[:1], examples[1:3], [Example.from_dict(pipeline.make_doc(""), {})], examples[3:]]
    alone = add_up([learn_alone(pipeline, head, parts) for head in heads])
    with pipeline.select_pipes(enable=["bert_encoder", *heads]):
        for annotates in choose(heads):
            for part in parts:
                pipeline.update(part, sgd=False, annotates=annotates)
            check_gradients(take_gradients(pipeline), alone)


def test_batches_of_annotating_components_may_be_smaller(pipeline, monkeypatch):
    monkeypatch.setattr(pipeline, "batch_size", 1)
    examples = make_examples(pipeline)
    alone = add_up([learn_alone(pipeline, head, [examples]) for head in HEADS])
    pipeline.update(examples, sgd=False, annotates=HEADS)
    check_gradients(take_gradients(pipeline), alone)


@pytest.mark.parametrize("frozen", choose(HEADS)[1:-1], ids=" ".join)
def test_frozen_heads_add_nothing(pipeline, frozen):
    examples = make_examples(pipeline)
    alone = add_up([learn_alone(pipeline, head, [examples]) for head in HEADS if head not in frozen])
    pipeline.update(examples, sgd=False, exclude=frozen, annotates=HEADS)
    check_gradients(take_gradients(pipeline), alone)


@pytest.mark.parametrize("known", ["entities", "cats", "tags"])
def test_a_head_without_gold_annotation_loses_nothing_of_the_others(pipeline, known):
    examples = make_examples(pipeline, [{known: gold[known]} if known in gold else {} for gold in GOLD])
    alone = add_up([learn_alone(pipeline, head, [examples]) for head in HEADS])
    pipeline.update(examples, sgd=False, annotates=HEADS)
    check_gradients(take_gradients(pipeline), alone)


def test_factors_of_gradients(checkpoint):
    factors = {"bert_ner": 0.5, "bert_tagger": 0.0, "bert_textcat": 3.0}
    plain, scaled = (make_pipeline(checkpoint, HEADS, grad_factors=each) for each in (None, factors))
    examples = make_examples(plain)
    parts = {head: learn_alone(plain, head, [examples]) for head in HEADS}
    expected = [{name: g * factors[head] for name, g in parts[head].items()} for head in HEADS if factors[head]]
    scaled.update(examples, sgd=False, annotates=HEADS)
    check_gradients(take_gradients(scaled), add_up(expected))


def test_a_head_with_a_factor_of_0_does_not_even_let_weights_decay(checkpoint):
    nlp = make_pipeline(checkpoint, ["bert_ner"], grad_factors={"bert_ner": 0.0})
    before = {name: p.detach().clone() for name, p in list_parameters(nlp).items()}
    nlp.update(make_examples(nlp), sgd=configure_adamw(0.1, weight_decay=0.1))
    assert all(torch.equal(before[name], p) for name, p in list_parameters(nlp).items())


@pytest.mark.parametrize("component", ["copy_docs", "merge_first", "ask_again"])
def test_components_between_the_heads_may_change_the_documents(checkpoint, component):
    """They give other documents, change their tokens, or use the pipeline, all in the middle of an update."""
    nlp = make_pipeline(checkpoint, HEADS)
    asked[:] = [nlp]
    nlp.add_pipe(component, after="bert_ner")
    examples = make_examples(nlp)
    alone = [learn_alone(nlp, "bert_ner", [examples])]
    for head in HEADS[1:]:
        # The gold annotation is aligned with the tokens as they then are.
        with nlp.select_pipes(enable=["bert_encoder", component, head]):
            other = [Example(each.predicted.copy(), each.reference) for each in examples]
            if component == "merge_first":
                for each in other:
                    merge_first(each.predicted)
            alone.append(learn_alone(nlp, head, [other]))
    nlp.update(examples, sgd=False, annotates=["bert_ner", component])
    check_gradients(take_gradients(nlp), add_up(alone))


def test_a_head_that_is_enabled_later_teaches_the_encoder(checkpoint, tmp_path):
    make_pipeline(checkpoint, HEADS).to_disk(tmp_path)
    nlp = spacy.load(tmp_path, disable=["bert_tagger"])
    nlp.enable_pipe("bert_tagger")
    examples = make_examples(nlp)
    alone = add_up([learn_alone(nlp, head, [examples]) for head in HEADS])
    nlp.update(examples, sgd=False, annotates=HEADS)
    check_gradients(take_gradients(nlp), alone)


@pytest.mark.parametrize("how", ["at once", "accumulated"])
@pytest.mark.parametrize("frozen", [(), ("bert_textcat",)], ids=["all", "last one frozen"])
def test_one_step_is_one_step(checkpoint, how, frozen):
    """Against a reference that makes one step of the optimizer with the sum of all gradients.

    With an `eps` of 1 a step is nearly proportional to the gradient; else the sign of a gradient near 0 would matter.
    """
    nlp, reference = (make_pipeline(checkpoint, HEADS) for _ in range(2))
    examples = make_examples(nlp)
    parts = [examples] if how == "at once" else [examples[:1], examples[1:]]
    heads = [head for head in HEADS if head not in frozen]
    optimizer, of_reference = (configure_adamw(1.0, eps=1.0) for _ in range(2))
    for _ in range(3):
        total = add_up([learn_alone(reference, head, parts) for head in heads])
        for name, parameter in list_parameters(reference).items():
            parameter.grad = total.get(name)
        reference.get_pipe("bert_encoder").model.finish_update(of_reference)
        if how == "at once":
            nlp.update(examples, sgd=optimizer, annotates=HEADS, exclude=frozen)
            nlp.get_pipe("bert_encoder").states.settle()
        else:  # as spaCy's training loop does
            for part in parts:
                nlp.update(part, sgd=False, annotates=HEADS, exclude=frozen)
            for _, pipe in nlp.pipeline:
                pipe.finish_update(optimizer)
        expected = list_parameters(reference)
        for name, parameter in list_parameters(nlp).items():
            torch.testing.assert_close(parameter, expected[name], atol=1e-6, rtol=1e-4)
        for head in heads:
            learned = nlp.get_pipe(head).model.module.state_dict()
            reference.get_pipe(head).model.module.load_state_dict(learned)


@pytest.mark.skipif(find_spec("spacy_transformers") is None, reason="needs the extra spacy-transformers")
@pytest.mark.parametrize("annotates", [(), ("transformer", "bert_ner"), ("transformer", *HEADS)], ids=len)
def test_the_gradient_of_a_stock_transformer_is_the_sum_too(checkpoint, annotates):
    """It sends its gradient back with that of its last head, so no head is disabled here."""
    fix_random_seed(0)
    nlp = spacy.blank("en")
    spans = {"@span_getters": "spacy-transformers.strided_spans.v1", "window": 16, "stride": 12}
    model = {"@architectures": "spacy-transformers.TransformerModel.v3", "name": checkpoint, "get_spans": spans}
    nlp.add_pipe("transformer", config={"model": model | {"tokenizer_config": {"use_fast": True}}})
    for head in HEADS:
        nlp.add_pipe(head, config={"model": {"encoder": SHARED, "dropout": 0.0, **POOLING.get(head, {})}})
    nlp.initialize(lambda: make_examples(nlp))
    examples = make_examples(nlp)

    def learn(heads) -> dict[str, torch.Tensor]:
        for head in HEADS:
            nlp.get_pipe(head).model.encoder.attrs["grad_factor"] = float(head in heads)
        nlp.update(examples, sgd=False, annotates=annotates)
        module = next(shim._model for node in nlp.get_pipe("transformer").model.walk() for shim in node.shims)
        gradients = {name: p.grad.clone() for name, p in module.named_parameters() if p.grad is not None}
        module.zero_grad()
        return gradients

    check_gradients(learn(HEADS), add_up([learn([head]) for head in HEADS]))


# What is kept of prediction.


def teach(nlp) -> None:
    nlp.update(make_examples(nlp), sgd=configure_adamw(5e-2))


def teach_and_use_averages(nlp):
    optimizer = configure_adamw(5e-2, average_decay=0.5)
    for _ in range(3):
        nlp.update(make_examples(nlp), sgd=optimizer)
    nlp(TEXTS[0])
    context = nlp.use_params(optimizer.averages)
    context.__enter__()
    return context


CHANGES = {
    "from_bytes": lambda nlp, folder: nlp.from_bytes(spacy.load(folder / "other").to_bytes()),
    "from_disk": lambda nlp, folder: nlp.from_disk(folder / "other"),
    "from_disk of the encoder": lambda nlp, folder: nlp.get_pipe("bert_encoder").from_disk(
        folder / "other" / "bert_encoder", exclude=["vocab"]
    ),
    "initialize": lambda nlp, _: nlp.get_pipe("bert_encoder").initialize(lambda: []),
    "update": lambda nlp, _: teach(nlp),
    "averages": lambda nlp, _: teach_and_use_averages(nlp),
}


@pytest.fixture(scope="module")
def folder(checkpoint, tmp_path_factory):
    """A trained pipeline of three heads, and another one with other weights."""
    folder = tmp_path_factory.mktemp("pipelines")
    for name in ("one", "other"):
        nlp = make_pipeline(checkpoint, HEADS)
        for _ in range(3 if name == "one" else 6):
            teach(nlp)
        nlp.to_disk(folder / name)
    return folder


def predict(nlp, docs) -> list:
    """Predict as `nlp` does, to the bit, also what would not be written to a document."""
    token_scores = [nlp.get_pipe(name).score_tokens(docs).scores for name in HEADS[:2] if name in nlp.pipe_names]
    return [scores.tolist() for scores in (*token_scores, nlp.get_pipe("bert_textcat").predict(docs))]


@pytest.mark.everyday(4)
@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("disabled", [(), ("bert_tagger",)], ids=["all", "one disabled"])
def test_states_are_those_of_the_present_weights(folder, change, disabled):
    """A head that is disabled never asks for its states, so those of the batch before are still there."""
    nlp = spacy.load(folder / "one")
    for name in disabled:
        nlp.disable_pipe(name)
    docs = [nlp.make_doc(TEXTS[0])]  # as long as they are there, their states may be kept
    before = predict(nlp, docs)
    held = CHANGES[change](nlp, folder)
    found = [predict(nlp, docs) for _ in range(2)]
    fresh = spacy.load(folder / "one", disable=disabled)
    for pipes in zip(*([pipe for _, pipe in each.components] for each in (nlp, fresh)), strict=True):
        changed, unchanged = (pipe.model.module for pipe in pipes)
        unchanged.load_state_dict(changed.state_dict())
    expected = predict(fresh, docs)
    assert found == [expected, expected]
    assert all(left != right for left, right in zip(before, expected, strict=True))
    del held


def test_states_of_a_frozen_encoder_are_those_of_the_present_weights(folder):
    """It keeps them over the epochs of a training, for every text that it has seen."""
    frozen = {"components.bert_encoder.model.frozen_layers": "all"}
    nlp = spacy.load(folder / "one", config=frozen)
    for _ in range(2):
        nlp.update(make_examples(nlp), sgd=False)
    nlp.from_disk(folder / "other")
    expected = spacy.load(folder / "other", config=frozen)
    assert nlp(TEXTS[0]).cats == expected(TEXTS[0]).cats
    losses = [each.update(make_examples(each), sgd=False, losses={}) for each in (nlp, expected)]
    assert losses[0] == losses[1]


def test_averages_are_put_back(folder):
    nlp = spacy.load(folder / "one")
    nlp.disable_pipe("bert_tagger")
    optimizer = configure_adamw(5e-2, average_decay=0.5)
    for _ in range(3):
        nlp.update(make_examples(nlp), sgd=optimizer)
    docs = [nlp.make_doc(TEXTS[0])]
    before = predict(nlp, docs)
    with nlp.use_params(optimizer.averages):
        averaged = predict(nlp, docs)
    after = predict(nlp, docs)
    assert after == before
    assert all(left != right for left, right in zip(averaged, after, strict=True))


def test_a_step_that_waits_is_not_made_with_averages(checkpoint):
    """One head is frozen, so the step waits; the averages are not the weights that it is for."""
    nlp, other = (make_pipeline(checkpoint, HEADS) for _ in range(2))
    for each, settles in ((nlp, False), (other, True)):
        optimizer = configure_adamw(1e-2, average_decay=0.5)
        for _ in range(2):
            each.update(make_examples(each), sgd=optimizer, exclude=["bert_tagger"])
        if settles:
            each.get_pipe("bert_encoder").states.settle()
        with each.use_params(optimizer.averages):
            each(TEXTS[0])
    for name, parameter in list_parameters(nlp).items():
        assert torch.equal(parameter, list_parameters(other)[name])


def test_another_thread_does_not_keep_states_of_old_weights(folder):
    nlp = spacy.load(folder / "one")
    nlp.disable_pipe("bert_tagger")
    docs, found = [nlp.make_doc(TEXTS[0])], []
    expected = predict(spacy.load(folder / "other", disable=["bert_tagger"]), docs)

    def predict_twice() -> None:
        found.append(predict(nlp, docs))
        thread = Thread(target=nlp.from_disk, args=(folder / "other",))
        thread.start()
        thread.join()
        found.append(predict(nlp, docs))

    thread = Thread(target=predict_twice)
    thread.start()
    thread.join()
    assert found[1] == expected
    assert all(left != right for left, right in zip(*found, strict=True))


def test_states_contain_what_is_asked_for(folder):
    """Another head may ask for more of the same documents."""
    nlp = spacy.load(folder / "one")
    nlp.disable_pipe("bert_tagger")
    doc = nlp(TEXTS[0])
    encoder = nlp.get_pipe("bert_encoder").states.encoder
    encoder.require("max")
    assert "max" in nlp.get_pipe("bert_encoder").states.predict([doc]).vectors


def test_states_go_with_the_documents(folder):
    nlp = spacy.load(folder / "one")
    nlp.disable_pipe("bert_tagger")
    states = nlp.get_pipe("bert_encoder").states
    doc = nlp(TEXTS[0])
    assert states._kept.encoded is not None
    del doc
    gc.collect()
    assert states._kept.encoded is None
