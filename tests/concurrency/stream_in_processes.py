"""Run as a program: annotate in two processes, after threads of torch have worked in this one.

python stream_in_processes.py METHOD FOLDER BACKEND
"""

from __future__ import annotations

import multiprocessing
import sys

import numpy as np
import torch
from all_heads import MIXED, load_all_heads, read_answer


def main(method: str, folder: str, backend: str) -> None:
    multiprocessing.set_start_method(method)
    torch.set_num_threads(2)
    nlp = load_all_heads(folder, precision="fp32", backend=backend)
    expected = [read_answer(doc) for doc in nlp.pipe(MIXED, batch_size=5)]
    answers = [read_answer(doc) for doc in nlp.pipe(MIXED, batch_size=5, n_process=2)]
    for answer, other in zip(answers, expected, strict=True):
        # A child has one thread of torch, so its batches are parted in another way.
        for name in ("text", "tags"):
            assert answer[name] == other[name]
        assert [ent[:3] for ent in answer["ents"]] == [ent[:3] for ent in other["ents"]]
        np.testing.assert_allclose([ent[3] for ent in answer["ents"]], [ent[3] for ent in other["ents"]], atol=1e-5)
        assert answer["cats"].keys() == other["cats"].keys()
        np.testing.assert_allclose(list(answer["cats"].values()), list(other["cats"].values()), atol=1e-5)
    sys.stdout.write(f"{len(answers)} answers by {method}\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
