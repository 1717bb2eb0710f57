import copy
import pickle

import pytest
import spacy
import torch
from small_checkpoints import FAMILIES, TEXTS, make_checkpoint, make_windows
from spacy.training import Example

from spacy_bertft.checkpoints import read_checkpoint
from spacy_bertft.errors import MissingExtraError, SettingError, UnsupportedError
from spacy_bertft.models.encoder import inference as onnx_encoder
from spacy_bertft.models.encoder.build import build_bert_encoder
from spacy_bertft.models.encoder.inference import OnnxEncoder, make_inference_copy
from spacy_bertft.models.encoder.loading import build_bert, describe_bert, load_bert
from spacy_bertft.models.runtime import devices as precision
from spacy_bertft.training.optimizer import configure_adamw

pytest.importorskip("onnxruntime", reason="needs the extra onnx")
pytest.importorskip("onnx", reason="needs the extra onnx")

ALL = (*FAMILIES, "deberta-v2", "mobilebert")


def build(folder):
    checkpoint = read_checkpoint(str(folder))
    bert = build_bert(describe_bert(checkpoint))
    load_bert(bert, checkpoint)
    return bert.eval()


@pytest.fixture(scope="module", params=ALL)
def module(request, tmp_path_factory):
    return build(make_checkpoint(tmp_path_factory.mktemp("checkpoint") / request.param, request.param, 3, "token"))


@torch.inference_mode()
def compare(encoder, module, n_pieces: int) -> float:
    ids, mask, types = make_windows(n_pieces)
    return float((encoder(ids, mask, types) - module(ids, mask, types))[mask.bool()].abs().max())


def test_the_states_are_those_of_torch(module):
    encoder = make_inference_copy(module, "fp32", "onnx")
    assert isinstance(encoder, OnnxEncoder)
    for n_pieces in (3, 16, 25):
        assert compare(encoder, module, n_pieces) < 1e-4


def test_in_8_bits_they_are_near(module):
    """On a processor without instructions for 8 bits (VNNI) sums may overflow, so that single values are far off."""
    ids, mask, types = make_windows(16)
    with torch.no_grad():
        states = module(ids, mask, types)[mask.bool()]
    quantized = make_inference_copy(module, "int8", "onnx")(ids, mask, types)[mask.bool()]
    assert 1e-4 < float((quantized - states).norm() / states.norm()) < 0.2


def test_a_graph_that_does_something_else_is_not_used(module, monkeypatch):
    def trace_another(wrong, path):
        changed = copy.deepcopy(wrong)
        next(changed.bert.parameters()).neg_()
        trace(changed, path)

    trace = onnx_encoder._trace
    monkeypatch.setattr(onnx_encoder, "_trace", trace_another)
    with pytest.raises(UnsupportedError, match="Set backend to torch"):
        make_inference_copy(module, "fp32", "onnx")


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
    nlp = load(pipeline, backend="onnx")
    assert read(nlp.pipe(TEXTS)) == expected
    assert read(pickle.loads(pickle.dumps(nlp.get_pipe("bert_ner"))).pipe(map(nlp.make_doc, TEXTS))) == expected
    assert read(nlp.pipe(TEXTS * 4, n_process=2, batch_size=4)) == expected * 4
    assert any(expected)


def test_int8_answers_too(pipeline):
    docs = list(load(pipeline, backend="onnx", precision="int8").pipe(TEXTS))
    assert [doc.text for doc in docs] == TEXTS


@pytest.mark.parametrize(
    ("settings", "name"),
    [
        ({"precision": "int8"}, "precision"),
        ({"precision": "bf16", "backend": "onnx"}, "precision"),
        ({"precision": "fp16", "backend": "onnx"}, "precision"),
        ({"backend": "tensorrt"}, "backend"),
    ],
)
def test_settings_that_do_not_go_together(settings, name):
    with pytest.raises(SettingError) as raised:
        build_bert_encoder("/nowhere", **settings)
    assert raised.value.name == name


def test_without_the_extra(pipeline, monkeypatch):
    monkeypatch.setattr(precision, "find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r"spacy-bertft\[onnx\]"):
        load(pipeline, backend="onnx")
