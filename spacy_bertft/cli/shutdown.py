"""What a command does when a signal terminates it."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic
from types import FrameType

# Sent by `kill`, `timeout` and schedulers, and by a terminal that is closed. Windows has neither.
_SIGNALS = [signal.Signals[name] for name in ("SIGTERM", "SIGHUP") if name in signal.Signals.__members__]
_AT_ONCE = 1.0  # seconds in which a signal is the same one again: it is sent to a process and to its group


class TerminatedError(BaseException):
    """A signal terminated this process."""

    def __init__(self, number: int) -> None:
        self.number = number
        super().__init__(f"signal {number}")


@contextmanager
def clean_up_when_terminated() -> Iterator[None]:
    """Let SIGTERM and SIGHUP raise within this context, so that unfinished files are removed; then end by that signal.

    By default they end Python at once. A signal that is ignored, as by `nohup`, or that has a handler
    already, is left alone; and so are threads other than the main one, which cannot have handlers. A forked child, such
    as that of a spinner, ends at once: what is unfinished belongs to its parent.
    A signal that arrives in a `__del__`, where Python ignores what is raised, is sent again.
    """
    ours = [each for each in _SIGNALS if _is_main_thread() and signal.getsignal(each) is signal.SIG_DFL]
    first, owner = -_AT_ONCE, os.getpid()
    report = sys.unraisablehook

    def send_again(ignored: sys.UnraisableHookArgs) -> None:
        nonlocal first
        if not isinstance(ignored.exc_value, TerminatedError):
            return report(ignored)
        first = -_AT_ONCE
        threading.Timer(0.01, os.kill, (os.getpid(), ignored.exc_value.number)).start()

    def end(number: int, _: FrameType | None) -> None:
        nonlocal first
        if os.getpid() != owner:
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
        if monotonic() - first > _AT_ONCE:
            first = monotonic()
            raise TerminatedError(number)

    for each in ours:
        signal.signal(each, end)
    sys.unraisablehook = send_again
    try:
        yield
    except TerminatedError as error:
        signal.signal(error.number, signal.SIG_DFL)
        os.kill(os.getpid(), error.number)
    finally:
        sys.unraisablehook = report
        for each in ours:
            signal.signal(each, signal.SIG_DFL)


def end_at_once_when_terminated() -> None:
    """Let these signals end the process at once again, if there is nothing to clean up."""
    for each in _SIGNALS if _is_main_thread() else ():
        if signal.getsignal(each) is not signal.SIG_IGN:
            signal.signal(each, signal.SIG_DFL)


def _is_main_thread() -> bool:
    return threading.current_thread() is threading.main_thread()
