from __future__ import annotations

import io
import sys

from spacy_bertft.annotation.annotate import _follow
from spacy_bertft.annotation.ledger import ShardReport


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def show(stream, monkeypatch) -> str:
    monkeypatch.setattr(sys, "stderr", stream)
    _follow([ShardReport("a", "a", 1234, 0, 500, ())], 1000, 250, is_strict=True)
    return stream.getvalue()


def test_a_bar_on_a_terminal(monkeypatch):
    shown = show(Terminal(), monkeypatch)
    assert "Annotating:  25%|" in shown
    assert "Annotating:  75%|" in shown
    assert "docs/s" in shown
    assert " left, 1,234 docs, " in shown


def test_nothing_in_a_pipe(monkeypatch):
    assert show(io.StringIO(), monkeypatch) == ""
