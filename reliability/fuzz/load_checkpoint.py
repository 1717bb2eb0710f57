"""Checkpoints of Hugging Face: the first byte chooses the file, the rest are edits of it, or what it holds."""

from __future__ import annotations

import json
import shutil
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory, mkdtemp

import torch
from safetensors.torch import load_file, save_file

from spacy_bertft.checkpoints import read_head
from spacy_bertft.models.encoder.build import build_bert_encoder

from .blanks import get_blank
from .edits import apply_edits
from .laws import check, expect_clear_errors
from .tiny import make_tiny_checkpoint

DICTIONARY = (
    *(b'"model_type":', b'"hidden_size":', b'"num_hidden_layers":', b'"num_attention_heads":', b'"vocab_size":'),
    *(b'"max_position_embeddings":', b'"type_vocab_size":', b'"pad_token_id":', b'"id2label":', b'"num_labels":'),
    *(b'"architectures":', b'"auto_map":', b'"trust_remote_code":', b'"torch_dtype":', b'"problem_type":'),
    *(b'"layer_norm_eps":', b'"hidden_act":', b'"hidden_dropout_prob":', b'"is_decoder":', b'"add_cross_attention":'),
    *(b'"chunk_size_feed_forward":', b'"pruned_heads":', b'"position_embedding_type":', b'"output_attentions":'),
    *(b'"bert"', b'"roberta"', b'"distilbert"', b'"gelu"', b'"regression"', b'"BertForTokenClassification"'),
    *(b'"added_tokens":', b'"post_processor":', b'"normalizer":', b'"pre_tokenizer":', b'"model":', b'"vocab":'),
    *(b'"type":', b'"WordPiece"', b'"BPE"', b'"Unigram"', b'"TemplateProcessing"', b'"Precompiled"', b'"Regex":'),
    *(b'"weight_map":', b'"model-1.safetensors"', b'"../x"', b'"dtype":', b'"F32"', b'"data_offsets":', b'"shape":'),
    *(b"1000000000", b"1000000000000", b"-1", b"1e999", b"null", b"true", b"NaN", b'"\\ud800"', b"[]", b"{}"),
    *(b"cos\nsystem\n", b"ctorch._utils\n_rebuild_tensor_v2\n", b"\x80\x02", b"R.", b"PK\x03\x04", b"\xff"),
)
FILES = ("config.json", "tokenizer.json", "model.safetensors", "pytorch_model.bin", "model.safetensors.index.json")
SETTINGS, CONTENT = len(FILES), len(FILES) + 1  # of a config.json; any file as a whole


def fuzz_one(data: bytes) -> None:
    """Load the head and the encoder of a damaged checkpoint, and run it if that went well."""
    if not data:
        return
    choice, data = data[0] % (CONTENT + 1), data[1:]
    with TemporaryDirectory() as temporary_dir:
        folder = Path(temporary_dir, "checkpoint")
        shutil.copytree(_prepare(), folder)
        if choice == SETTINGS:
            _change_settings(folder / "config.json", data)
        elif choice == CONTENT:
            file = FILES[data[0] % len(FILES)] if data else FILES[0]
            (folder / file).write_bytes(data[1:])
            _choose_format(folder, file)
        else:
            path = folder / FILES[choice]
            path.write_bytes(apply_edits(path.read_bytes(), data))
            _choose_format(folder, FILES[choice])
        for task in ("token", "text"):
            with expect_clear_errors():
                read_head(str(folder), task)
        with expect_clear_errors():
            encoder = build_bert_encoder(str(folder), precision="fp32")
            encoder.initialize()
            states = encoder.predict([get_blank("en").make_doc(text) for text in ("a b c", "")])
            check(states.vectors["tokens"].shape[0] <= 3, "there is no state without a token")


def _change_settings(path: Path, data: bytes) -> None:
    try:
        changes = json.loads(data)
    except ValueError:
        return
    if isinstance(changes, dict):
        path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def _choose_format(folder: Path, file: str) -> None:
    """Leave out the weights in other formats, which would be read instead of a file of weights."""
    if file in FILES[2:]:
        for other in set(FILES[2:]) - {file}:
            (folder / other).unlink()


@cache
def _prepare() -> Path:
    """Make a whole checkpoint, with its weights in every format."""
    folder = make_tiny_checkpoint(Path(mkdtemp()), n_labels=3, id2label={0: "O", 1: "B-X", 2: "I-X"})
    weights = load_file(folder / "model.safetensors")
    torch.save(weights, folder / "pytorch_model.bin")
    save_file(weights, folder / "model-1.safetensors")
    index = {"weight_map": dict.fromkeys(weights, "model-1.safetensors")}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    return folder
