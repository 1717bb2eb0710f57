"""Run as a program: annotate in two processes, after threads of torch have worked in this one.

python stream_in_processes.py METHOD FOLDER BACKEND
"""

from __future__ import annotations

import multiprocessing
import sys

import torch
from all_heads import LONG, MIXED, load_all_heads, read_answer


def main(method: str, folder: str, backend: str) -> None:
    multiprocessing.set_start_method(method)
    torch.set_num_threads(1)  # as a child has
    nlp = load_all_heads(folder, backend=backend)
    expected = [read_answer(doc) for doc in nlp.pipe(MIXED, batch_size=5)]
    torch.set_num_threads(2)
    nlp(LONG)
    answers = [read_answer(doc) for doc in nlp.pipe(MIXED, batch_size=5, n_process=2)]
    assert answers == expected
    sys.stdout.write(f"{len(answers)} answers by {method}\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
