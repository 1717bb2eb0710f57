"""What a benchmark has measured, and on which machine, as a small JSON file that `draw.py` reads."""

from __future__ import annotations

import argparse
import os
import platform
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from datetime import date
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import srsly
import torch

from spacy_bertft.models.runtime.devices import find_dtype
from spacy_bertft.output import replace_when_done

PACKAGES = ("spacy-bertft", "torch", "transformers", "spacy", "spacy-transformers")


@dataclass(frozen=True)
class Row:
    """One side of a comparison.

    Attributes:
        name: The side.
        value: What was measured, the median where it was measured often.
        unit: The unit of the value.
        ratio: To what the record is relative to, the median; None where there is none.
        lowest: The lower end of the spread of the ratio.
        highest: The upper end.
    """

    name: str
    value: float
    unit: str
    ratio: float | None = None
    lowest: float | None = None
    highest: float | None = None


@dataclass(frozen=True)
class Machine:
    """Where it was measured.

    Attributes:
        cpu: The name of the processor.
        n_cores: Cores that this process may use.
        n_threads: Threads of torch.
        has_bf16: Whether the processor multiplies bfloat16 natively, so that the precision `auto` uses it.
        versions: Version by name, of Python and of the packages that count.
    """

    cpu: str
    n_cores: int
    n_threads: int
    has_bf16: bool
    versions: dict[str, str]


def describe_machine() -> Machine:
    """Describe this machine and this environment."""
    has_affinity = hasattr(os, "sched_getaffinity")  # Linux alone
    return Machine(
        cpu=read_cpu_name(),
        n_cores=len(os.sched_getaffinity(0)) if has_affinity else os.cpu_count() or 1,
        n_threads=torch.get_num_threads(),
        has_bf16=find_dtype("auto", torch.device("cpu")) == torch.bfloat16,
        versions={"python": platform.python_version(), **read_versions(PACKAGES)},
    )


@dataclass(frozen=True)
class Record:
    """What a script has measured.

    Attributes:
        script: The name of the script, without `.py`.
        about: Its docstring; the first line of it is kept, and says what is compared.
        rows: The sides, in the order in which they shall stand.
        kind: The kind of texts, where the script measures several, each in a record of its own.
        corpus: The file of the texts, if there are texts; its name is kept.
        n_texts: How many texts were run.
        encoder: The checkpoint, if there is one; of a folder the name is kept.
        relative_to: What the ratios are relative to.
        spread: What `lowest` and `highest` are.
        machine: Where it was measured.
        date: When, as `2025-12-31`.
    """

    script: str
    about: str
    rows: list[Row]
    kind: str = ""
    corpus: str = ""
    n_texts: int = 0
    encoder: str = ""
    relative_to: str = ""
    spread: str = ""
    machine: Machine = field(default_factory=describe_machine)
    date: str = field(default_factory=lambda: date.today().isoformat())

    @property
    def texts(self) -> str:
        """How many texts of which kind, such as `2,000 queries`."""
        return f"{self.n_texts:,} {self.kind or 'texts'}"


def read_cpu_name() -> str:
    """Read the name of the processor: from where Linux shows it, or what Python knows."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text(encoding="utf-8").splitlines() if info.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    name = names[0] if names else platform.processor() or platform.machine()
    return name.replace("(R)", "").replace("(TM)", "")


def read_versions(packages: Iterable[str]) -> dict[str, str]:
    """Read the versions of those packages that are installed."""
    versions = {}
    for package in packages:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            continue
    return versions


def add_save_option(parser: argparse.ArgumentParser) -> None:
    """Give a script the option `--save`."""
    parser.add_argument("--save", type=Path, metavar="FOLDER", help="write what was measured there, for draw.py")


def save(folder: Path | None, record: Record) -> None:
    """Write a record to `SCRIPT.json`, or `SCRIPT-KIND.json`.

    Args:
        folder: Where to, as `--save` has it: None where nothing is to be written.
        record: What was measured.
    """
    if folder is None:
        return
    content = asdict(record)
    content["about"] = record.about.strip().splitlines()[0]
    # No path of this machine goes into a file that others read.
    content["corpus"] = Path(record.corpus).name
    content["encoder"] = Path(record.encoder).name if Path(record.encoder).exists() else record.encoder
    for row in content["rows"]:
        row.update({name: round(value, 4) for name, value in row.items() if isinstance(value, float)})
    stem = "-".join(filter(None, (record.script, record.kind)))
    with replace_when_done(folder / f"{stem}.json") as temporary_path:
        srsly.write_json(temporary_path, content)


def read_records(folder: Path) -> list[Record]:
    """Read all records of a folder, by the names of their files.

    Raises:
        ValueError: A JSON file is no record.
    """
    return [read_record(path) for path in sorted(folder.glob("*.json"))]


def read_record(path: Path) -> Record:
    """Read a file that `save` has written.

    Raises:
        ValueError: It is no record.
    """
    try:
        content = srsly.read_json(path)
        rows, machine = [Row(**row) for row in content["rows"]], Machine(**content["machine"])
        return Record(**content | {"rows": rows, "machine": machine})
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{path}: not what --save writes ({error}). Measure again, or remove it.") from error
