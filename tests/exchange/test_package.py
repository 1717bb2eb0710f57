"""Packages of pipelines: their size, and that they answer and learn as the pipelines do."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import spacy
import srsly
import torch
from small_checkpoints import TEXTS, make_checkpoint
from spacy.tokens import DocBin
from spacy.training import Example
from thinc.api import fix_random_seed

from spacy_bertft.errors import DataError, SettingError
from spacy_bertft.evaluation.evaluate import evaluate
from spacy_bertft.exchange import package as package_module
from spacy_bertft.exchange.package import package
from spacy_bertft.training.optimizer import configure_adamw

pytestmark = pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning")  # of spaCy's own `package`

GOLD = [{"entities": [(19, 33, "ACTOR"), (43, 48, "YEAR")]}, {"entities": [(17, 26, "TITLE")]}]
SIZES = {"hidden_size": 128, "intermediate_size": 512, "num_hidden_layers": 3}
SHARED = {"@architectures": "spacy-bertft.SharedEncoder.v1"}


def make_examples(nlp):
    return [Example.from_dict(nlp.make_doc(text), gold) for text, gold in zip(TEXTS, GOLD, strict=False)]


def train(name, folder, learn_rate=3e-3, is_shared=False, **encoder):
    nlp = spacy.blank("en")
    ruler = nlp.add_pipe("entity_ruler")
    settings = {"name": str(name), **encoder}
    if is_shared:
        nlp.add_pipe("bert_encoder", config={"model": settings})
    nlp.add_pipe(
        "bert_ner", name="ner", config={"overwrite": False, "model": {"encoder": SHARED if is_shared else settings}}
    )
    fix_random_seed(0)
    examples = make_examples(nlp)
    nlp.initialize(lambda: examples)
    ruler.add_patterns([{"label": "WORD", "pattern": "mission impossible"}])
    optimizer = configure_adamw(learn_rate)
    for _ in range(40):
        nlp.update(examples, sgd=optimizer)
    nlp.to_disk(folder)
    (folder / "LICENSE").write_text("free")
    return folder


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("trained")
    return train(make_checkpoint(folder / "hf", **SIZES), folder / "pipeline", 1e-3)


def read_files(folder: Path) -> dict[Path, bytes]:
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def find_data(report) -> Path:
    [data] = report.path.glob("en_*/en_*/config.cfg")
    return data.parent


def read_entities(nlp):
    return [[(ent.text, ent.label_) for ent in doc.ents] for doc in nlp.pipe(TEXTS)]


def load(folder, precision):
    return spacy.load(folder, config={"components.ner.model.encoder.precision": precision})


def test_half_the_size_and_the_same_entities(trained, tmp_path):
    before = read_files(trained)
    report = package(trained, tmp_path / "packages", precision="bf16", name="films", version="1.2.0", build="none")
    assert read_files(trained) == before
    assert report.path == tmp_path / "packages" / "en_films-1.2.0"
    assert report.components == ("ner",)
    assert list((tmp_path / "packages").iterdir()) == [report.path]
    data = find_data(report)
    assert (data / "ner" / "model").stat().st_size == report.bytes_after <= 0.55 * report.bytes_before
    changed = (Path("ner", "model"), Path("meta.json"))
    others = {path: content for path, content in before.items() if path not in changed}
    assert read_files(data).items() >= others.items()
    assert srsly.read_json(report.path / "meta.json")["version"] == "1.2.0"
    expected = read_entities(spacy.load(trained))
    assert ("drew barrymore", "ACTOR") in expected[0]
    assert read_entities(spacy.load(data)) == expected


def test_scores_in_bf16_are_the_same_to_the_bit(trained, tmp_path):
    data = find_data(package(trained, tmp_path, precision="bf16", build="none"))
    before, after = load(trained, "bf16"), load(data, "bf16")
    docs = [before.make_doc(text) for text in TEXTS]
    scores = [nlp.get_pipe("ner").model.predict(docs).scores for nlp in (before, after)]
    np.testing.assert_array_equal(scores[0], scores[1])
    wider = [load(folder, "fp32").get_pipe("ner").model.predict(docs).scores for folder in (trained, data)]
    assert not np.array_equal(wider[0], wider[1])
    np.testing.assert_allclose(wider[0], wider[1], atol=0.2)


def test_it_trains_on_in_float32(trained, tmp_path):
    report = package(trained, tmp_path, precision="bf16", build="none")
    nlp = spacy.load(find_data(report))
    bert = nlp.get_pipe("ner").model.find_source().module
    old = {name: parameter.detach().clone() for name, parameter in bert.named_parameters()}
    optimizer = configure_adamw(1e-3)
    losses = [nlp.update(make_examples(nlp), sgd=optimizer)["ner"] for _ in range(5)]
    assert max(losses) < 0.5  # where it had come to; fresh weights begin above 1
    for name, parameter in bert.named_parameters():
        assert parameter.dtype == torch.float32
        if ".pooler." not in name:
            assert not torch.equal(parameter, old[name]), name
    nlp.to_disk(tmp_path / "again")
    assert (tmp_path / "again" / "ner" / "model").stat().st_size == report.bytes_before


def test_a_shared_encoder_is_written_once(checkpoint, tmp_path):
    folder = train(checkpoint, tmp_path / "pipeline", is_shared=True)
    report = package(folder, tmp_path / "packages", precision="bf16", build="none")
    assert report.components == ("bert_encoder",)
    assert report.bytes_after < report.bytes_before
    expected = read_entities(spacy.load(folder))
    assert expected[0]
    assert read_entities(spacy.load(find_data(report))) == expected


@pytest.mark.skipif(find_spec("peft") is None, reason="the extra peft is not installed")
@pytest.mark.parametrize("save", ["apart", "merged"])
def test_an_adapter_is_kept(save, checkpoint, tmp_path):
    lora = {"@misc": "spacy-bertft.LoRA.v1", "rank": 2, "save": save}
    folder = train(checkpoint, tmp_path / "pipeline", learn_rate=1e-2, adapter=lora)
    data = find_data(package(folder, tmp_path / "packages", precision="bf16", build="none"))
    expected = read_entities(spacy.load(folder))
    assert expected[0]
    assert read_entities(spacy.load(data)) == expected
    if save == "apart":
        assert read_files(data / "ner" / "adapter") == read_files(folder / "ner" / "adapter")
        assert read_files(data / "ner" / "adapter")


def test_a_pipeline_without_our_components_is_packaged_too(tmp_path):
    spacy.blank("en").to_disk(tmp_path / "blank")
    report = package(tmp_path / "blank", tmp_path / "packages", build="none")
    assert report.components == ()
    assert spacy.load(find_data(report)).pipe_names == []


def test_what_a_registry_shows(trained, tmp_path):
    """Of a pipeline with scores on its development data, packaged with those on a test set, and without."""
    nlp = spacy.load(trained)
    nlp.meta |= {"performance": {"ents_f": 0.25, "ner_loss": 3.0}, "license": "MIT"}
    nlp.to_disk(tmp_path / "pipeline")
    DocBin(docs=[example.reference for example in make_examples(nlp)]).to_disk(tmp_path / "test.spacy")
    evaluate(tmp_path / "pipeline", tmp_path / "test.spacy", tmp_path / "test.json")
    settings = {
        "description": "Films.",
        "license": "CC BY 4.0",
        "scores_path": tmp_path / "test.json",
        "version": "1.0",
    }
    tested = package(tmp_path / "pipeline", tmp_path / "tested", build="none", **settings)
    meta = spacy.load(find_data(tested)).meta
    assert (meta["description"], meta["license"]) == ("Films.", "CC BY 4.0")
    assert meta["performance"]["ents_f"] == 1.0
    assert meta["performance"]["split"] == "test"
    assert "ner_loss" not in meta["performance"]
    readme = (tested.path / "README.md").read_text(encoding="utf-8")
    assert all(shown in readme for shown in ("Films.", "`CC BY 4.0`", "| `ENTS_F` | 100.00 |"))

    plain = package(tmp_path / "pipeline", tmp_path / "plain", build="none")
    meta = srsly.read_json(plain.path / "meta.json")
    assert meta["description"] == "spaCy pipeline with a fine-tuned BERT: entity_ruler, ner"
    assert (meta["license"], meta["performance"]) == ("MIT", {"ents_f": 0.25, "ner_loss": 3.0})


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (None, "cannot be read as JSON"),
        (b"\xff", "cannot be read as JSON"),
        (b'{"lang": "en"}', "holds no scores"),
        (b"[1]", "holds no scores"),
    ],
)
def test_other_files_than_scores_are_refused(content, problem, trained, tmp_path):
    if content is not None:
        (tmp_path / "test.json").write_bytes(content)
    with pytest.raises(DataError, match=rf"test\.json {problem}.*evaluate --output"):
        package(trained, tmp_path / "packages", scores_path=tmp_path / "test.json")
    assert not (tmp_path / "packages").exists()


def test_scores_of_another_training_are_refused(trained, tmp_path):
    """Those of ours are known by settings and weights, such as a temperature, those of spaCy by their labels."""
    nlp = spacy.load(trained)
    nlp.get_pipe("ner").cfg["temperature"] = 2.0
    nlp.to_disk(tmp_path / "again")
    DocBin(docs=[example.reference for example in make_examples(nlp)]).to_disk(tmp_path / "test.spacy")
    evaluate(trained, tmp_path / "test.spacy", tmp_path / "ours.json")
    srsly.write_json(tmp_path / "spacy.json", {"speed": 1.0, "ents_per_type": {"GENE": {"f": 1.0}}})
    for name in ("ours", "spacy"):
        with pytest.raises(
            DataError, match=rf"{name}\.json holds the scores of another pipeline, .* Evaluate this one"
        ):
            package(tmp_path / "again", tmp_path / "packages", scores_path=tmp_path / f"{name}.json")
    assert not (tmp_path / "packages").exists()
    report = package(trained, tmp_path / "packages", scores_path=tmp_path / "ours.json", build="none", name="films")
    assert "training" not in srsly.read_json(report.path / "meta.json")["performance"]


def test_errors_leave_nothing_behind(trained, tmp_path, monkeypatch):
    out = tmp_path / "packages"
    for settings, match in (
        ({"precision": "int4"}, "precision = 'int4'. Expected one of fp32, bf16, fp16"),
        ({"build": "egg"}, "sdist, wheel, none"),
        ({"name": "my-films"}, "such as movie_ner"),
    ):
        with pytest.raises(SettingError, match=match):
            package(trained, out, **settings)
    with pytest.raises(DataError, match="is no pipeline"):
        package(tmp_path / "nowhere", out)
    assert not out.exists()
    with pytest.raises(DataError, match=r"spaCy could not make the package: .*not a permitted package name"):
        package(trained, out, name="_films", build="none")
    monkeypatch.setattr(package_module, "_write_encoders", lambda *_: (_ for _ in ()).throw(OSError("disk full")))
    with pytest.raises(OSError, match="disk full"):
        package(trained, out, build="none")
    assert not list(out.iterdir())


def test_an_earlier_package_gives_way_only_if_told_to(trained, tmp_path):
    first = package(trained, tmp_path, build="none")
    assert first.bytes_after == first.bytes_before
    with pytest.raises(DataError, match="Pass --force"):
        package(trained, tmp_path, precision="bf16", build="none")
    second = package(trained, tmp_path, precision="bf16", build="none", force=True)
    assert second.path == first.path
    assert (find_data(second) / "ner" / "model").stat().st_size == second.bytes_after < first.bytes_after
