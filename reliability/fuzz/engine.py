"""One target under atheris, in this process: `python -m reliability.fuzz.engine TARGET [libFuzzer's arguments]`."""

from __future__ import annotations

import sys
from importlib import import_module
from tempfile import NamedTemporaryFile
from types import ModuleType

import atheris


def main() -> None:
    name, *arguments = sys.argv[1:]
    with atheris.instrument_imports(include=["spacy_bertft"]):
        target = import_module(f"reliability.fuzz.{name}")
    with NamedTemporaryFile("w", suffix=".dict") as file:
        file.writelines(f'"{_escape(word)}"\n' for word in getattr(target, "DICTIONARY", ()))
        file.flush()
        arguments = [f"-max_len={getattr(target, 'MAX_BYTES', 4096)}", f"-dict={file.name}", *arguments]
        # To merge, libFuzzer runs this again, by a shell.
        command = f"{sys.executable} -m reliability.fuzz.engine {name}"
        atheris.Setup([command, *arguments], target.fuzz_one, **_find_mutator(target))
        atheris.Fuzz()


def _find_mutator(target: ModuleType) -> dict[str, object]:
    return {"custom_mutator": target.mutate} if hasattr(target, "mutate") else {}


def _escape(word: bytes) -> str:
    """Spell bytes as the dictionaries of libFuzzer have them."""
    return "".join(f"\\x{byte:02x}" for byte in word)


if __name__ == "__main__":
    main()
