"""Run as a program: fork after threads of torch have worked; in the child a new thread predicts, then the first one.

python fork_after_threads.py FOLDER
"""

from __future__ import annotations

import multiprocessing
import sys
from threading import Thread

import torch
from all_heads import LONG, load_all_heads, read_answer


def main(folder: str) -> None:
    torch.set_num_threads(2)
    nlp = load_all_heads(folder, precision="fp32")
    expected = read_answer(nlp(LONG))

    def predict_in_two_threads() -> None:
        answers = []
        thread = Thread(target=lambda: answers.append(read_answer(nlp(LONG))))
        thread.start()
        thread.join()
        answers.append(read_answer(nlp(LONG)))
        assert [answer["tags"] for answer in answers] == [expected["tags"]] * 2

    child = multiprocessing.get_context("fork").Process(target=predict_in_two_threads)
    child.start()
    child.join()
    sys.exit(child.exitcode)


if __name__ == "__main__":
    main(*sys.argv[1:])
