"""Run as a program: load a pipeline, and let many threads use it before anything else has.

python start_cold.py FOLDER BACKEND TEXTS ANSWERS
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import torch
from all_heads import load_all_heads, read_answer
from many_threads import run_at_once


def main(folder: str, backend: str, texts: str, answers: str) -> None:
    torch.set_num_threads(2)
    nlp = load_all_heads(folder, backend=backend)
    found = run_at_once(lambda _: [read_answer(nlp(text)) for text in json.loads(texts)])
    Path(answers).write_text(json.dumps(found), encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
