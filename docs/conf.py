"""How Sphinx builds these pages: `make docs`. Nothing is asked of the network, and every warning is an error."""

from __future__ import annotations

import sys
from importlib.metadata import version as get_version
from pathlib import Path

from docutils.nodes import document
from sphinx.addnodes import pending_xref
from sphinx.application import Sphinx

DOCS = Path(__file__).parent
ROOT = DOCS.parent
# The package of this checkout, wherever it is installed from, and what is next to this file.
sys.path[:0] = [str(ROOT), str(DOCS)]

import generated  # noqa: E402

project = "spacy-bertft"
author = "The spacy-bertft authors"
copyright = "2026, The spacy-bertft authors"
release = version = get_version("spacy-bertft")

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx_copybutton"]
myst_heading_anchors = 3
exclude_patterns = ["_generated"]  # pages of their own include it
html_theme = "furo"
html_title = f"spacy-bertft {version}"
html_copy_source = False
html_static_path = ["_static"]
html_css_files = ["style.css"]  # pictures in dark mode; tables of settings on narrow screens
# Commands and code are copied; what they print is not.
copybutton_selector = "div:not(.highlight-text):not(.highlight-console) > div.highlight > pre"

# Docstrings write code between single backticks, as Markdown does.
default_role = "literal"
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_use_ivar = True
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
python_maximum_signature_line_length = 100
nitpicky = True
# Types in signatures: of other packages, and of internal modules. Links between pages are checked all the same.
nitpick_ignore_regex = [("py:.*", r"(?!spacy_bertft\.errors\.).*")]


def generate(app: Sphinx) -> None:
    """Write the pages of the commands and the tables of the settings."""
    generated.write_commands(DOCS)
    generated.write_settings(DOCS)


def fill_in(app: Sphinx, page: str, source: list[str]) -> None:
    """Replace a public name in a page by what its code says about it."""
    source[0] = generated.replace_names(source[0])


def name_files(app: Sphinx, page: document) -> None:
    """Name the files of the repository that a page links to, which are on no page; a link to nothing is an error."""
    for link in list(page.findall(pending_xref)):
        folder = (DOCS / app.env.docname).parent
        target = link.get("reftarget", "").partition("#")[0]  # without .md where that is taken for a page
        for suffix in ("", ".md"):
            found = (folder / f"{target}{suffix}").resolve()
            if target and found.is_file() and (DOCS not in found.parents or found.suffix != ".md"):
                link.replace_self(link.children)
                break


def setup(app: Sphinx) -> None:
    """Let Sphinx call these."""
    app.connect("builder-inited", generate)
    app.connect("source-read", fill_in)
    app.connect("doctree-read", name_files)
