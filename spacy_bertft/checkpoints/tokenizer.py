"""The tokenizer of a checkpoint folder, as transformers makes it of `tokenizer.json` and the settings next to it."""

from __future__ import annotations

import json
import re
import shutil
import warnings
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import srsly

from spacy_bertft.errors import CheckpointError, check_file, name_source, wrap_errors
from spacy_bertft.tokens import PieceTokenizer

# From one of these transformers makes a tokenizer if there is no tokenizer.json.
VOCABULARIES = ("vocab.txt", "vocab.json", "*.model")
# What these say goes before what is in tokenizer.json, in an order that differs between versions of transformers.
SETTINGS = ("tokenizer_config.json", "special_tokens_map.json", "added_tokens.json")
TOKENIZER_FILES = ("tokenizer.json", *SETTINGS, *VOCABULARIES, "merges.txt")


def read_tokenizer_dir(folder: Path) -> PieceTokenizer:
    """Read the tokenizer of a checkpoint.

    A `tokenizer.json` without settings next to it is used as it is. With settings, or without a `tokenizer.json`, it is
    what `AutoTokenizer` of the installed transformers makes of the folder. Its result is stored with a pipeline, which
    therefore loads without transformers' tokenizers and is not changed by another version of them.

    Raises:
        CheckpointError: There is none, or the files cannot be read or do not belong together.
    """
    path = folder / "tokenizer.json"
    settings = [name for name in SETTINGS if (folder / name).exists()]
    problem, advice = f"{folder} holds no tokenizer.json, and none could be made", ""
    if not path.exists() and not any(path for pattern in VOCABULARIES for path in folder.glob(pattern)):
        # Without one transformers may make a tokenizer to which every word is unknown.
        raise CheckpointError(f"{problem}: there is none of {', '.join(VOCABULARIES)}.")
    if path.exists() and not settings:
        check_file(path)
        with wrap_errors(f"{path} is not text in UTF-8"):
            content = path.read_text(encoding="utf-8")
    else:
        if path.exists():
            problem = f"The tokenizer of {folder} cannot be made with its {' and '.join(settings)}"
            advice = "Correct the files, or remove them to use tokenizer.json as it is."
        content = _make_with_transformers(folder, problem, advice)
    with name_source(str(folder)):
        return PieceTokenizer(content)


def _make_with_transformers(folder: Path, problem: str, advice: str) -> str:
    """Let transformers make a tokenizer, and return it as the content of a `tokenizer.json`.

    Raises:
        CheckpointError: It cannot, or what it makes is not a fast tokenizer with words.
    """
    from transformers import AutoTokenizer

    with TemporaryDirectory() as directory, warnings.catch_warnings(), wrap_errors(problem, advice):
        warnings.simplefilter("ignore")
        try:
            _copy_files(folder, Path(directory))
            tokenizer = AutoTokenizer.from_pretrained(
                directory, use_fast=True, trust_remote_code=False, local_files_only=True
            )
        except (OSError, ValueError) as error:
            raise ValueError(str(error).replace(directory, str(folder))) from error
        if not tokenizer.is_fast:
            raise ValueError(f"transformers has no fast tokenizer {type(tokenizer).__name__}")
        if tokenizer.backend_tokenizer.encode_special_tokens:
            raise ValueError("split_special_tokens = true is not supported")
        content: str = tokenizer.backend_tokenizer.to_str()
        if "token_type_ids" not in tokenizer.model_input_names:  # then the model is given none
            content = re.sub(r'"type_id":\s*1', '"type_id":0', content)
        if len(tokenizer) <= len(tokenizer.all_special_ids):
            raise ValueError("its vocabulary has special tokens only")
    return content


def _copy_files(folder: Path, target: Path) -> None:
    """Copy what makes a tokenizer, without what would lead transformers to files elsewhere."""
    for path in sorted({path for pattern in TOKENIZER_FILES for path in folder.glob(pattern)}):
        check_file(path)
        shutil.copyfile(path, target / path.name)
    settings = _read_object(folder / "tokenizer_config.json")
    if settings:
        kept = {key: value for key, value in settings.items() if "file" not in key and key != "init_inputs"}
        (target / "tokenizer_config.json").write_text(json.dumps(kept), encoding="utf-8")
    config = _read_object(folder / "config.json")
    if config:
        fields = ("model_type", "tokenizer_class", "transformers_version")
        srsly.write_json(target / "config.json", {name: config[name] for name in fields if name in config})


def _read_object(path: Path) -> dict[str, Any]:
    if not path.exists():
        return {}
    check_file(path)
    content = json.loads(path.read_text(encoding="utf-8"))  # not by srsly: transformers writes numbers of 31 digits
    if not isinstance(content, dict):
        raise ValueError(f"{path.name} does not hold names and values")
    return content
