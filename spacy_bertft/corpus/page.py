"""A page about a corpus: tables as text and a picture, in one HTML file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

from .stats import CorpusStats

_DARK = {
    "ink": "#e6e9ee",
    "muted": "#a3adba",
    "grid": "#333b46",
    "bar": "#6ea8e8",
    "mark": "#f0a06a",
    "paper": "#171b21",
}

_STYLE = """
:root { color-scheme: light dark; %(light)s }
@media (prefers-color-scheme: dark) { :root { %(dark)s } }
body { background: var(--paper); color: var(--ink); font: 16px/1.5 system-ui, sans-serif; }
body { max-width: 54rem; margin: 2.5rem auto; padding: 0 1.25rem; }
h1 { font-size: 1.5rem; margin: 0 0 .25rem; overflow-wrap: anywhere; }
h2 { font-size: 1.1rem; margin: 2.25rem 0 .5rem; }
p { color: var(--muted); margin: 0; }
svg { width: 100%%; height: auto; margin-top: 1.5rem; }
svg text { font-family: system-ui, sans-serif !important; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: .25rem 1.5rem .25rem 0; text-align: right; border-bottom: 1px solid var(--grid); }
th { color: var(--muted); font-weight: 600; }
th:first-child { text-align: left; }
tbody th { color: var(--ink); font-weight: 400; overflow-wrap: anywhere; }
"""


def format_page(stats: CorpusStats, svg: str, colors: Mapping[str, str]) -> str:
    """Format the page.

    Args:
        stats: What was measured.
        svg: The picture, an `<svg>` element whose colours are CSS variables.
        colors: Those variables and their values on a light page.
    """
    title = ", ".join(path.name for path in stats.paths)
    labelled = svg.replace("<svg", '<svg role="img" aria-label="Histogram of text lengths"', 1)
    labels = stats.format_label_rows()
    label_table = f"<h2>Labels</h2>\n{_format_table(labels)}" if len(labels) > 1 else ""
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{escape(title)}: lengths and labels</title>
<style>{_STYLE % {"light": _format_variables(colors), "dark": _format_variables(_DARK)}}</style>
</head>
<body>
<h1>{escape(title)}</h1>
<p>{escape(stats.format_notes())}</p>
{labelled}
<h2>Lengths</h2>
{_format_table(stats.format_rows())}
{label_table}
</body>
</html>
"""


def _format_variables(colors: Mapping[str, str]) -> str:
    return " ".join(f"--{name}: {color};" for name, color in colors.items())


def _format_table(rows: Sequence[Sequence[str]]) -> str:
    head = "".join(f'<th scope="col">{escape(cell)}</th>' for cell in rows[0])
    body = "\n".join(
        f'<tr><th scope="row">{escape(row[0])}</th>' + "".join(f"<td>{escape(cell)}</td>" for cell in row[1:]) + "</tr>"
        for row in rows[1:]
    )
    return f"<table>\n<thead><tr>{head}</tr></thead>\n<tbody>\n{body}\n</tbody>\n</table>"
