"""Fuzz every target in turn, each in a process of its own, and print what came of it.

    python -m reliability.fuzz [--seconds 600] [--target NAME ...] [--keep]

One line per target: executions, seconds, inputs that reach something new, crashes, and the most memory that the process
took. The input that caused a crash is in `build/fuzz/TARGET/`; `python -m reliability.fuzz.replay TARGET FILE` runs
it again. The exit code is 1 if there was any.
"""

from __future__ import annotations

import argparse
import hashlib
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from time import monotonic

CORPUS = Path(__file__).with_name("corpus")
FOUND = Path("build", "fuzz")
TARGETS = tuple(sorted(path.name for path in CORPUS.iterdir() if path.is_dir()))
MAX_SECONDS_PER_INPUT = 60
MAX_MEGABYTES = 3000
LARGEST_KEPT = 2048  # bytes


@dataclass(frozen=True)
class Outcome:
    """What came of fuzzing one target.

    Attributes:
        target: Its name.
        n_executions: How many inputs were tried.
        seconds: How long that took, imports included.
        n_new: Inputs that reached something that no other one had.
        crashes: Files with the inputs that were answered by something else than an error of the package, took too
            long or took too much memory.
        peak_mb: Megabytes of memory, at most.
    """

    target: str
    n_executions: int
    seconds: float
    n_new: int
    crashes: Sequence[Path]
    peak_mb: int

    def __str__(self) -> str:
        line = (
            f"{self.target:<12} {self.n_executions:>10,} executions {self.seconds:>6.0f} s {self.n_new:>6,} new inputs"
        )
        line += f" {len(self.crashes):>2} crashes {self.peak_mb:>6,} MB at most"
        return "\n".join([line, *(f"    {path}" for path in self.crashes)])


def fuzz(target: str, seconds: int, *, keep: bool = False) -> Outcome:
    """Fuzz one target until the time is over or something breaks.

    Args:
        target: Its name.
        seconds: How long.
        keep: Whether the kept inputs are replaced by the fewest that reach all that they and the new ones reach.
    """
    kept, found = CORPUS / target, FOUND / target
    found.mkdir(parents=True, exist_ok=True)
    before = set(found.iterdir())
    with TemporaryDirectory() as new_dir:
        start = monotonic()
        with (found / "log").open("w") as log:
            subprocess.run(
                [
                    *(sys.executable, "-m", "reliability.fuzz.engine", target, new_dir, str(kept)),
                    *(
                        f"-max_total_time={seconds}",
                        "-len_control=20",
                        f"-timeout={MAX_SECONDS_PER_INPUT}",
                        f"-report_slow_units={MAX_SECONDS_PER_INPUT}",
                    ),
                    *(f"-rss_limit_mb={MAX_MEGABYTES}", f"-artifact_prefix={found}/", "-print_final_stats=1"),
                ],
                stdout=log,
                stderr=log,
            )
        elapsed = monotonic() - start
        crashes = sorted(path for path in set(found.iterdir()) - before if path.name != "log")
        text = (found / "log").read_text(errors="replace")
        if keep and not crashes:
            minimise(target, [Path(new_dir), kept])
        return Outcome(
            target,
            _read_figure(text, "number_of_executed_units"),
            elapsed,
            len(list(Path(new_dir).iterdir())),
            crashes,
            _read_figure(text, "peak_rss_mb"),
        )


def minimise(target: str, folders: Sequence[Path]) -> None:
    """Replace the kept inputs of a target by the fewest of some folders that reach all that these reach."""
    kept = CORPUS / target
    with TemporaryDirectory() as small_dir:
        command = [sys.executable, "-m", "reliability.fuzz.engine", target, "-merge=1", small_dir, *map(str, folders)]
        subprocess.run([*command, f"-max_len={LARGEST_KEPT}"], check=True, capture_output=True)
        if not any(Path(small_dir).iterdir()):
            raise SystemExit(f"{target}: nothing came of the merge; the kept inputs stay as they are.")
        shutil.rmtree(kept)
        kept.mkdir()
        for path in Path(small_dir).iterdir():
            keep_input(target, path.read_bytes())


def keep_input(target: str, data: bytes) -> Path:
    """Keep an input of a target, under the name of its digest."""
    path = CORPUS / target / hashlib.sha1(data).hexdigest()
    path.write_bytes(data)
    return path


def _read_figure(log: str, name: str) -> int:
    found = re.search(rf"stat::{name}:\s+(\d+)", log)
    return int(found[1]) if found else 0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=int, default=600, help="for each target")
    parser.add_argument("--target", action="append", choices=TARGETS, help="default: all")
    parser.add_argument(
        "--keep", action="store_true", help="add what is new to the kept inputs, and leave out the rest"
    )
    arguments = parser.parse_args()
    outcomes = []
    for target in arguments.target or TARGETS:
        outcomes.append(fuzz(target, arguments.seconds, keep=arguments.keep))
        print(outcomes[-1], flush=True)
    sys.exit(any(outcome.crashes for outcome in outcomes))


if __name__ == "__main__":
    main()
