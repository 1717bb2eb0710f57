import multiprocessing
import threading
from time import sleep
from types import SimpleNamespace

import pytest
import torch
from many_threads import N_THREADS, run_at_once
from waiting import PATIENCE

from spacy_bertft.models.encoder.module import BertModule
from spacy_bertft.models.runtime import processes as workers
from spacy_bertft.models.runtime.processes import count_threads, run_side_by_side


def count_workers(device: str) -> int:
    return BertModule.n_workers.fget(SimpleNamespace(device=torch.device(device)))


def test_results_come_in_order_from_threads_with_one_thread_of_torch_each(two_threads):
    def run(item: int) -> tuple[int, int, bool, str]:
        return item, torch.get_num_threads(), torch.is_grad_enabled(), threading.current_thread().name

    with torch.inference_mode():
        results = run_side_by_side(run, range(9), 2)
    assert [item for item, *_ in results] == list(range(9))
    assert {n_threads for _, n_threads, _, _ in results} == {1}
    assert not any(learns for _, _, learns, _ in results)
    assert threading.current_thread().name not in {name for *_, name in results}
    assert torch.get_num_threads() == 2


def test_a_single_item_has_all_threads(two_threads):
    assert run_side_by_side(lambda item: (item, torch.get_num_threads()), ["a"], 2) == [("a", 2)]


def test_nothing_runs_side_by_side_while_learning(two_threads):
    assert count_workers("cpu") == 0
    with torch.no_grad():
        assert count_workers("cpu") == 2
        assert count_workers("meta") == 0


def test_an_error_reaches_the_caller_and_leaves_the_threads_at_work(two_threads):
    with pytest.raises(ZeroDivisionError):
        run_side_by_side(lambda item: 1 // item, [2, 1, 0], 2)
    assert run_side_by_side(lambda item: 2 * item, [1, 2, 3], 2) == [2, 4, 6]


def test_threads_are_started_once_for_callers_that_come_at_once(two_threads, monkeypatch):
    """While they are started, the number of threads to come is one for a moment; no caller may take it for its own."""
    monkeypatch.setattr(workers, "_pools", {})
    set_num_threads = torch.set_num_threads

    def set_slowly(number: int) -> None:
        set_num_threads(number)
        sleep(0.05)

    monkeypatch.setattr(torch, "set_num_threads", set_slowly)

    def call(number: int) -> tuple[list[int], int]:
        sleep(0.01 * number)
        with torch.no_grad():
            doubled = run_side_by_side(lambda item: 2 * item, [1, 2, 3], count_threads())
        return doubled, torch.get_num_threads()

    assert run_at_once(call) == [([2, 4, 6], 2)] * N_THREADS
    assert len(workers._pools) == 1


def multiply(queue) -> None:
    with torch.inference_mode():
        queue.put(run_side_by_side(lambda item: 3 * item, [1, 2, 3], 2))


@pytest.mark.process
@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_a_forked_child_starts_threads_of_its_own(two_threads):
    run_side_by_side(lambda item: item, [1, 2, 3], 2)
    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    child = context.Process(target=multiply, args=(queue,))
    child.start()
    assert queue.get(timeout=PATIENCE) == [3, 6, 9]
    child.join()
