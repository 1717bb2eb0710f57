"""Running the server, in one process or in several."""

from __future__ import annotations

import gc
import logging
import os
import socket
import sys
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path

from spacy_bertft.components.pipelines import find_pipeline_path, name_pipelines
from spacy_bertft.errors import MissingExtraError, SettingError, check_setting
from spacy_bertft.models.runtime.devices import check_gpu
from spacy_bertft.serving.settings import FAILED_TO_START, ServeSettings

_BACKLOG = 2048  # connections that wait to be accepted
_MANY_OBJECTS = 20_000  # new ones, after which Python looks for garbage
_KEEP_ALIVE = (
    75  # seconds that a connection may be idle; proxies, which close theirs after 60, are not to find it closed
)


def serve(
    pipelines: Sequence[Path | str],
    *,
    host: str = "127.0.0.1",
    port: int = 8000,
    workers: int = 1,
    max_delay_ms: float = 2.0,
    max_batch_chars: int = 16_384,
    queue_size: int = 1000,
    max_chars: int = 10_000,
    max_body_mb: float = 1.0,
    gpu_id: int = -1,
) -> None:
    """Serve pipelines over HTTP: POST /v1/predict, GET /health, /metrics and /docs.

    Texts of many requests are annotated together, and each gets the predictions that it would get alone. SIGTERM and
    Ctrl+C end the server once all requests that it has accepted are answered.

    Args:
        pipelines: Trained pipelines: directories, or names of installed ones. A request names one of several.
        host: Address to listen at; 0.0.0.0 for all of this machine.
        port: Port to listen at; 0 for any that is free.
        workers: Processes; each loads the pipelines, and has its share of the cores.
        max_delay_ms: Maximum milliseconds that a text waits for others to be annotated with.
        max_batch_chars: Maximum characters of a batch, but for one text that is longer.
        queue_size: Maximum texts that wait for a pipeline, and texts of a request; then the answer is 503.
        max_chars: Maximum characters of a text; longer ones are refused (422).
        max_body_mb: Maximum megabytes of a request; larger ones are refused (413).
        gpu_id: Number of the GPU, -1 for the CPU.

    Raises:
        DataError: There is no such pipeline.
        SettingError: A setting is outside what is allowed, or the address cannot be used.
        MissingExtraError: FastAPI, uvicorn or prometheus_client is not installed.
    """
    try:
        import fastapi  # noqa: F401
        import prometheus_client  # noqa: F401
        import uvicorn
        from uvicorn.supervisors import Multiprocess
    except ImportError as error:
        raise MissingExtraError("The server", "serve") from error
    check_setting("workers", workers, workers >= 1, "a number above 0")
    check_gpu(gpu_id)
    sources = dict(zip(name_pipelines(pipelines), map(str, pipelines), strict=True))
    check_setting("pipelines", ", ".join(sources), len(sources) == len(pipelines), "each pipeline once")
    for source in sources.values():
        find_pipeline_path(source)  # raises now, and not in a worker
    settings = ServeSettings(sources, max_delay_ms, max_batch_chars, queue_size, max_chars, max_body_mb, gpu_id)
    config = uvicorn.Config(
        partial(_build_app, settings),
        factory=True,
        workers=workers,
        ws="none",
        access_log=False,
        server_header=False,
        backlog=_BACKLOG,
        timeout_keep_alive=_KEEP_ALIVE,
    )
    with _listen(host, port) as listener, tempfile.TemporaryDirectory() as folder, suppress(KeyboardInterrupt):
        url = f"http://{host}:{listener.getsockname()[1]}"
        logging.getLogger("uvicorn.error").info("Serving %s on %s, described on %s/docs", ", ".join(sources), url, url)
        if workers == 1:
            uvicorn.Server(config).run([listener])
        else:
            os.environ["PROMETHEUS_MULTIPROC_DIR"] = folder
            # Several processes with all cores each would be slower than one.
            os.environ.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // workers)))
            supervisor = Multiprocess(config, [listener])
            supervisor.run()
            if any(each.exitcode == FAILED_TO_START for each in supervisor.processes):
                sys.exit(FAILED_TO_START)


def _build_app(settings: ServeSettings) -> object:
    from spacy_bertft.serving.app import build_app

    # Half of the time of a request went into looking through all that torch and spaCy have imported for garbage.
    gc.freeze()
    gc.set_threshold(_MANY_OBJECTS, 10, 10)
    return build_app(settings)


def _listen(host: str, port: int) -> socket.socket:
    check_setting("port", port, 0 <= port <= 65535, "a number from 0 to 65535")
    try:
        return socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    except OSError as error:
        expected = f"an address that is free; this one cannot be used ({error.strerror})"
        raise SettingError("host and port", f"{host}:{port}", expected) from error
