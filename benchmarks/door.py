"""What our entry points cost every spaCy process: the first `spacy.blank("en")`, with and without them.

    python benchmarks/door.py

Both sides run alternately, each in a fresh process; the figures are medians in milliseconds.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys

MEASURE = """
import sys, time
import catalogue, spacy
from importlib.metadata import EntryPoints

if sys.argv[1] == "without":
    found = catalogue.AVAILABLE_ENTRY_POINTS
    points = [point for group in found.values() for point in group] if isinstance(found, dict) else list(found)
    kept = EntryPoints(point for point in points if not point.value.startswith("spacy_bertft"))
    catalogue.AVAILABLE_ENTRY_POINTS = kept
start = time.perf_counter()
nlp = spacy.blank("en")
seconds = time.perf_counter() - start
assert nlp.has_factory("bert_ner") == (sys.argv[1] == "with")
print(seconds * 1000)
"""


def measure(side: str) -> float:
    """Return the milliseconds of one fresh process."""
    process = subprocess.run([sys.executable, "-c", MEASURE, side], check=True, capture_output=True, text=True)
    return float(process.stdout)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=10)
    rounds = parser.parse_args().rounds
    if rounds > 1:
        measure("with"), measure("without")  # fill the disk cache
    pairs = [(measure("with"), measure("without")) for _ in range(rounds)]
    extra = [with_ms - without_ms for with_ms, without_ms in pairs]
    print(f"with     {statistics.median(pair[0] for pair in pairs):6.1f} ms")
    print(f"without  {statistics.median(pair[1] for pair in pairs):6.1f} ms")
    print(f"extra    {statistics.median(extra):6.1f} ms (from {min(extra):.1f} to {max(extra):.1f})")


if __name__ == "__main__":
    main()
