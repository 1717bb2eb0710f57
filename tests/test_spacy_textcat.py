"""spaCy's own commands on text classifiers, and on a pipeline that finds entities as well."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
import spacy
import srsly
from commands import run
from small_checkpoints import make_checkpoint
from spacy.tokens import Doc, DocBin

ROOT = Path(__file__).parent.parent
CONFIGS = ROOT / "configs"
COLOURS, ANIMALS = ("red", "green", "blue"), ("cat", "dog", "bird")

SMALL = [
    "--training.optimizer.learn_rate.total_steps=80",
    "--training.eval_frequency=40",
    "--training.optimizer.learn_rate.warmup_steps=5",
    "--training.optimizer.learn_rate.initial_rate=0.005",
    "--components.textcat.model.head_lr_scale=1.0",
    "--components.textcat.model.encoder.precision=fp32",
]


def paths(kind: str) -> list[str]:
    return ["--paths.train", f"{kind}.spacy", "--paths.dev", f"{kind}-dev.spacy", "--paths.encoder", "encoder"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """A folder with a small encoder, converted texts, and a pipeline of each kind trained on them."""
    folder = tmp_path_factory.mktemp("texts")
    make_checkpoint(folder / "encoder", max_position_embeddings=128)
    texts = [f"{colour} {animal} {n}" for n in range(16) for colour in COLOURS for animal in ANIMALS]
    with (folder / "colours.csv").open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([("text", "label"), *((text, text.split()[0]) for text in texts)])
    rows = [{"text": text, "labels": [word for word in text.split() if word in ("red", "cat")]} for text in texts]
    srsly.write_jsonl(folder / "both.jsonl", rows)
    for source in ("colours.csv", "both.jsonl"):
        output = f"{Path(source).stem}.spacy"
        columns = ["--label-column", "labels"] if source == "both.jsonl" else []
        run("spacy_bertft", "convert", source, output, "--as", "cats", "--dev", "0.25", *columns, cwd=folder)
    for kind, config in (("colours", "textcat"), ("both", "textcat_multilabel")):
        command = ["train", CONFIGS / f"{config}.cfg", "--output", f"training-{kind}", *paths(kind), *SMALL]
        assert "CATS_SCORE" in run("spacy", *command, cwd=folder)
    return folder


@pytest.mark.parametrize(
    ("kind", "text", "expected"), [("colours", "blue dog 1", {"blue"}), ("both", "red cat 3", {"red", "cat"})]
)
def test_train(folder, kind, text, expected):
    nlp = spacy.load(folder / f"training-{kind}" / "model-best")
    assert nlp.meta["performance"]["cats_score"] > 0.9
    assert {label for label, score in nlp(text).cats.items() if score > 0.5} == expected


@pytest.mark.parametrize("kind", ["colours", "both"])
def test_evaluate(folder, kind):
    command = [f"training-{kind}/model-best", f"{kind}-dev.spacy", "--output"]
    run("spacy", "evaluate", *command, "spacy.json", cwd=folder)
    output = run("spacy_bertft", "evaluate", *command, "ours.json", cwd=folder)
    ours, spacys = (srsly.read_json(folder / name) for name in ("ours.json", "spacy.json"))
    assert ours["cats_score"] == pytest.approx(spacys["cats_score"])
    assert "macro" in output
    assert f"{100 * ours['cats_accuracy']:.2f}" in output


def test_find_threshold(folder):
    command = ["training-both/model-best", "both-dev.spacy", "textcat", "threshold", "cats_macro_f", "--n_trials", "3"]
    output = run("spacy", "find-threshold", *command, cwd=folder)
    scores = {float(row.split()[0]): float(row.split()[1]) for row in output.splitlines() if row[:1].isdigit()}
    assert set(scores) == {0.0, 0.5, 1.0}
    assert scores[0.5] > scores[0.0] > scores[1.0] == 0.0


def test_init_labels_and_debug_data(folder):
    run("spacy", "init", "labels", CONFIGS / "textcat.cfg", "labels", *paths("colours"), cwd=folder)
    assert srsly.read_json(folder / "labels" / "textcat.json") == sorted(COLOURS)
    output = run("spacy", "debug", "data", CONFIGS / "textcat.cfg", *paths("colours"), cwd=folder)
    assert "Corpus is loadable" in output
    output = run("spacy_bertft", "debug-data", CONFIGS / "textcat.cfg", *paths("colours"), cwd=folder)
    assert "Text Classification: 3 label(s)" in output


def test_package(folder):
    (folder / "packages").mkdir()
    command = ["package", "training-colours/model-best", "packages", "--name", "colours", "--build", "none"]
    run("spacy", *command, cwd=folder)
    [meta] = folder.glob("packages/en_colours-*/meta.json")
    assert any(requirement.startswith("spacy-bertft") for requirement in srsly.read_json(meta)["requirements"])
    assert spacy.load(meta.parent / "en_colours" / meta.parent.name)("red bird").cats.keys() == set(COLOURS)


@pytest.mark.slow  # components/test_textcat.py trains both by spaCy's functions
def test_one_pipeline_finds_entities_and_categories(folder):
    """Both are trained by one `spacy train`, scored by one `spacy evaluate`, and answer together."""
    nlp = spacy.blank("en")
    for name in ("colours", "colours-dev"):
        docs = [add_entity(doc) for doc in DocBin().from_disk(folder / f"{name}.spacy").get_docs(nlp.vocab)]
        DocBin(docs=docs).to_disk(folder / f"joint-{name}.spacy")
    config = spacy.util.load_config(CONFIGS / "textcat.cfg")
    config["nlp"]["pipeline"] = ["ner", "textcat"]
    config["components"]["ner"] = spacy.util.load_config(CONFIGS / "ner.cfg")["components"]["ner"]
    config["training"]["score_weights"] |= {"cats_score": 0.5, "ents_f": 0.5}
    config.to_disk(folder / "joint.cfg")
    data = [
        "--paths.train",
        "joint-colours.spacy",
        "--paths.dev",
        "joint-colours-dev.spacy",
        "--paths.encoder",
        "encoder",
    ]
    more = ["--components.ner.model.head_lr_scale=1.0", "--components.ner.model.encoder.precision=fp32"]
    run("spacy", "train", "joint.cfg", "--output", "joint", *data, *SMALL, *more, cwd=folder)
    run("spacy", "evaluate", "joint/model-best", "joint-colours-dev.spacy", "--output", "joint.json", cwd=folder)
    scores = srsly.read_json(folder / "joint.json")
    assert min(scores["ents_f"], scores["cats_score"]) > 0.9
    doc = spacy.load(folder / "joint" / "model-best")("green bird 5")
    assert [(ent.text, ent.label_) for ent in doc.ents] == [("bird", "ANIMAL")]
    assert max(doc.cats, key=doc.cats.get) == "green"


def add_entity(doc: Doc) -> Doc:
    [animal] = [token for token in doc if token.text in ANIMALS]
    doc.set_ents([spacy.tokens.Span(doc, animal.i, animal.i + 1, "ANIMAL")])
    return doc
