"""Trials of all commands, and their figures at the end of the run."""

from __future__ import annotations

import os
import random
import shutil
from pathlib import Path

import pytest
import spacy
from fault_trials import COMMANDS, Trial, serve
from small_checkpoints import TEXTS, make_checkpoint
from spacy.tokens import DocBin
from taught_pipelines import GOLD, make_taught_pipeline

ASSETS = Path(__file__).parent.parent.parent / "assets"
# Faults of each kind and command, or `all`: at every change on the disk.
KILLS = os.environ.get("KILLS", "1")
_trials: list[Trial] = []


@pytest.fixture(scope="session")
def server():
    with serve() as server:
        yield server


@pytest.fixture(scope="session")
def inputs(tmp_path_factory):
    """Give what the commands read."""
    folder = tmp_path_factory.mktemp("inputs")
    for name, family, n_labels in (("bert", "bert", 0), ("electra", "electra", 0), ("head", "bert", 3)):
        make_checkpoint(folder / name, family, n_labels)
    gold = {factory: GOLD[factory] for factory in ("bert_ner", "bert_textcat")}
    nlp = make_taught_pipeline(str(folder / "bert"), gold)
    nlp.to_disk(folder / "pipeline")
    for _, pipe in nlp.components:  # other weights everywhere
        for node in pipe.model.walk():
            for shim in node.shims:
                for parameter in shim.module.parameters():
                    parameter.data *= 1.5
    nlp.to_disk(folder / "other_pipeline")
    for name, n_wrong in (("dev", 1), ("other", 2)):
        write_gold(folder / f"{name}.spacy", {factory: spoil(each, n_wrong) for factory, each in gold.items()})
    sentences = (ASSETS / "movie" / "test.bio").read_text(encoding="utf-8").split("\n\n")[:60]
    (folder / "films.bio").write_text("\n\n".join(sentences), encoding="utf-8")
    rows = (ASSETS / "messages" / "spam.csv").read_text(encoding="utf-8").splitlines()[:60]
    (folder / "spam.csv").write_text("\n".join(rows), encoding="utf-8")
    (folder / "texts.txt").write_text("\n".join(TEXTS * 3), encoding="utf-8")
    return folder


def spoil(gold, n_wrong):
    """Put wrong answers first, so that there is something to calibrate."""
    return [*gold[1 : n_wrong + 1], *gold[n_wrong:]]


def write_gold(path, gold):
    nlp = spacy.blank("en")
    docs = []
    for text, ents, cats in zip(TEXTS, gold["bert_ner"], gold["bert_textcat"], strict=False):
        doc = nlp.make_doc(text)
        spans = [doc.char_span(*entity[:2], entity[2]) for entity in ents["entities"]]
        doc.set_ents([span for span in spans if span])
        doc.cats = cats["cats"]
        docs.append(doc)
    DocBin(docs=docs).to_disk(path)


@pytest.fixture(scope="module", params=COMMANDS, ids=lambda command: command.name)
def trial(request, server, inputs, tmp_path_factory):
    """Give a command that may be broken off."""
    trial = Trial(request.param, server, inputs, tmp_path_factory.mktemp("trial") / "home")
    yield trial
    _trials.append(trial)
    shutil.rmtree(trial.home)


@pytest.fixture
def choose(request):
    """Give a function that chooses some of many numbers, or all of them where that is asked for."""

    def choose(n_all: int) -> list[int]:
        numbers = list(range(1, n_all + 1))
        if KILLS == "all":
            return numbers
        return sorted(random.Random(request.node.name).sample(numbers, min(int(KILLS), n_all)))

    return choose


def pytest_terminal_summary(terminalreporter):
    if _trials:
        terminalreporter.section("faults, by what was there afterwards")
    for trial in _trials:
        figures = ", ".join(f"{kind} → {outcome}: {n}" for (kind, outcome), n in sorted(trial.outcomes.items()))
        terminalreporter.write_line(f"{trial.command.name}: {len(trial.changes)} changes on the disk; {figures}")
