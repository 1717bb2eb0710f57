"""What is made when it is first needed is made once, and no fork takes it half made."""

import multiprocessing
import os
from threading import Event, Thread
from time import sleep

import pytest
from many_threads import run_at_once
from waiting import PATIENCE

from spacy_bertft.models.runtime.processes import build_lock, make_once


def test_many_threads_get_the_same():
    made, calls = {}, []

    def make() -> object:
        calls.append("")
        sleep(0.05)
        return object()

    found = run_at_once(lambda _: make_once(made, "key", make))
    assert len(calls) == 1
    assert all(each is found[0] for each in found)


def test_what_could_not_be_made_is_made_by_the_next():
    made = {}
    with pytest.raises(ZeroDivisionError):
        make_once(made, "key", lambda: 1 // 0)
    assert make_once(made, "key", lambda: 2) == 2
    assert make_once(made, "key", lambda: 3) == 2


def test_what_is_made_may_need_something_else_that_is_made():
    made = {}
    assert make_once(made, "outer", lambda: make_once(made, "inner", lambda: 1) + 1) == 2


@pytest.mark.process
@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_a_fork_waits_for_what_is_being_made():
    made, has_begun, has_asked = {}, Event(), Event()
    os.register_at_fork(before=has_asked.set)  # what is registered last runs first

    def make() -> str:
        has_begun.set()
        has_asked.wait(PATIENCE)
        sleep(0.1)  # in which the fork would happen if it did not wait
        return "by the parent"

    def look() -> None:
        with build_lock:
            os._exit(0 if make_once(made, "key", lambda: "by the child") == "by the parent" else 1)

    thread = Thread(target=lambda: make_once(made, "key", make))
    thread.start()
    has_begun.wait()
    child = multiprocessing.get_context("fork").Process(target=look, daemon=True)
    child.start()
    child.join(timeout=PATIENCE)
    thread.join()
    assert child.exitcode == 0
