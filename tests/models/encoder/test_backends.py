import os
import pickle
import subprocess
import sys

import pytest
import spacy
import torch
from small_checkpoints import FAMILIES, TEXTS, make_checkpoint, make_windows
from spacy.training import Example

from spacy_bertft.checkpoints import read_checkpoint
from spacy_bertft.errors import MissingExtraError, SettingError, UnsupportedError
from spacy_bertft.models.encoder import inference
from spacy_bertft.models.encoder.build import build_bert_encoder
from spacy_bertft.models.encoder.graph import GraphEncoder
from spacy_bertft.models.encoder.inference import make_inference_copy
from spacy_bertft.models.encoder.loading import build_bert, describe_bert, load_bert
from spacy_bertft.models.encoder.settings import WindowSize
from spacy_bertft.models.runtime import devices as precision
from spacy_bertft.models.runtime.openvino import Graph
from spacy_bertft.training.optimizer import configure_adamw

pytest.importorskip("openvino", reason="needs the extra openvino")

ALL = (*FAMILIES, "deberta-v2", "mobilebert")


def build(folder):
    checkpoint = read_checkpoint(str(folder))
    bert = build_bert(describe_bert(checkpoint))
    load_bert(bert, checkpoint)
    bert.window = WindowSize(16, 12)
    return bert.eval()


@pytest.fixture(scope="module", params=ALL)
def module(request, tmp_path_factory):
    return build(make_checkpoint(tmp_path_factory.mktemp("checkpoint") / request.param, request.param, 3, "token"))


def compare(encoder, module, n_pieces: int) -> float:
    ids, mask, types = (each.numpy() for each in make_windows(n_pieces))
    with torch.inference_mode():
        states = module(*make_windows(n_pieces)).numpy()
    return float(abs(encoder.graph(ids=ids, mask=mask, types=types) - states)[mask == 1].max())


@pytest.mark.everyday(3)
def test_the_states_are_those_of_torch(module):
    encoder = make_inference_copy(module, "fp32", "openvino")
    assert isinstance(encoder, GraphEncoder)
    for n_pieces in (3, 16, 25):
        assert compare(encoder, module, n_pieces) < 1e-4


@pytest.mark.everyday(1)
def test_a_graph_that_does_something_else_is_not_used(module, monkeypatch):
    class WrongGraph(Graph):
        def __call__(self, **inputs):
            return -super().__call__(**inputs)

    monkeypatch.setattr(inference, "Graph", WrongGraph)
    with pytest.raises(UnsupportedError, match=r"of the family '.*' does\. Set backend or runtime to torch"):
        make_inference_copy(module, "fp32", "openvino")


def test_what_openvino_cannot_read_or_makes_no_number_of_is_named(module, monkeypatch):
    class NanGraph(Graph):
        def __call__(self, **inputs):
            states = super().__call__(**inputs)
            states[inputs["mask"] == 0] = float("nan")
            return states

    with monkeypatch.context() as patch:
        patch.setattr(inference, "Graph", NanGraph)
        with pytest.raises(UnsupportedError, match=r"cannot say what an encoder of the family"):
            make_inference_copy(module, "fp32", "openvino")
    monkeypatch.setattr(Graph, "from_model", lambda model: 1 / 0)
    with pytest.raises(UnsupportedError, match=r"OpenVINO cannot run an encoder of the family '.*'\. Set backend"):
        make_inference_copy(module, "fp32", "openvino")


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory):
    """Make a pipeline on disk, and return its folder."""
    folder = tmp_path_factory.mktemp("pipeline")
    nlp = spacy.blank("en")
    checkpoint = make_checkpoint(folder / "checkpoint", "bert", 3, "token")
    nlp.add_pipe("bert_ner", config={"model": {"encoder": {"name": str(checkpoint), "precision": "fp32"}}})
    gold = {"entities": [(19, 23, "FIRST"), (24, 33, "LAST")]}
    examples = [Example.from_dict(nlp.make_doc(TEXTS[0]), gold)]
    nlp.initialize(lambda: examples)
    optimizer = configure_adamw(learn_rate=1e-2)
    for _ in range(30):
        nlp.update(examples, sgd=optimizer)
    nlp.to_disk(folder / "pipeline")
    return folder / "pipeline"


def load(pipeline, **settings):
    return spacy.load(pipeline, config={"components": {"bert_ner": {"model": {"encoder": settings}}}})


def read(docs):
    return [[(ent.text, ent.label_, round(ent._.bertft_score, 3)) for ent in doc.ents] for doc in docs]


@pytest.mark.process
def test_one_line_of_the_config_chooses_it(pipeline):
    expected = read(spacy.load(pipeline).pipe(TEXTS))
    nlp = load(pipeline, backend="openvino")
    assert read(nlp.pipe(TEXTS)) == expected
    assert read(pickle.loads(pickle.dumps(nlp.get_pipe("bert_ner"))).pipe(map(nlp.make_doc, TEXTS))) == expected
    assert read(nlp.pipe(TEXTS * 4, n_process=2, batch_size=4)) == expected * 4
    assert any(expected)


FORK = """
import gc, multiprocessing, sys
import spacy
gc.disable()
config = {"components": {"bert_ner": {"model": {"encoder": {"backend": "openvino"}}}}}
dropped = [spacy.load(sys.argv[1], config=config)]
list(dropped[0].pipe(["show me films with drew barrymore"]))
dropped.append(dropped)
del dropped
process = multiprocessing.get_context("fork").Process(target=gc.collect)
process.start()
process.join(30)
print(process.exitcode)
process.kill()
"""


@pytest.mark.process
@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_child_does_not_destroy_a_graph_that_its_parent_has_dropped(pipeline):
    """To destroy it, OpenVINO waits for threads that the child does not have.

    In a process of its own: that of the tests has more threads, whose locks a child may wait for too.
    """
    done = subprocess.run([sys.executable, "-c", FORK, str(pipeline)], capture_output=True, text=True)
    assert done.stdout == "0\n"


@pytest.mark.parametrize(
    ("settings", "name", "expected"),
    [
        ({"precision": "int8"}, "precision", "spacy-bertft quantize"),
        ({"precision": "half"}, "precision", "one of auto"),
        ({"backend": "tensorrt"}, "backend", "one of torch, openvino"),
    ],
)
def test_settings_that_are_not_known(settings, name, expected):
    with pytest.raises(SettingError, match=expected) as raised:
        build_bert_encoder("/nowhere", **settings)
    assert raised.value.name == name


def test_without_the_extra(pipeline, monkeypatch):
    monkeypatch.setattr(precision, "find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r"spacy-bertft\[openvino\]"):
        load(pipeline, backend="openvino")
