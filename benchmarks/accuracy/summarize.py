"""Tables of what `experiment.py` has written down, and the learning curve among it.

    python benchmarks/accuracy/summarize.py [FILE.jsonl …] [--against NAME] [--curve FILE.svg]

With `--against`, recipes are compared with one of them by the folds and seeds that both were measured on: the mean
difference, and its interval of 95 % by Student's t. A curve is drawn of the runs whose training data were limited: test
F1 over sentences, a line for each name.
"""

from __future__ import annotations

import argparse
import json
import math
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from statistics import mean, stdev
from typing import TYPE_CHECKING, Any

from scipy.stats import t

from spacy_bertft.output import replace_when_done
from spacy_bertft.pictures.colors import COLORS
from spacy_bertft.pictures.plot import check_plot, render

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FOLDER = Path(__file__).parent
FIGURES = {"dev": "dev F1", "dev_token": "dev token F1", "test": "test F1", "test_token": "test token F1"}
Run = dict[str, Any]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", type=Path, nargs="*", help="by default all in the folder of this script")
    parser.add_argument("--against", metavar="NAME", help="compare the others with this one, fold by fold")
    parser.add_argument("--curve", type=Path, help="an .svg or .png file")
    arguments = parser.parse_args()
    paths = arguments.files or sorted(FOLDER.glob("*.jsonl"))
    runs = [json.loads(line) for path in paths for line in path.read_text(encoding="utf-8").splitlines()]
    by_corpus: dict[str, list[Run]] = defaultdict(list)
    for run in runs:
        by_corpus[run["corpus"]].append(run)
    for corpus, of_corpus in by_corpus.items():
        print(f"\n### {corpus}\n\n{format_table(of_corpus)}")
        if arguments.against:
            print(f"\n{format_differences(of_corpus, arguments.against)}")
    if arguments.curve:
        check_plot(arguments.curve)
        limited = [run for run in runs if run.get("limit") and "test" in run]
        content = render(lambda: draw_curve(limited), "png" if arguments.curve.suffix == ".png" else "svg")
        with replace_when_done(arguments.curve) as path:
            path.write_bytes(content)


def group(runs: Sequence[Run], *keys: str) -> dict[tuple[Any, ...], list[Run]]:
    groups: dict[tuple[Any, ...], list[Run]] = defaultdict(list)
    for run in runs:
        groups[tuple(run.get(key) for key in keys)].append(run)
    return groups


def format_table(runs: Sequence[Run]) -> str:
    """Lay out the mean over seeds of each name, and between which figures they lie."""
    kinds = [key for key in FIGURES if any(key in run for run in runs)]
    lines = [f"| what | sentences | seeds | {' | '.join(FIGURES[key] for key in kinds)} | seconds |"]
    lines.append("|---|---:|---:|" + "---:|" * (len(kinds) + 1))
    for (name, limit), each in group(runs, "name", "limit").items():
        cells = [format_mean([run[key] for run in each if key in run]) for key in kinds]
        seconds = f"{mean(run['seconds'] for run in each):,.0f}"
        lines.append(f"| {name} | {limit or 'all'} | {len(each)} | {' | '.join(cells)} | {seconds} |")
    return "\n".join(lines)


def format_differences(runs: Sequence[Run], name: str) -> str:
    """Lay out how much better each recipe is than one of them, in the mean over the folds and seeds of both."""
    by_name = group([run for run in runs if run.get("fold") is not None], "name")
    base = {(run["seed"], run["fold"], run["n_folds"]): run for run in by_name.get((name,), [])}
    lines = [f"| against {name} | pairs | F1 | token F1 |", "|---|---:|---:|---:|"]
    for (other,), each in by_name.items():
        pairs = [(run, base[key]) for run in each if (key := (run["seed"], run["fold"], run["n_folds"])) in base]
        if other != name and len(pairs) > 1:
            cells = [format_interval([run[kind] - old[kind] for run, old in pairs]) for kind in ("dev", "dev_token")]
            lines.append(f"| {other} | {len(pairs)} | {' | '.join(cells)} |")
    return "\n".join(lines)


def format_interval(differences: Sequence[float]) -> str:
    n = len(differences)
    half = t.ppf(0.975, n - 1) * stdev(differences) / math.sqrt(n)
    return f"{mean(differences):+.2f} ({mean(differences) - half:+.2f} to {mean(differences) + half:+.2f})"


def format_mean(values: Sequence[float]) -> str:
    if not values:
        return ""
    spread = f" ({min(values):.2f}–{max(values):.2f})" if len(values) > 1 else ""
    return f"{mean(values):.2f}{spread}"


def draw_curve(runs: Sequence[Run]) -> Figure:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.5, 3.8), layout="constrained")
    axes = figure.subplots()
    for ((name,), of_name), color in zip(group(runs, "name").items(), ("mark", "bar", "muted"), strict=False):
        by_limit = sorted(group(of_name, "limit").items())
        limits = [limit for (limit,), _ in by_limit]
        values = [[run["test"] for run in each] for _, each in by_limit]
        means = [mean(each) for each in values]
        axes.fill_between(limits, [min(v) for v in values], [max(v) for v in values], color=COLORS[color], alpha=0.2)
        axes.plot(limits, means, "o-", color=COLORS[color], label=name)
        for x, y in zip(limits, means, strict=True):
            axes.annotate(f"{y:.1f}", (x, y), (-4, 6), textcoords="offset points", ha="right", color=COLORS["ink"])
    axes.set_xscale("log")
    all_limits = sorted({run["limit"] for run in runs})
    axes.set_xticks(all_limits, [f"{limit:,}" for limit in all_limits])
    axes.minorticks_off()
    axes.set_xlabel("training sentences", color=COLORS["muted"])
    axes.set_ylabel("entity F1 on the test part, %", color=COLORS["muted"])
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="y", color=COLORS["grid"], linewidth=0.8)
    axes.margins(x=0.08, y=0.15)
    axes.legend(frameon=False, labelcolor=COLORS["ink"], loc="lower right")
    return figure


if __name__ == "__main__":
    main()
