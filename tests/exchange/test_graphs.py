"""Pipelines that only predict, by graphs of OpenVINO: they predict as those of torch do, and without torch."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
import spacy
import srsly
from choice_pipelines import CHOICES, make_choosing
from question_pipelines import QUESTIONS, make_qa
from small_checkpoints import TEXTS
from spacy.language import Language
from spacy.tokens import DocBin
from spacy.training import Example
from taught_pipelines import GOLD, SPANS, make_taught_pipeline
from taught_pipelines import make_examples as make_taught_examples
from text_pipelines import EXCLUSIVE
from thinc.api import fix_random_seed
from waiting import PATIENCE
from written_by_pipelines import check_equal, read_all

from spacy_bertft.components.pipelines import format_requirement
from spacy_bertft.errors import (
    BertftError,
    CheckpointError,
    DataError,
    MissingExtraError,
    SettingError,
    UnsupportedError,
)
from spacy_bertft.exchange import graphs
from spacy_bertft.exchange.export_hf import export_hf
from spacy_bertft.exchange.graphs import quantize
from spacy_bertft.exchange.package import package
from spacy_bertft.explanation.explain import attribute
from spacy_bertft.models.runtime import devices
from spacy_bertft.training.optimizer import configure_adamw

pytest.importorskip("openvino", reason="needs the extra openvino")
needs_no_stock = pytest.mark.skipif(
    find_spec("spacy_transformers") is not None, reason="spacy-transformers imports torch for every pipeline"
)
pytestmark = pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning")  # of spaCy's own `package`
needs_nncf = pytest.mark.skipif(find_spec("nncf") is None, reason="needs the extra quantize")

TESTS = Path(__file__).parent.parent
LONG = " ".join(TEXTS * 3)  # some windows
WINDOWS = {"window": 16, "stride": 12, "precision": "fp32"}
ASKED = [*TEXTS, LONG, "", " \n ", "Der 😀 e\u0301tude,\u00a0naïve?"]
TOLERANCE = 1e-4


def teach(checkpoint: str, factory: str, gold: list[dict], encoder: dict | None = None, **model: object) -> Language:
    """Make a pipeline of one component, and teach it some texts."""
    fix_random_seed(0)
    nlp = spacy.blank("en")
    nlp.add_pipe(factory, config={"model": {**model, "encoder": {"name": checkpoint, **WINDOWS, **(encoder or {})}}})
    examples = make_taught_examples(nlp, gold)
    nlp.initialize(lambda: examples)
    optimizer = configure_adamw(5e-3)
    for _ in range(30):
        nlp.update(examples, sgd=optimizer)
    return nlp


def tag() -> list[dict]:
    docs = map(spacy.blank("en"), TEXTS)
    return [{"tags": ["LONG" if len(token) > 3 else "SHORT" for token in doc]} for doc in docs]


CATS = [{"cats": EXCLUSIVE[text]} for text in TEXTS]
NUMBERS = [{"cats": {"price": 1000.0 * index, "stars": float(index % 3)}} for index in range(len(TEXTS))]
QUESTION_TEXTS = [f"{question}\x1f{context}" for question, context, _ in QUESTIONS]
CHOICE_TEXTS = ["\x1f".join([prompt, *endings]) for prompt, endings, _ in CHOICES]
# How each pipeline is made, and what it is asked.
MAKERS = {
    **{
        f"bert_ner-{decoder}": (lambda name, d=decoder: teach(name, "bert_ner", GOLD["bert_ner"], decoder=d), ASKED)
        for decoder in ("crf", "viterbi", "greedy")
    },
    "bert_ner-layers": (
        lambda name: teach(name, "bert_ner", GOLD["bert_ner"], {"layers": "second_to_last", "tokenize": "tokens"}),
        ASKED,
    ),
    "bert_tagger": (lambda name: teach(name, "bert_tagger", tag()), ASKED),
    **{
        f"bert_textcat-{pooling}-{windows}": (
            lambda name, p=pooling, w=windows: teach(name, "bert_textcat", CATS, pooling=p, windows=w),
            ASKED,
        )
        for pooling, windows in (("cls", "mean"), ("mean", "max"), ("max", "first"), ("first", "max"))
    },
    "bert_regressor": (lambda name: teach(name, "bert_regressor", NUMBERS), ASKED),
    "bert_qa": (lambda name: make_qa(name, n_steps=30, encoder=WINDOWS | {"window": 32}), QUESTION_TEXTS),
    "bert_multiple_choice": (lambda name: make_choosing(name, n_steps=30), CHOICE_TEXTS),
    "shared": (
        lambda name: make_taught_pipeline(name, {**GOLD, "bert_tagger": tag()}, n_steps=20, **WINDOWS),
        ASKED,
    ),
}


def find_data(folder: Path) -> Path:
    """Find the pipeline in the folder of a package."""
    [config] = folder.glob("*/*/config.cfg")
    return config.parent


@pytest.fixture(scope="module")
def made(checkpoint: str, tmp_path_factory: pytest.TempPathFactory):
    """Give what makes a pipeline of a kind once; it gives the folder of it, and that of the one with graphs."""
    folders: dict[str, tuple[Path, Path]] = {}

    def make(kind: str) -> tuple[Path, Path]:
        if kind not in folders:
            folder = tmp_path_factory.mktemp(kind)
            maker, asked = MAKERS[kind]
            maker(checkpoint).to_disk(folder / "pipeline")
            report = package(folder / "pipeline", folder / "packages", runtime="openvino", build="none")
            data = find_data(report.path)
            srsly.write_json(data.parent / "asked.json", asked)
            folders[kind] = folder / "pipeline", data
        return folders[kind]

    return make


def predict(folder: Path, texts: list[str]) -> list[dict]:
    return [read_all(doc) for doc in spacy.load(folder).pipe(texts)]


@pytest.mark.everyday(2)
@pytest.mark.parametrize("kind", MAKERS)
def test_the_package_predicts_as_the_pipeline_does(made, kind):
    pipeline, data = made(kind)
    asked = MAKERS[kind][1]
    expected = predict(pipeline, asked)
    check_equal(predict(data, asked), expected, TOLERANCE)
    assert len({str(each) for each in expected}) > 1


@needs_no_stock
@pytest.mark.process
def test_without_torch_it_predicts_the_same(made):
    folders = {kind: made(kind) for kind in MAKERS}
    paths = [str(TESTS), *filter(None, [os.environ.get("PYTHONPATH")])]
    done = subprocess.run(
        [sys.executable, str(TESTS / "predict_without_torch.py"), *(str(data) for _, data in folders.values())],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(paths), "HF_HUB_OFFLINE": "1"},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    for kind, (pipeline, data) in folders.items():
        check_equal(srsly.read_json(data / "predicted.json"), predict(pipeline, MAKERS[kind][1]), TOLERANCE)


@needs_no_stock
@pytest.mark.process
def test_without_torch_a_pipeline_that_needs_it_names_the_extra(made):
    pipeline, _ = made("bert_tagger")
    code = f"import sys; sys.modules.update(torch=None, transformers=None); import spacy; spacy.load({str(pipeline)!r})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=PATIENCE)
    assert done.returncode == 1
    [*_, last] = done.stderr.splitlines()
    assert "MissingExtraError" in last
    assert "pip install 'spacy-bertft[torch]'" in last


def test_the_package_requires_no_torch_and_says_so_in_its_config(made):
    pipeline, data = made("shared")
    requirements = srsly.read_json(pipeline / "meta.json")["requirements"]
    assert format_requirement("torch") in requirements
    assert srsly.read_json(data / "meta.json")["requirements"] == [format_requirement("openvino")]
    config = spacy.util.load_config(data / "config.cfg")["components"]
    assert config["bert_encoder"]["model"]["backend"] == "graph"
    assert config["bert_ner"]["model"]["encoder"]["backend"] == "graph"
    installed = (data.parents[1] / "setup.py").read_text(encoding="utf-8")
    assert "torch" not in installed
    assert "transformers" not in srsly.read_json(data.parents[1] / "meta.json")["requirements"]


def test_it_can_be_saved_and_loaded_again(made, tmp_path):
    _, data = made("shared")
    expected = predict(data, ASKED)
    nlp = spacy.load(data)
    nlp.to_disk(tmp_path / "again")
    assert predict(tmp_path / "again", ASKED) == expected
    from_bytes = spacy.util.load_model_from_config(nlp.config).from_bytes(nlp.to_bytes())
    assert [read_all(doc) for doc in from_bytes.pipe(ASKED)] == expected


@pytest.mark.process
def test_it_predicts_in_processes(made):
    _, data = made("shared")
    docs = spacy.load(data).pipe(ASKED * 2, n_process=2, batch_size=4)
    check_equal([read_all(doc) for doc in docs], predict(data, ASKED) * 2, TOLERANCE)


def update(nlp: Language) -> None:
    nlp.update(make_taught_examples(nlp, GOLD["bert_ner"]), sgd=configure_adamw(1e-3))


def resume(nlp: Language) -> None:
    nlp.resume_training()
    nlp.rehearse(make_taught_examples(nlp, GOLD["bert_ner"]))


def explain(nlp: Language) -> None:
    doc = nlp(TEXTS[0])
    attribute(nlp, doc, doc.ents[0])


@pytest.mark.parametrize("act", [update, explain, resume])
def test_what_it_cannot_do(made, act):
    nlp = spacy.load(made("bert_ner-crf")[1])
    with pytest.raises(UnsupportedError, match="This pipeline only predicts: it has a graph of OpenVINO"):
        act(nlp)
    assert read_all(nlp(TEXTS[0]))["entities"]


def test_it_cannot_be_initialized(made):
    nlp = spacy.load(made("bert_ner-crf")[1])
    examples = make_taught_examples(nlp, GOLD["bert_ner"])
    with pytest.raises(SettingError, match="torch or openvino: a pipeline with graphs only predicts"):
        nlp.initialize(lambda: examples)


def test_it_cannot_be_exported_or_made_again(made, tmp_path):
    _, data = made("bert_ner-crf")
    (tmp_path / "texts.txt").write_text("\n".join(TEXTS), encoding="utf-8")
    for make in (
        lambda: export_hf(data, tmp_path / "hf"),
        lambda: quantize(data, tmp_path / "texts.txt", tmp_path / "quantized"),
        lambda: package(data, tmp_path / "packages", precision="bf16", build="none"),
    ):
        with pytest.raises(UnsupportedError, match="only predicts"):
            make()
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == [tmp_path / "texts.txt"]


@pytest.mark.parametrize("runtime", ["torch", "openvino"])
def test_it_can_be_packaged_as_it_is(made, tmp_path, runtime):
    """As a pipeline that was quantized is."""
    _, data = made("bert_tagger")
    report = package(data, tmp_path / "packages", runtime=runtime, build="none", name="again")
    assert report.components == ("bert_tagger",)
    assert predict(find_data(report.path), ASKED) == predict(data, ASKED)
    assert srsly.read_json(find_data(report.path) / "meta.json")["requirements"] == [format_requirement("openvino")]


@pytest.mark.parametrize(("which", "backend", "held"), [(0, "graph", "weights"), (1, "torch", "a graph")])
def test_what_it_holds_is_not_what_its_config_says(made, which, backend, held):
    folder = made("bert_ner-crf")[which]
    config = {"components": {"bert_ner": {"model": {"encoder": {"backend": backend}}}}}
    with pytest.raises(CheckpointError, match=f"It holds {held}, which is not for backend = {backend}"):
        spacy.load(folder, config=config)


def make_spancat(checkpoint: str) -> Language:
    return teach(checkpoint, "bert_spancat", SPANS)


def make_mixed(checkpoint: str) -> Language:
    return teach(checkpoint, "bert_ner", GOLD["bert_ner"], {"layers": "scalar_mix"})


def make_listening(checkpoint: str) -> Language:
    """Make a component of spaCy over an encoder of ours."""
    nlp = spacy.blank("en")
    encoder = {"@architectures": "spacy-bertft.BertEncoder.v1", "name": checkpoint}
    tok2vec = {"@architectures": "spacy-bertft.Tok2Vec.v1", "encoder": encoder}
    nlp.add_pipe("tagger", config={"model": {"@architectures": "spacy.Tagger.v2", "tok2vec": tok2vec}})
    examples = [Example.from_dict(nlp.make_doc(text), gold) for text, gold in zip(TEXTS, tag(), strict=True)]
    nlp.initialize(lambda: examples)
    return nlp


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (make_spancat, "bert_spancat has to have torch: a head of the kind"),
        (make_mixed, "bert_ner has to have torch for layers = scalar_mix"),
        (make_listening, "tagger has to have torch: it is a component of spaCy"),
    ],
)
def test_components_that_have_to_have_torch(checkpoint, tmp_path, make, expected):
    make(checkpoint).to_disk(tmp_path / "pipeline")
    with pytest.raises(UnsupportedError, match=expected):
        package(tmp_path / "pipeline", tmp_path / "packages", runtime="openvino", build="none")
    assert not list((tmp_path / "packages").glob("*"))


def test_weights_of_half_the_size_are_for_torch(made, tmp_path):
    with pytest.raises(SettingError, match="fp32, with another runtime than torch"):
        package(made("bert_tagger")[0], tmp_path / "packages", runtime="openvino", precision="bf16")
    with pytest.raises(SettingError, match="torch, openvino"):
        package(made("bert_tagger")[0], tmp_path / "packages", runtime="onnx")


@pytest.fixture
def annotated(made, tmp_path) -> Path:
    """Give a file of annotated texts."""
    nlp = spacy.blank("en")
    examples = make_taught_examples(nlp, GOLD["bert_ner"])
    path = tmp_path / "dev.spacy"
    DocBin(docs=[example.reference for example in examples]).to_disk(path)
    return path


@needs_nncf
def test_quantized_by_annotated_texts(made, annotated, tmp_path):
    pipeline, _ = made("bert_ner-crf")
    before = {path: path.read_bytes() for path in pipeline.rglob("*") if path.is_file()}
    report = quantize(pipeline, annotated, tmp_path / "quantized")
    assert (report.components, report.n_texts, report.path) == (("bert_ner",), 4, tmp_path / "quantized")
    assert report.before["ents_f"] == spacy.load(pipeline).evaluate(list(read_gold(annotated)))["ents_f"]
    assert report.after["ents_f"] == spacy.load(report.path).evaluate(list(read_gold(annotated)))["ents_f"]
    assert report.after["ents_f"] >= report.before["ents_f"] - 0.2
    assert f"ents_f {100 * report.before['ents_f']:.2f} → {100 * report.after['ents_f']:.2f}" in str(report)
    graph = spacy.load(report.path).get_pipe("bert_ner").model.find_source().module.graph
    assert b"FakeQuantize" in graph.layout or b'element_type="i8"' in graph.layout
    assert {path: path.read_bytes() for path in pipeline.rglob("*") if path.is_file()} == before
    meta = srsly.read_json(report.path / "meta.json")
    assert (meta["requirements"], meta["performance"]) == ([format_requirement("openvino")], {})


@needs_nncf
def test_a_recall_that_was_promised_is_not_after_quantizing(made, annotated, tmp_path):
    pipeline = shutil.copytree(made("bert_ner-crf")[0], tmp_path / "pipeline")
    promised = {"log_threshold": -1.0, "n_docs": 4, "recall": 0.5}
    stored = srsly.read_json(pipeline / "bert_ner" / "cfg")
    srsly.write_json(pipeline / "bert_ner" / "cfg", {**stored, "guarantee": promised})
    quantize(pipeline, annotated, tmp_path / "quantized")
    assert srsly.read_json(tmp_path / "quantized" / "bert_ner" / "cfg") == stored
    assert srsly.read_json(pipeline / "bert_ner" / "cfg")["guarantee"] == promised


def read_gold(path: Path) -> list[Example]:
    nlp = spacy.blank("en")
    return [Example(nlp.make_doc(doc.text), doc) for doc in DocBin().from_disk(path).get_docs(nlp.vocab)]


@needs_nncf
@pytest.mark.everyday(1)
@pytest.mark.parametrize("kind", ["bert_ner-viterbi", "bert_textcat-mean-max", "bert_qa", "shared"])
def test_quantized_by_texts_alone(made, tmp_path, kind):
    pipeline, _ = made(kind)
    asked = MAKERS[kind][1]
    srsly.write_jsonl(tmp_path / "texts.jsonl", [{"body": text} for text in asked if text.strip()])
    report = quantize(pipeline, tmp_path / "texts.jsonl", tmp_path / "quantized", text_column="body")
    assert (report.before, report.after) == ({}, {})
    assert "nothing was scored" in str(report)
    check_equal(
        [{"scores": each["scores"]} for each in predict(report.path, asked)],
        [{"scores": each["scores"]} for each in predict(pipeline, asked)],
        0.25,
    )


@needs_nncf
@pytest.mark.slow
def test_an_encoder_that_no_component_uses(checkpoint, tmp_path):
    make_taught_pipeline(checkpoint, {"bert_ner": GOLD["bert_ner"]}, n_steps=1).to_disk(tmp_path / "pipeline")
    (tmp_path / "texts.txt").write_text(TEXTS[0], encoding="utf-8")
    with pytest.raises(UnsupportedError, match="bert_encoder was given no text"):
        quantize(tmp_path / "pipeline", tmp_path / "texts.txt", tmp_path / "quantized")
    assert not (tmp_path / "quantized").exists()


def test_without_the_extras(made, annotated, tmp_path, monkeypatch):
    pipeline, _ = made("bert_ner-crf")
    monkeypatch.setattr(graphs, "find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r"quantize needs an extra.*spacy-bertft\[quantize\]"):
        quantize(pipeline, annotated, tmp_path / "quantized")
    monkeypatch.setattr(devices, "find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r"spacy-bertft\[openvino\]"):
        package(pipeline, tmp_path / "packages", runtime="openvino")


@needs_nncf
@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("texts.txt", "\n", "there is no text"),
        ("texts.xyz", "a", "a name that ends in .jsonl, .csv, .tsv or .txt"),
        ("missing.txt", None, "missing.txt"),
        ("missing.spacy", None, "missing.spacy"),
    ],
)
def test_no_texts_to_quantize_by(made, tmp_path, name, content, expected):
    path = tmp_path / name
    if content is not None:
        path.write_text(content, encoding="utf-8")
    with pytest.raises((DataError, SettingError), match=expected):
        quantize(made("bert_ner-crf")[0], path, tmp_path / "quantized")
    assert not (tmp_path / "quantized").exists()


def test_a_pipeline_without_weights(checkpoint, tmp_path):
    nlp = spacy.blank("en")
    nlp.add_pipe("bert_ner", config={"model": {"encoder": {"name": checkpoint}}})
    nlp.to_disk(tmp_path / "pipeline")
    with pytest.raises(BertftError, match="bert_ner has no weights yet"):
        package(tmp_path / "pipeline", tmp_path / "packages", runtime="openvino", build="none")
