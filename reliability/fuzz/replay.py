"""Run inputs through a target again, without atheris: `python -m reliability.fuzz.replay TARGET FILE...`."""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path


def replay(target: str, path: Path) -> None:
    """Run one input; what breaks is raised."""
    import_module(f"reliability.fuzz.{target}").fuzz_one(path.read_bytes())


if __name__ == "__main__":
    for name in sys.argv[2:]:
        replay(sys.argv[1], Path(name))
