"""A line of a gigabyte: what `convert` and `annotate` say of it, how long that takes, and how much memory.

    python -m reliability.long_lines [--megabytes 1000]

Time and memory are what each command takes beyond what it takes for a small file of the same kind.
"""

from __future__ import annotations

import argparse
import gzip
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from time import monotonic

import spacy

# Runs a command and tells the most memory that it took, in kB, as the last word of its standard error.
_MEASURED = """
import sys
from pathlib import Path
from spacy_bertft.cli import app
try:
    app(sys.argv[1:])
finally:
    status = Path("/proc/self/status").read_text()
    print(status.partition("VmHWM:")[2].split()[0], file=sys.stderr)
"""


@dataclass(frozen=True)
class Case:
    """A kind of file with a line that does not end for long.

    Attributes:
        name: Of the file.
        options: Of `convert`; None for `annotate`.
        before: What is before the line.
        after: What stands after it.
    """

    name: str
    options: Sequence[str] | None
    before: bytes
    after: bytes

    @property
    def command(self) -> str:
        """Which command reads it."""
        return "annotate" if self.options is None else "convert"

    @property
    def line(self) -> int:
        """The number of the line."""
        return self.before.count(b"\n") + 1

    def write(self, path: Path, n_bytes: int) -> None:
        """Write the file with a line of some bytes; of nothing but NULs, so that a disk need not store them."""
        if path.suffix == ".gz":
            with gzip.open(path, "wb", compresslevel=1) as packed:
                packed.write(self.before)
                for _ in range(n_bytes >> 20):
                    packed.write(bytes(1 << 20))
                packed.write(self.after)
            return
        with path.open("wb") as file:
            file.write(self.before)
            file.seek(n_bytes, 1)
            file.write(self.after)


_COLUMNS, _CSV, _JSONL = (
    (b"O\tfilms\n", b"\nO\tdrew\n"),
    (b"text,label\na,x\n", b"\nb,y\n"),
    (b'{"text": "a"}\n', b'\n{"text": "b"}\n'),
)
CASES = (
    Case("a.bio", ["--as", "ents"], *_COLUMNS),
    Case("a.tags", ["--as", "tags"], *_COLUMNS),
    Case("a.csv", ["--as", "cats"], *_CSV),
    Case("b.csv", ["--as", "cats", "--no-quoting"], *_CSV),
    Case("a.tsv", ["--as", "cats"], *(part.replace(b",", b"\t") for part in _CSV)),
    Case("a.jsonl", ["--as", "cats"], *(part.replace(b"}", b', "label": "x"}') for part in _JSONL)),
    Case("a.txt", None, b"a film\n", b"\nb\n"),
    Case("b.jsonl", None, *_JSONL),
    Case("c.csv", None, *_CSV),
    Case("c.jsonl.gz", None, *_JSONL),
)


@dataclass(frozen=True)
class Outcome:
    """What a command has said, and what it took.

    Attributes:
        exit_code: Its exit code.
        stderr: What it said.
        seconds: How long it took.
        peak_mb: The most memory it took, in megabytes.
    """

    exit_code: int
    stderr: str
    seconds: float
    peak_mb: float


def run_case(case: Case, folder: Path, n_bytes: int) -> Outcome:
    """Write the file of a case into a folder, and run its command on it. What it wrote is in `out…` there."""
    source, model = folder / case.name, folder / "model"
    case.write(source, n_bytes)
    if case.options is not None:
        arguments = ["convert", str(source), str(folder / "out.spacy"), *case.options]
    else:
        if not model.exists():
            nlp = spacy.blank("en")
            nlp.add_pipe("entity_ruler").add_patterns([{"label": "THING", "pattern": "film"}])
            nlp.to_disk(model)
        arguments = ["annotate", str(model), str(source), str(folder / f"out-{case.name}-{n_bytes}")]
    start = monotonic()
    done = subprocess.run([sys.executable, "-c", _MEASURED, *arguments], capture_output=True, text=True)
    stderr, _, peak = done.stderr.strip().rpartition("\n")
    return Outcome(done.returncode, stderr, monotonic() - start, int(peak) / 1000)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--megabytes", type=int, default=1000)
    arguments = parser.parse_args()
    with TemporaryDirectory() as name:
        for case in CASES:
            small = run_case(case, Path(name), 0)
            large = run_case(case, Path(name), arguments.megabytes * 1_000_000)
            (Path(name) / case.name).unlink()
            print(
                f"{case.command:<9} {case.name:<12} exit code {large.exit_code} {large.seconds - small.seconds:6.1f} s "
                f"{large.peak_mb - small.peak_mb:8.1f} MB  {large.stderr.replace(f'{name}/', '')}",
                flush=True,
            )


if __name__ == "__main__":
    main()
