"""Runs the page on this machine and for this machine only."""

from __future__ import annotations

import os
import socket
from collections.abc import Awaitable, Callable, Iterator, MutableMapping, Sequence
from contextlib import suppress
from importlib import import_module
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spacy.language import Language
from tqdm import tqdm

from spacy_bertft.components.pipelines import load_pipeline, name_pipelines
from spacy_bertft.data.docs import read_docs
from spacy_bertft.demo.page import build_page
from spacy_bertft.errors import MissingExtraError, SettingError
from spacy_bertft.explanation.predictions import get_explained
from spacy_bertft.pictures.page import render_template

if TYPE_CHECKING:
    from gradio import Blocks

DEFAULT_PORT = 7860
_N_EXAMPLES = 3
_HOST = "127.0.0.1"
# A browser obeys this whatever a release of Gradio may ask it for: fonts, scripts or news from elsewhere.
_POLICY = (
    b"default-src 'self' data: blob: 'unsafe-inline' 'unsafe-eval'; connect-src 'self'; form-action 'self'; "
    b"frame-ancestors 'none'"
)

_Message = MutableMapping[str, Any]
_Receive = Callable[[], Awaitable[_Message]]
_Send = Callable[[_Message], Awaitable[None]]


class Demo:
    """An open page.

    Attributes:
        url: Its address.
    """

    def __init__(self, page: Blocks, url: str) -> None:
        self._page = page
        self.url = url

    def wait(self) -> None:
        """Wait until Ctrl+C, and close the page."""
        self._page.block_thread()

    def close(self) -> None:
        """Close the page."""
        self._page.close(verbose=False)


def open_demo(
    pipelines: Sequence[Path | str],
    port: int = DEFAULT_PORT,
    *,
    data_path: Path | str | None = None,
    open_browser: bool = True,
) -> Demo:
    """Open a local page to type a text and see what pipelines predict, and why.

    Entities with their probabilities, categories as bars, and the words that each prediction rests on.

    Args:
        pipelines: Trained pipelines, side by side: directories, or names of installed ones.
        port: Port of the page, on this machine only.
        data_path: Offer the first texts of this .spacy file as examples; by default sentences that spaCy has in the
            language of the first pipeline.
        open_browser: Show the page in a browser.

    Raises:
        DataError: There is no such pipeline or file.
        SettingError: A pipeline has no component to show, one is named twice, or the port cannot be used.
        MissingExtraError: Gradio is not installed.
    """
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"  # read when it is imported
    try:
        import gradio  # noqa: F401
    except ImportError as error:
        raise MissingExtraError("The demo", "demo") from error
    _check_port(port)
    loaded = _load(pipelines)
    page = build_page(loaded, _list_examples(next(iter(loaded.values())), data_path))
    from gradio.themes import Base
    from starlette.middleware import Middleware

    page.launch(
        server_name=_HOST,
        server_port=port,
        inbrowser=open_browser,
        share=False,
        prevent_thread_lock=True,
        quiet=True,
        footer_links=[],
        enable_monitoring=False,
        ssr_mode=False,
        pwa=False,
        mcp_server=False,
        # Gradio's own fonts come from a host of Google's.
        theme=Base(font=["system-ui", "sans-serif"], font_mono=["ui-monospace", "monospace"]).set(
            button_primary_background_fill="*primary_600",  # its own blue is too light for white text
            button_primary_background_fill_hover="*primary_700",
        ),
        css=render_template("demo/style.css.jinja"),
        app_kwargs={"middleware": [Middleware(_LocalOnly)]},
    )
    return Demo(page, f"http://{_HOST}:{port}")


class _LocalOnly:
    """ASGI middleware that tells browsers to ask nobody but this server."""

    def __init__(self, app: Callable[[_Message, _Receive, _Send], Awaitable[None]]) -> None:
        self._app = app

    async def __call__(self, scope: _Message, receive: _Receive, send: _Send) -> None:
        async def send_with_policy(message: _Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", ()), (b"content-security-policy", _POLICY)]
            await send(message)

        await self._app(scope, receive, send_with_policy)


def _check_port(port: int) -> None:
    if not 1 <= port <= 65535:
        raise SettingError("port", port, "a number from 1 to 65535")
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((_HOST, port))
        except OSError as error:
            expected = f"a port that is free; this one cannot be used ({error.strerror})"
            raise SettingError("port", port, expected) from error


def _list_examples(nlp: Language, data_path: Path | str | None) -> list[str]:
    texts: Iterator[str] = iter(())
    if data_path is not None:
        texts = (doc.text.strip() for doc in read_docs(Path(data_path), nlp.vocab))
    else:
        with suppress(ImportError):  # a few languages have none
            texts = iter(import_module(f"spacy.lang.{nlp.lang}.examples").sentences)
    return list(islice(dict.fromkeys(filter(None, texts)), _N_EXAMPLES))


def _load(pipelines: Sequence[Path | str]) -> dict[str, Language]:
    names = name_pipelines(pipelines)
    for name in names:
        if names.count(name) > 1:
            raise SettingError("pipelines", name, "each pipeline once")
    loaded = {}
    for name, pipeline in zip(tqdm(names, "Loading", unit=" pipelines", disable=None), pipelines, strict=True):
        loaded[name] = load_pipeline(pipeline)
        get_explained(loaded[name])  # raises where there is nothing to be shown
    return loaded
