"""`guarantee` stores a threshold in a pipeline, and harms nothing."""

from __future__ import annotations

import shutil
from pathlib import Path

import commands
import pytest
import spacy
import srsly
from small_checkpoints import TEXTS
from spacy.tokens import DocBin
from taught_pipelines import GOLD, make_examples, make_taught_pipeline

from spacy_bertft.errors import DataError, SettingError
from spacy_bertft.evaluation.guarantee import guarantee

HEADS = ("bert_ner", "bert_textcat")


@pytest.fixture(scope="module")
def pipeline(checkpoint: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("taught") / "model"
    make_taught_pipeline(checkpoint, {head: GOLD[head] for head in HEADS}, n_steps=10).to_disk(folder)
    return folder


@pytest.fixture(scope="module")
def dev(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twenty documents, of which fifteen have entities."""
    path = tmp_path_factory.mktemp("data") / "dev.spacy"
    gold = [{**ents, **cats} for ents, cats in zip(*(GOLD[head] for head in HEADS), strict=True)]
    docs = [example.reference for example in make_examples(spacy.blank("en"), gold)]
    DocBin(docs=5 * docs).to_disk(path)
    return path


def list_files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_the_command(pipeline: Path, dev: Path, tmp_path: Path) -> None:
    before = list_files(pipeline)
    test = shutil.copy(dev, tmp_path / "test.spacy")
    output = commands.run(
        "spacy_bertft", "guarantee", pipeline, dev, "--output", "new", "--recall", 0.9, "--test", test, cwd=tmp_path
    )
    rows = [f"{head}, {data}" for data in ("dev", "test") for head in HEADS]
    assert [line[:21].strip() for line in output.splitlines() if line[1:5] == "bert"] == rows
    output = " ".join(output.split())
    assert "90 % of it or more is among the candidates, on average" in output
    assert "doc.spans['bert_ner_candidates'], doc._.bertft_candidates['bert_textcat']" in output
    assert list_files(pipeline) == before
    changed = {name for name, content in list_files(tmp_path / "new").items() if content != before[name]}
    assert changed == {f"{head}/cfg" for head in HEADS}
    doc = spacy.load(tmp_path / "new")(TEXTS[0])
    assert {"drew barrymore", "1980s"} <= {span.text for span in doc.spans["bert_ner_candidates"]}
    assert "film" in doc._.bertft_candidates["bert_textcat"]


def test_what_it_reports_is_what_the_pipeline_writes(pipeline: Path, dev: Path, tmp_path: Path) -> None:
    report = guarantee(pipeline, dev, tmp_path / "new", recall=0.8)
    nlp = spacy.load(tmp_path / "new")
    gold = list(DocBin().from_disk(dev).get_docs(nlp.vocab))
    docs = list(nlp.pipe(doc.text for doc in gold))
    ner, textcat = report.figures
    assert (ner.n_docs, ner.n_annotated, ner.n_gold) == (20, 15, 20)
    assert ner.n_candidates == sum(len(doc.spans["bert_ner_candidates"]) for doc in docs)
    wanted = [{(ent.start, ent.end, ent.label_) for ent in doc.ents} for doc in gold]
    found = [{(span.start, span.end, span.label_) for span in doc.spans["bert_ner_candidates"]} for doc in docs]
    pairs = list(zip(wanted, found, strict=True))
    assert ner.pooled_recall == sum(len(one & other) for one, other in pairs) / 20
    assert ner.recall == pytest.approx(sum(len(one & other) / len(one) for one, other in pairs if one) / 15)
    assert ner.recall >= 0.8
    assert (textcat.n_docs, textcat.n_annotated, textcat.n_gold) == (20, 20, 20)
    assert textcat.n_candidates == sum(len(doc._.bertft_candidates["bert_textcat"]) for doc in docs)


def test_one_component_in_place(pipeline: Path, dev: Path, tmp_path: Path) -> None:
    spacy.load(pipeline).to_disk(tmp_path / "model")
    before = list_files(tmp_path / "model")
    report = guarantee(tmp_path / "model", dev, component="bert_textcat")
    assert [one.component for one in report.figures] == ["bert_textcat"]
    after = list_files(tmp_path / "model")
    assert {name for name in after if after[name] != before.get(name)} == {"bert_textcat/cfg"}
    stored = srsly.read_json(tmp_path / "model" / "bert_textcat" / "cfg")["guarantee"]
    assert (stored["recall"], stored["n_docs"]) == (pytest.approx(0.95), 20)
    thresholds = [guarantee(tmp_path / "model", dev, component="bert_textcat", recall=r) for r in (0.6, 0.9)]
    assert thresholds[0].figures[0].threshold >= thresholds[1].figures[0].threshold


def test_failures_come_in_one_line_and_change_nothing(pipeline: Path, dev: Path, tmp_path: Path) -> None:
    before = list_files(pipeline)
    output = commands.run("spacy_bertft", "guarantee", pipeline, dev, "--recall", 0.99, cwd=tmp_path, code=1)
    assert "bert_ner: no threshold promises a recall of 0.99 by 15 documents" in output
    assert "Expected at least 99, or a lower recall." in output
    for recall in (0, 1):
        with pytest.raises(SettingError, match="recall"):
            guarantee(pipeline, dev, recall=recall)
    with pytest.raises(SettingError, match="one of bert_ner, bert_textcat"):
        guarantee(pipeline, dev, component="other")
    with pytest.raises(DataError, match="is no file"):
        guarantee(pipeline, dev, test_path=tmp_path / "none.spacy")
    with pytest.raises(SettingError, match="installed pipeline"):
        guarantee("en_core_nothing", dev)
    spacy.blank("en").to_disk(tmp_path / "blank")
    with pytest.raises(SettingError, match="the pipeline has none"):
        guarantee(tmp_path / "blank", dev)
    assert list_files(pipeline) == before
