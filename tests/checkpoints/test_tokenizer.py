"""Tokenizers of checkpoint folders against `AutoTokenizer`, on unusual texts."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from odd_texts import PARTS
from small_checkpoints import TEXTS, make_byte_level, make_unigram, make_wordpiece
from tokenizers import Tokenizer, normalizers, pre_tokenizers
from transformers import AutoTokenizer

from spacy_bertft.checkpoints import Checkpoint, copy_checkpoint, read_checkpoint, read_tokenizer, write_checkpoint
from spacy_bertft.errors import CheckpointError
from spacy_bertft.tokens import PieceTokenizer

CAPITALS = [
    "Show ME films",
    "ÄRGERNIS Naïve Café",
    "İstanbul ΑΣ ﬁne e\u0301 Ａ",
    "中文 who日本directed",
    "a\x00b\tc\u200bd",
]
ADDED = ["<ent>who</ent>", "wh<ent>o", "in[E1]side", "x [E1] y", "[e1] <ENT> < ent >", "directed[MASK] [CLS]</s><mask>"]
ODD = [*TEXTS, *CAPITALS, *ADDED, *PARTS, " ".join(PARTS), "".join(PARTS), "", " ", "who  directed\n\nit"]


def make_cased_wordpiece() -> Tokenizer:
    tokenizer = make_wordpiece()
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=False, strip_accents=False)
    return tokenizer


def describe_added(content: str, **changes: bool) -> dict[str, Any]:
    flags = dict.fromkeys(("lstrip", "rstrip", "single_word", "normalized", "special"), False)
    return {"content": content, **flags, **changes}


MAKERS = {
    "bert": make_wordpiece,
    "cased": make_cased_wordpiece,
    "roberta": make_byte_level,
    "xlm-roberta": make_unigram,
}
KINDS = {"bert": "bert", "cased": "distilbert", "roberta": "roberta", "xlm-roberta": "xlm-roberta"}
CONFIG, MAP, TOKENS = "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json"

# What stands next to a tokenizer.json, by its kind.
FILES: list[tuple[str, dict[str, Any]]] = [
    ("bert", {CONFIG: {"do_lower_case": False}}),
    ("bert", {CONFIG: {"do_lower_case": True, "strip_accents": False}}),
    ("bert", {CONFIG: {"do_lower_case": True, "model_max_length": int(1e30)}}),  # as transformers writes no limit
    ("bert", {CONFIG: {"do_lower_case": False, "strip_accents": True, "tokenizer_class": "BertTokenizer"}}),
    ("bert", {CONFIG: {"tokenize_chinese_chars": False, "tokenizer_class": "BertTokenizerFast"}}),
    ("bert", {CONFIG: {"do_lower_case": False, "tokenizer_class": "PreTrainedTokenizerFast"}}),
    ("cased", {CONFIG: {"do_lower_case": True}}),
    ("cased", {CONFIG: {}}),
    ("cased", {CONFIG: {"strip_accents": True, "do_lower_case": False, "tokenizer_class": "DistilBertTokenizer"}}),
    ("bert", {CONFIG: {"additional_special_tokens": ["<ent>", "[E1]"]}}),
    ("bert", {CONFIG: {"additional_special_tokens": ["<ent>"], "tokenizer_class": "PreTrainedTokenizerFast"}}),
    ("roberta", {CONFIG: {"additional_special_tokens": ["<ent>", "[E1]"]}}),
    ("xlm-roberta", {CONFIG: {"additional_special_tokens": ["<ent>", "[E1]"]}}),
    ("bert", {TOKENS: {"<ent>": 150, "[E1]": 151}}),
    ("bert", {TOKENS: {"<ent>": 150, "[E1]": 151}, CONFIG: {"additional_special_tokens": ["[E1]"]}}),
    ("bert", {MAP: {"additional_special_tokens": ["<ent>"], "mask_token": "[MASK]"}}),
    ("roberta", {MAP: {"mask_token": {**describe_added("<mask>", lstrip=True)}}, TOKENS: {"<ent>": 400}}),
    ("bert", {CONFIG: {"added_tokens_decoder": {"150": describe_added("<ent>", special=True, rstrip=True)}}}),
    ("bert", {CONFIG: {"added_tokens_decoder": {"150": describe_added("[E1]", single_word=True, normalized=True)}}}),
    ("roberta", {CONFIG: {"added_tokens_decoder": {"400": describe_added("<ent>", lstrip=True, rstrip=True)}}}),
    ("roberta", {CONFIG: {"add_prefix_space": True}}),
    ("roberta", {CONFIG: {"add_prefix_space": True, "tokenizer_class": "PreTrainedTokenizerFast"}}),
    ("xlm-roberta", {CONFIG: {"tokenizer_class": "XLMRobertaTokenizer"}}),
]


def make_folder(folder: Path, kind: str, files: dict[str, Any]) -> Path:
    folder.mkdir(exist_ok=True)
    tokenizer = MAKERS[kind]()
    tokenizer.save(str(folder / "tokenizer.json"))
    config = {"model_type": KINDS[kind], "vocab_size": tokenizer.get_vocab_size() + 8}
    for name, content in {"config.json": config, **files}.items():
        (folder / name).write_text(json.dumps(content))
    return folder


def encode(tokenizer: PieceTokenizer, text: str) -> list[int]:
    return [*tokenizer.prefix_ids, *tokenizer.encode([text]).ids.tolist(), *tokenizer.suffix_ids]


@pytest.mark.parametrize(("kind", "files"), FILES)
def test_pieces_are_those_of_transformers(kind: str, files: dict[str, Any], tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "hf", kind, files)
    official = AutoTokenizer.from_pretrained(folder)
    tokenizer = read_tokenizer(str(folder))
    for text in ODD:
        assert encode(tokenizer, text) == official(text)["input_ids"], text
    again = PieceTokenizer(tokenizer.json)  # as a stored pipeline has it
    assert [encode(again, text) for text in ODD] == [encode(tokenizer, text) for text in ODD]


@pytest.mark.parametrize(
    "files", [{CONFIG: {"do_lower_case": False}}, {CONFIG: {"additional_special_tokens": ["<ent>"]}}]
)
def test_settings_change_what_is_read(files: dict[str, Any], tmp_path: Path) -> None:
    alone = PieceTokenizer(make_wordpiece().to_str())
    tokenizer = read_tokenizer(str(make_folder(tmp_path / "hf", "bert", files)))
    text = "Who <ent> directed"
    assert encode(tokenizer, text) != encode(alone, text)


@pytest.mark.parametrize(
    "config", [{"model_input_names": ["input_ids", "attention_mask"]}, {"tokenizer_class": "DistilBertTokenizer"}]
)
def test_segments_that_transformers_would_not_give(config: dict[str, Any], tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "hf", "bert", {CONFIG: config})
    assert "token_type_ids" not in AutoTokenizer.from_pretrained(folder)("a", "b")
    assert '"type_id":1' in make_wordpiece().to_str()
    assert '"type_id":1' not in read_tokenizer(str(folder)).json


def make_prefixed() -> Tokenizer:
    tokenizer = make_byte_level()
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    return tokenizer


@pytest.mark.parametrize("maker", [*MAKERS.values(), make_prefixed])
def test_transformers_cuts_an_exported_checkpoint_the_same(maker: Callable[[], Tokenizer], tmp_path: Path) -> None:
    tokenizer = PieceTokenizer(maker().to_str())
    config = {"model_type": "bert", "vocab_size": tokenizer.vocab_size, "pad_token_id": 0, "type_vocab_size": 2}
    write_checkpoint(Checkpoint("bert", config, tokenizer, {"x": torch.zeros(1)}), tmp_path)
    official = AutoTokenizer.from_pretrained(tmp_path)
    back = read_tokenizer(str(tmp_path))
    for text in ODD:
        assert encode(tokenizer, text) == official(text)["input_ids"] == encode(back, text), text


def test_a_copy_has_every_file_of_the_tokenizer(checkpoint: str, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(checkpoint, tmp_path / "hf"))
    make_folder(folder, "bert", {CONFIG: {"do_lower_case": False}, TOKENS: {"<ent>": 150}, MAP: {"unk_token": "[UNK]"}})
    for name in ("vocab.txt", "spm.model"):
        (folder / name).write_text("a")
    copy_checkpoint(str(folder), tmp_path / "copy")
    written = {path.name for path in (tmp_path / "copy").iterdir()}
    assert {CONFIG, MAP, TOKENS, "tokenizer.json", "vocab.txt", "spm.model"} <= written
    assert read_tokenizer(str(tmp_path / "copy")).json == read_tokenizer(str(folder)).json
    copy_checkpoint(str(folder), tmp_path / "copy")  # an earlier copy is replaced


@pytest.mark.parametrize(
    ("name", "content", "problem"),
    [
        (CONFIG, b"{", "cannot be made with its tokenizer_config.json"),
        (CONFIG, b"[]", "tokenizer_config.json does not hold names and values"),
        (CONFIG, b'{"split_special_tokens": true}', "split_special_tokens = true is not supported"),
        (CONFIG, b'{"added_tokens_decoder": {"x": 3}}', "cannot be made with its tokenizer_config.json"),
        (TOKENS, b"\xff", "cannot be made with its added_tokens.json"),
        (MAP, b"{", "cannot be made with its special_tokens_map.json"),
    ],
)
def test_settings_that_cannot_be_used_are_named(name: str, content: bytes, problem: str, tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "hf", "bert", {})
    (folder / name).write_bytes(content)
    with pytest.raises(CheckpointError, match=re.escape(problem)) as caught:
        read_tokenizer(str(folder))
    assert str(folder) in str(caught.value)
    assert str(caught.value).endswith("remove them to use tokenizer.json as it is.")


def test_settings_lead_to_no_other_file(tmp_path: Path) -> None:
    """What names a file somewhere else is not followed."""
    elsewhere = tmp_path / "elsewhere.json"
    make_cased_wordpiece().save(str(elsewhere))
    names = ("tokenizer_file", "vocab_file", "gguf_file", "special_tokens_map_file")
    named = {name: str(elsewhere) for name in names} | {"init_inputs": [str(elsewhere)]}
    folder = make_folder(tmp_path / "hf", "bert", {CONFIG: {"do_lower_case": True, "name_or_path": "a/b", **named}})
    plain = make_folder(tmp_path / "plain", "bert", {CONFIG: {"do_lower_case": True}})
    assert read_tokenizer(str(folder)).json == read_tokenizer(str(plain)).json


def test_pieces_that_the_model_does_not_know_are_named(checkpoint: str, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(checkpoint, tmp_path / "hf"))
    (folder / TOKENS).write_text(json.dumps({"<ent>": 150}))
    size = json.loads((folder / "config.json").read_text())["vocab_size"]
    with pytest.raises(
        CheckpointError, match=f"has {size + 1} subword tokens, its model only {size}: it has no vector for <ent>"
    ):
        read_checkpoint(str(folder))
