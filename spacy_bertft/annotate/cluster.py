"""Ray: on this machine, or on a cluster that runs already.

Scheduling, transport, back pressure and what happens when a worker dies are Ray's.
"""

from __future__ import annotations

import logging
import os
import warnings
from collections.abc import Collection, Generator, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

from spacy_bertft.annotate.chunks import Chunk, cut_unfinished
from spacy_bertft.annotate.inputs import Source
from spacy_bertft.annotate.ledger import ShardReport
from spacy_bertft.annotate.settings import AnnotateSettings, WorkerSettings
from spacy_bertft.annotate.worker import Annotator
from spacy_bertft.errors import BertftError, MissingExtraError, SettingError, WorkerError

_N_READERS = 8  # files that are read at once; one reader feeds hundreds of annotators


def run_on_ray(
    settings: AnnotateSettings,
    worker: WorkerSettings,
    sources: Sequence[Source],
    finished: Collection[str],
    *,
    n_process: int | None,
    address: str | None,
) -> Generator[ShardReport]:
    """Annotate files.

    Args:
        settings: What decides what is written.
        worker: How each actor annotates.
        sources: The files; every machine of the cluster must be able to read them.
        finished: Names of shards that are done.
        n_process: Number of actors; None for as many as Ray finds room for.
        address: Of a running cluster; None to start Ray on this machine.

    Raises:
        MissingExtraError: Ray is not installed.
        SettingError: A GPU is wanted, and this machine has none.
        WorkerError: A file could not be read any more; an actor could not load the pipeline, or not write.
    """
    ray = _import_ray()
    done = frozenset(finished)
    files = [{"number": number} for number in range(len(sources))]

    def read(row: dict[str, Any]) -> Iterator[dict[str, Any]]:
        try:
            for chunk in cut_unfinished([sources[row["number"]]], settings, done):
                yield {"chunk": chunk.to_bytes(), "error": ""}
        except (BertftError, OSError) as error:
            yield {"chunk": b"", "error": str(error)}

    with _connect(ray, n_process, address):
        gpu = worker.find_gpu()
        if gpu is not None and not address and not ray.cluster_resources().get("GPU"):
            raise SettingError("device", worker.device, "cpu: Ray finds no GPU on this machine")
        reports = (
            ray.data.from_items(files, override_num_blocks=len(files))
            # Without a CPU of its own a reader never waits for the annotators, and is not made one with them.
            .flat_map(read, num_cpus=0, concurrency=min(_N_READERS, len(files)))
            .map_batches(
                RayAnnotator,
                fn_constructor_args=(settings, worker),
                batch_size=1,
                compute=ray.data.ActorPoolStrategy(**{"size": n_process} if n_process else {"min_size": 1}),
                num_cpus=1,
                num_gpus=0 if gpu is None else 1,
            )
        )
        for row in reports.iter_rows():
            if row["error"]:
                raise WorkerError(row["error"].rstrip("."))
            yield ShardReport.from_json(row["report"])


def _import_ray() -> Any:
    try:
        import ray
        import ray.data
    except ImportError as error:
        raise MissingExtraError("The engine ray", "ray") from error
    return ray


class RayAnnotator:
    """An actor: the pipeline is loaded once, when it starts.

    A failure that is not Ray's is reported, and not raised: Ray would wrap it, and print pages of traceback.

    Args:
        settings: What decides what is written.
        worker: How this worker does it.
    """

    def __init__(self, settings: AnnotateSettings, worker: WorkerSettings) -> None:
        self._failure = ""
        try:
            self._annotator = Annotator(settings, worker)
        except (BertftError, OSError) as error:  # this machine of the cluster lacks what another one has
            self._failure = str(error)

    def __call__(self, batch: dict[str, Any]) -> dict[str, list[str]]:
        """Annotate a chunk, which is a row for Ray, unless it could not be read."""
        report, failure = "", self._failure or batch["error"][0]
        if not failure:
            try:
                report = self._annotator(Chunk.from_bytes(batch["chunk"][0])).to_json()
            except (BertftError, OSError) as error:
                failure = str(error)
        return {"report": [report], "error": [failure]}


@contextmanager
def _connect(ray: Any, n_process: int | None, address: str | None) -> Iterator[None]:
    """Use the Ray of this process, that of a cluster, or a new one on this machine."""
    with ExitStack() as stack:
        if not ray.is_initialized():
            os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing is sent anywhere
            # Ray logs what its own processes do to its own files, whatever the level here.
            os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")
            place: dict[str, Any] = (
                {"address": address} if address else {"num_cpus": n_process, "include_dashboard": False}
            )
            ray.init(**place, logging_level="error", log_to_driver=False)
            stack.callback(ray.shutdown)
        stack.enter_context(_quiet(ray))
        yield


@contextmanager
def _quiet(ray: Any) -> Iterator[None]:
    """Make one block of each chunk, so that it is annotated as soon as it is read; progress is shown by our own bar."""
    context = ray.data.DataContext.get_current()
    before = context.target_max_block_size, context.enable_progress_bars
    logger = logging.getLogger("ray.data")
    level = logger.level
    context.target_max_block_size, context.enable_progress_bars = 1, False
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            # That a file does not keep all actors busy.
            warnings.filterwarnings("ignore", category=UserWarning, module=r"ray\.data")
            yield
    finally:
        context.target_max_block_size, context.enable_progress_bars = before
        logger.setLevel(level)
