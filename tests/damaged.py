"""Ways to damage what is on a disk, and pickles that tell when they are opened."""

from __future__ import annotations

import os
import pickle
import pickletools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import torch

from spacy_bertft.errors import BertftError, CheckpointError

LONGEST_ERROR = 1000  # characters


class Canary:
    """A pickle that leaves a file behind when it is opened."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Callable[[Path], None], tuple[Path]]:
        return Path.touch, (self.path,)


def _pickle_state(path: Path, protocol: int) -> bytes:
    content = pickle.dumps({"weight": Canary(path)}, protocol)
    assert any(opcode.name == "REDUCE" for opcode, _, _ in pickletools.genops(content))
    return content


def _write_torch_file(path: Path, canary: Path) -> None:
    torch.save({"weight": torch.zeros(2), "more": Canary(canary)}, path)


# By name what is done to a file; the second path is one that a pickle makes when it is opened.
DAMAGES: dict[str, Callable[[Path, Path], object]] = {
    "missing": lambda path, canary: path.unlink(),
    "empty": lambda path, canary: path.write_bytes(b""),
    "cut to one byte": lambda path, canary: path.write_bytes(path.read_bytes()[:1]),
    "cut to a half": lambda path, canary: path.write_bytes(path.read_bytes()[: path.stat().st_size // 2]),
    "cut by one byte": lambda path, canary: path.write_bytes(path.read_bytes()[:-1]),
    "zeros": lambda path, canary: path.write_bytes(bytes(path.stat().st_size)),
    "ones": lambda path, canary: path.write_bytes(b"\xff" * path.stat().st_size),
    "noise": lambda path, canary: path.write_bytes(np.random.default_rng(0).bytes(2000)),
    "longer": lambda path, canary: path.write_bytes(path.read_bytes() + b"\0x"),
    "an old pickle": lambda path, canary: path.write_bytes(_pickle_state(canary, 0)),
    "a new pickle": lambda path, canary: path.write_bytes(_pickle_state(canary, 5)),
    "a pickle of torch": _write_torch_file,
    "a folder": lambda path, canary: (path.unlink(), path.mkdir()),
    "a pipe": lambda path, canary: (path.unlink(), os.mkfifo(path)),
    "a device without end": lambda path, canary: (path.unlink(), path.symlink_to("/dev/zero")),
    "a link to nothing": lambda path, canary: (path.unlink(), path.symlink_to("nowhere")),
    "a link to itself": lambda path, canary: (path.unlink(), path.symlink_to(path.name)),
    "a link to another file": lambda path, canary: (path.unlink(), path.symlink_to(__file__)),
}


@contextmanager
def expect_named(*parts: str) -> Iterator[None]:
    """Expect one clear line about a checkpoint that names some things."""
    with pytest.raises(CheckpointError) as caught:
        yield
    message = str(caught.value)
    assert "\n" not in message
    assert len(message) <= LONGEST_ERROR
    for part in parts:
        assert part in message


def is_refused(action: Callable[[], object]) -> bool:
    """Tell whether something was refused by a clear error of ours; any other error is raised."""
    try:
        action()
    except BertftError as error:
        message = str(error)
    else:
        return False
    assert "\n" not in message
    assert len(message) <= LONGEST_ERROR
    return True
