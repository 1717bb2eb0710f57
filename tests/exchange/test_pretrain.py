"""Encoders, adapted to texts."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import spacy
import torch
from small_checkpoints import TEXTS, make_checkpoint, make_unigram, make_word_level
from spacy.training import Example
from tokenizers import pre_tokenizers
from transformers import AutoModelForMaskedLM, AutoTokenizer
from typer.testing import CliRunner

from spacy_bertft.checkpoints import read_checkpoint
from spacy_bertft.cli import app
from spacy_bertft.errors import CheckpointError, DataError, DivergedError, SettingError
from spacy_bertft.exchange.pretrain import pretrain
from spacy_bertft.models.mlm import training as masked_training

# So repetitive that a hidden word can be guessed from those around it.
PATTERNS = [
    f"{verb} {what} with {who} from the 1980s"
    for verb in ("show", "find")
    for what in ("films", "movies")
    for who in ("drew barrymore", "harold ramis", "bill murray")
]


@pytest.fixture
def texts(tmp_path: Path) -> Path:
    path = tmp_path / "texts.jsonl"
    lines = [f"{pattern} {ending}" for pattern in PATTERNS for ending in ("", "me", "and more", "me please", "in it")]
    path.write_text("".join(json.dumps({"text": line}) + "\n" for line in lines))
    return path


def read_files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.everyday(1)
@pytest.mark.parametrize("whole_words", [False, True])
def test_held_out_texts_are_guessed_better(checkpoint, texts, tmp_path, whole_words):
    settings = {"epochs": 40, "learn_rate": 5e-3, "batch_pieces": 256, "dev": 0.2, "whole_words": whole_words}
    settings["precision"] = "fp32"
    report = pretrain(texts, tmp_path / "hf", **settings, encoder=checkpoint)
    assert (report.n_texts, report.n_held_out) == (48, 12)
    assert not report.has_had_head
    assert report.loss_after < 0.6 * report.loss_before
    assert report.seconds > 0
    again = pretrain(texts, tmp_path / "more", **settings, encoder=str(tmp_path / "hf"), steps=2)
    assert again.has_had_head
    assert again.n_steps == 2
    # The same seed hides the same pieces, so that the loss goes on where it was.
    assert again.loss_before == pytest.approx(report.loss_after, rel=1e-4)


def test_the_checkpoint_is_whole(checkpoint, texts, tmp_path):
    folder = tmp_path / "hf"
    pretrain(texts, folder, encoder=checkpoint, steps=3)
    assert set(read_files(folder)) == {
        "README.md",
        "config.json",
        "model.safetensors",
        "tokenizer.json",
        "tokenizer_config.json",
    }
    model, info = AutoModelForMaskedLM.from_pretrained(folder, output_loading_info=True)
    assert not info["missing_keys"]
    tokenizer = AutoTokenizer.from_pretrained(folder)
    batch = tokenizer(["show me films with drew [MASK]"], return_tensors="pt")
    assert tokenizer.mask_token_id in batch["input_ids"]
    assert model(**batch).logits.shape[-1] == tokenizer.vocab_size
    card = (folder / "README.md").read_text()
    assert "pipeline_tag: fill-mask" in card
    assert f"# {Path(checkpoint).name}, pretrained on more texts" in card
    assert "The head that predicts masked subword tokens is new" in card
    assert str(tmp_path) not in card


@pytest.mark.parametrize("family", ["bert", "distilbert", "roberta", "electra"])
def test_a_head_of_ours_starts_from_it(family, checkpoints, texts, tmp_path):
    pretrain(texts, tmp_path / "hf", encoder=str(checkpoints(family)), steps=3, learn_rate=1e-2)
    before, after = (read_checkpoint(str(folder)).weights for folder in (checkpoints(family), tmp_path / "hf"))
    name, moved = next((name, after[key]) for name in before for key in after if key.endswith(f".{name}"))
    assert not torch.equal(before[name], moved)
    nlp = spacy.blank("en")
    nlp.add_pipe("bert_ner", config={"model": {"encoder": {"name": str(tmp_path / "hf"), "precision": "fp32"}}})
    example = Example.from_dict(nlp.make_doc(TEXTS[0]), {"entities": [(19, 33, "ACTOR")]})
    nlp.initialize(lambda: [example])
    module = nlp.get_pipe("bert_ner").model.find_source().module
    state = module.bert.state_dict()
    assert all(
        torch.equal(state[key.split(".", 1)[1]], each) for key, each in after.items() if key.split(".", 1)[1] in state
    )
    assert np.isfinite(nlp.update([example])["bert_ner"])


def test_nothing_is_written_unless_all_is_well(checkpoint, texts, tmp_path, monkeypatch):
    folder = tmp_path / "hf"
    pretrain(texts, folder, encoder=checkpoint, steps=1)
    before, settings = read_files(folder), {"encoder": checkpoint, "steps": 8}
    with pytest.raises(DivergedError) as caught:
        pretrain(texts, folder, **settings, learn_rate=1e30, precision="fp32")
    assert caught.value.learn_rate > 0
    with pytest.raises(DivergedError):  # not seen on the way, but on the weights
        pretrain(texts, folder, encoder=checkpoint, steps=1, learn_rate=1e39, dev=0.0, precision="fp32")

    n_calls = 0

    def interrupt(*arguments):
        nonlocal n_calls
        n_calls += 1
        if n_calls > 5:
            raise KeyboardInterrupt
        return compute_loss(*arguments)

    compute_loss = masked_training._compute_loss
    monkeypatch.setattr(masked_training, "_compute_loss", interrupt)
    with pytest.raises(KeyboardInterrupt):
        pretrain(texts, folder, **settings)
    assert read_files(folder) == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["hf", "texts.jsonl"]


def test_the_same_seed_gives_the_same_weights(checkpoint, texts, tmp_path):
    torch.manual_seed(3)
    state = torch.random.get_rng_state()
    for name, seed in (("one", 1), ("two", 1), ("other", 2)):
        pretrain(texts, tmp_path / name, encoder=checkpoint, steps=2, seed=seed)
    assert torch.equal(torch.random.get_rng_state(), state)
    one, two, other = ((tmp_path / name / "model.safetensors").read_bytes() for name in ("one", "two", "other"))
    assert one == two != other


def test_a_new_head_learns_alone_at_first(checkpoint, texts, tmp_path, monkeypatch):
    monkeypatch.setattr(masked_training, "_ALONE_SHARE", 1.0)
    settings = {"steps": 3, "learn_rate": 1e-2, "precision": "fp32"}
    report = pretrain(texts, tmp_path / "hf", encoder=checkpoint, **settings)
    assert report.loss_after < report.loss_before
    before, after = (read_checkpoint(str(folder)).weights for folder in (checkpoint, tmp_path / "hf"))
    for name, tensor in before.items():
        inner = name.removeprefix("bert.")
        if inner.startswith(("embeddings", "encoder")):
            torch.testing.assert_close(after[f"bert.{inner}"], tensor.float(), rtol=0, atol=0)
    pretrain(texts, tmp_path / "more", encoder=str(tmp_path / "hf"), **settings)
    layer = "bert.encoder.layer.0.output.dense.weight"
    assert not torch.equal(read_checkpoint(str(tmp_path / "more")).weights[layer], after[layer])


def test_long_texts_and_none_held_out(checkpoint, tmp_path):
    (tmp_path / "long.txt").write_text(" ".join(PATTERNS) + "\n")
    report = pretrain(tmp_path / "long.txt", tmp_path / "hf", encoder=checkpoint, dev=0.0, window=16, batch_pieces=32)
    assert report.n_pieces == len(read_checkpoint(checkpoint).tokenizer.encode([" ".join(PATTERNS)]).ids)
    assert report.n_steps >= 3 * (report.n_pieces // 32)
    assert report.loss_before is None
    assert "loss" not in str(report).split()


def test_errors(checkpoint, texts, tmp_path):
    folder, default = tmp_path / "hf", {"encoder": checkpoint, "steps": 1}
    for name, value in {
        "epochs": 0,
        "steps": 0,
        "batch_pieces": 0,
        "learn_rate": 0.0,
        "mask_rate": 1.0,
        "window": 65,
        "dev": 1.0,
        "precision": "int8",
        "gpu_id": 99,
    }.items():
        with pytest.raises(SettingError) as caught:
            pretrain(texts, folder, **default | {name: value})
        assert caught.value.name == name
    with pytest.raises(SettingError, match="the number of special tokens"):
        pretrain(texts, folder, **default, window=2)
    with pytest.raises(CheckpointError, match="itself"):
        pretrain(texts, checkpoint, **default)
    with pytest.raises(CheckpointError, match=r"holds texts\.jsonl"):
        pretrain(texts, tmp_path, **default)
    (tmp_path / "odd.txt").write_text("漢字\n☃\n")
    with pytest.raises(DataError, match="knows no subword token"):
        pretrain(tmp_path / "odd.txt", folder, **default, dev=0.0)
    wordless = make_checkpoint(tmp_path / "wordless", "xlm-roberta")
    tokenizer = make_unigram()
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(split=False)
    tokenizer.save(str(wordless / "tokenizer.json"))
    with pytest.raises(SettingError, match="cuts words"):
        pretrain(texts, folder, encoder=str(wordless), whole_words=True)
    bare = make_checkpoint(tmp_path / "bare", "bert")
    make_word_level().save(str(bare / "tokenizer.json"))
    with pytest.raises(CheckpointError, match="no mask token such as"):
        pretrain(texts, folder, encoder=str(bare), steps=1)
    assert not folder.exists()


def test_the_command(checkpoint, texts, tmp_path):
    arguments = ["pretrain", str(texts), str(tmp_path / "hf"), "--encoder", checkpoint, "--steps", "2", "--whole-words"]
    for _ in range(2):  # an earlier checkpoint is replaced
        done = CliRunner().invoke(app, arguments)
        assert done.exit_code == 0, done.output
    shown = " ".join(done.output.split())
    assert "perplexity" in shown
    assert "2 steps in" in shown
    done = CliRunner().invoke(app, [*arguments, "--text-column", "query"])
    assert done.exit_code == 1
    assert "line 1: there is no column 'query'" in " ".join(done.output.split())
