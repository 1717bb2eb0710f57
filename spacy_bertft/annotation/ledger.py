"""The state of a run, in its output directory, so that an interrupted run can be resumed; and its report."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from spacy_bertft.annotation.chunks import Problem
from spacy_bertft.annotation.inputs import Inputs
from spacy_bertft.annotation.settings import AnnotateSettings
from spacy_bertft.annotation.storage import OutputDir
from spacy_bertft.errors import DataError, SettingError, format_count


@dataclass(frozen=True)
class ShardReport:
    """What became of a chunk.

    Attributes:
        shard: Name of the shard, without a suffix.
        source: Name of the file that it comes from.
        n_written: Rows in the shard; without any it is not written.
        n_empty: Empty lines.
        weight: How many bytes of the file it represents.
        problems: Rows that could not be annotated.
    """

    shard: str
    source: str
    n_written: int
    n_empty: int
    weight: int
    problems: tuple[Problem, ...]

    def to_json(self) -> str:
        """Format the report."""
        return json.dumps(asdict(self), ensure_ascii=False)

    @classmethod
    def from_json(cls, content: str | bytes) -> ShardReport:
        """Parse a report."""
        values = json.loads(content)
        return cls(**{**values, "problems": tuple(Problem(*problem) for problem in values["problems"])})

    def write(self, output: OutputDir) -> None:
        """Write the report among what is temporary in the output: its shard is done."""
        output.write(f"{OutputDir.TEMPORARY}/{self.shard}.json", self.to_json().encode("utf-8"))


@dataclass(frozen=True)
class AnnotateReport:
    """What was read, annotated and left out.

    Attributes:
        output: The directory of the output.
        n_read: Rows of the input; empty lines are none.
        n_written: Rows of the output.
        n_failed: Rows that could not be annotated; `errors.jsonl` says why.
        n_empty: Empty lines.
        n_shards: Shards of the output.
        n_shards_before: How many of the chunks of the input were done when this run began.
        left_out: Files in directories whose names do not end in a known format.
        seconds: How long this run took, without loading.
    """

    output: str
    n_read: int
    n_written: int
    n_failed: int
    n_empty: int
    n_shards: int
    n_shards_before: int
    left_out: tuple[str, ...]
    seconds: float

    def __str__(self) -> str:
        rows, shards = format_count(self.n_read, "row"), format_count(self.n_shards, "shard")
        parts = [f"{rows} read, {self.n_written:,} written to {shards}"]
        parts.append(f"{self.n_failed:,} failed" + (f" (see {self.output}/errors.jsonl)" if self.n_failed else ""))
        if self.n_empty:
            parts.append(f"{format_count(self.n_empty, 'empty line')} skipped")
        if self.n_shards_before:
            parts.append(f"{format_count(self.n_shards_before, 'shard')} written before")
        if self.left_out:
            names = ", ".join(self.left_out[:3]) + (", …" if len(self.left_out) > 3 else "")
            parts.append(f"{format_count(len(self.left_out), 'file')} of other kinds left out: {names}")
        return "; ".join(parts) + "."


_VERSION = 1
_AT_ONCE = 500  # small files that are read side by side


class Ledger:
    """The state of a run.

    A shard is done once its report is there, which is written after the shard itself. At the end `errors.jsonl` is made
    of the reports, `run.json` says that the run is over, and the reports are removed, in this order.

    Args:
        output: The directory of the output.

    Raises:
        SettingError: It is a file.
        DataError: The directory holds something other than a run.
    """

    RUN = "run.json"
    ERRORS = "errors.jsonl"

    def __init__(self, output: OutputDir) -> None:
        self.output = output
        if output.files.isfile(""):
            raise SettingError("output", output.url, "a directory; it is a file")
        self._has_begun = output.files.exists(self.RUN) and not self._has_failed()
        # A run that was killed before it had begun has left nothing else.
        if not output.files.exists(self.RUN) and output.list_names() not in ([], [OutputDir.TEMPORARY]):
            raise DataError(
                f"{output.url} is not empty, and holds no run that could be resumed. Expected a new directory."
            )

    def begin(self, inputs: Inputs, settings: AnnotateSettings, pipeline: Mapping[str, Any]) -> dict[str, Any] | None:
        """Begin a run, or resume it.

        Args:
            inputs: What is annotated.
            settings: How.
            pipeline: What identifies the pipeline.

        Returns:
            The counts of a run that is over; None for one that is not.

        Raises:
            SettingError: The directory holds a run over another input, with other settings, or by another pipeline.
        """
        plan = {
            "version": _VERSION,
            "pipeline": dict(pipeline),
            "inputs": [[source.name, source.n_bytes, source.changed] for source in inputs.sources],
            "settings": asdict(settings),
        }
        if not self._has_begun:
            self.output.remove_temporary()
            self.output.remove(self.ERRORS)  # of a run that could annotate nothing
            self._write({**plan, "done": None})
            return None
        earlier = json.loads(self.output.files.cat_file(self.RUN))
        for setting, value in _flatten(json.loads(json.dumps(plan))).items():
            if _flatten(earlier).get(setting) != value:
                raise SettingError(
                    "output",
                    self.output.url,
                    f"a new directory: this one holds a run with another {setting.replace('_', ' ')}",
                )
        done: dict[str, Any] | None = earlier["done"]
        if done is not None:
            self.output.remove_temporary()
        return done

    def read_reports(self) -> Iterator[ShardReport]:
        """Read what is done, in the order of the input."""
        names = [name for name in self.output.list_names(OutputDir.TEMPORARY) if not name.startswith(".")]
        for start in range(0, len(names), _AT_ONCE):
            part = names[start : start + _AT_ONCE]
            contents = self.output.read_all([f"{OutputDir.TEMPORARY}/{name}" for name in part])
            yield from map(ShardReport.from_json, contents)

    def finish(self) -> dict[str, Any]:
        """Collect the problems of all shards, and say that the run is over.

        Returns:
            Counts of rows and shards.
        """
        counts: Counter[str] = Counter(read=0, written=0, failed=0, empty_lines=0, shards=0)
        for report in self.read_reports():
            n_failed, n_written = len(report.problems), report.n_written
            counts.update(read=n_written + n_failed, written=n_written, failed=n_failed)
            counts.update(empty_lines=report.n_empty, shards=n_written > 0)
        if counts["failed"]:
            with self.output.replace_when_done(self.ERRORS) as file:
                file.writelines(_format_problems(self.read_reports()))
        self._write({**json.loads(self.output.files.cat_file(self.RUN)), "done": counts})
        self.output.remove_temporary()
        return counts

    def _has_failed(self) -> bool:
        """Return whether a run is over that could annotate nothing: a mistake in the command, which is tried again."""
        done = json.loads(self.output.files.cat_file(self.RUN))["done"]
        return done is not None and not done["written"]

    def _write(self, run: Mapping[str, Any]) -> None:
        self.output.write(self.RUN, json.dumps(run, ensure_ascii=False, indent=2).encode("utf-8"))


def _format_problems(reports: Iterable[ShardReport]) -> Iterator[bytes]:
    for report in reports:
        for line, reason in report.problems:
            problem = {"file": report.source, "line": line, "reason": reason}
            yield f"{json.dumps(problem, ensure_ascii=False)}\n".encode()


def _flatten(plan: Mapping[str, Any]) -> dict[str, Any]:
    return {**plan["settings"], **{name: plan[name] for name in ("version", "pipeline", "inputs")}}
