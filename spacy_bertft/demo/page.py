"""The page, in Gradio: a text, what to explain, and a column for each pipeline."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import TYPE_CHECKING

from spacy.language import Language

from spacy_bertft.components.calibration import find_calibrated
from spacy_bertft.demo.answers import Question, format_answers
from spacy_bertft.explain import Method
from spacy_bertft.explain.attribution import METHODS
from spacy_bertft.pictures.colors import COLORS, DARK_COLORS
from spacy_bertft.pictures.entities import ENTITIES_STYLE
from spacy_bertft.pictures.style import format_variables

if TYPE_CHECKING:
    from gradio import Blocks

_STYLE = """
.bertft { color: var(--ink); font-size: 16px; line-height: 1.5; overflow-wrap: anywhere; }
.bertft h2 { color: var(--ink); font-size: 1.1rem; margin: 0; padding-bottom: .25rem;
  border-bottom: 1px solid var(--grid); }
.bertft h3 { color: var(--muted); font-size: .9rem; font-weight: 600; margin: 1.25rem 0 .25rem; }
.bertft .note { color: var(--muted); font-size: .85rem; margin: 1rem 0 .25rem; }
.bertft .legend { font-size: .85rem; margin: 1rem 0 .25rem; }
.bertft .note[role=alert] { color: var(--mark); }
.bertft .bars { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
.bertft .bars, .bertft .bars * { border: 0; }
.bertft .bars th, .bertft .bars td { color: var(--ink); font-weight: 400;
  padding: .1rem .75rem .1rem 0; text-align: left; }
.bertft .bars td:nth-child(2) { text-align: right; white-space: nowrap; }
.bertft .bars .track { padding-right: 0; width: 55%; }
.bertft .track div { background: var(--bar); border-radius: .2rem; height: .8rem; min-width: 1px; }
"""
_EVERYTHING = ("the best category, and every entity", "")


def build_page(pipelines: Mapping[str, Language]) -> Blocks:
    """Build the page.

    Args:
        pipelines: The pipelines by the names that stand above their answers.
    """
    import gradio

    def answer(text: str, method: Method, target: str) -> list[str]:
        question = Question(text, method, target or None)
        return [_format_column(name, format_answers(nlp, question)) for name, nlp in pipelines.items()]

    page: Blocks = gradio.Blocks(title=", ".join(pipelines), analytics_enabled=False)
    with page:
        text = gradio.Textbox(label="Text", lines=2, max_lines=12, autofocus=True)
        with gradio.Row():
            method = gradio.Radio(list(METHODS), value=METHODS[0], label="Explain by")
            target = gradio.Dropdown(_list_targets(pipelines), value="", label="Explain")
        button = gradio.Button("Answer", variant="primary")
        with gradio.Row():
            columns = [gradio.HTML(_format_column(name), min_width=320) for name in pipelines]
        # A text of several lines is submitted with Shift + Enter.
        gradio.on([button.click, text.submit], answer, [text, method, target], columns, api_visibility="private")
    return page


def format_page_style() -> str:
    """Format the style sheet: that of our other pages, for a theme that Gradio chooses."""
    light, dark = format_variables(COLORS), format_variables(DARK_COLORS)
    return f".bertft {{ {light} }}\n.dark .bertft {{ {dark} }}\n{_STYLE}{ENTITIES_STYLE}"


def _format_column(name: str, answers: str = "") -> str:
    return f'<div class="bertft"><h2>{escape(name)}</h2>\n{answers}</div>'


def _list_targets(pipelines: Mapping[str, Language]) -> list[tuple[str, str]]:
    pipes = [pipe for nlp in pipelines.values() for pipe in find_calibrated(nlp).values()]
    labels = dict.fromkeys(label for pipe in pipes for label in pipe.labels)
    return [_EVERYTHING, *((label, label) for label in labels)]
