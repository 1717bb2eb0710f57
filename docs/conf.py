"""How Sphinx builds these pages: `make docs`. Nothing is asked of the network, and every warning is an error."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.metadata import version as get_version
from pathlib import Path

from docutils.nodes import document
from sphinx.addnodes import pending_xref
from sphinx.application import Sphinx

ROOT = Path(__file__).parent.parent
# The package of this checkout, wherever it is installed from.
sys.path.insert(0, str(ROOT))

project = "spacy-bertft"
author = "The spacy-bertft authors"
copyright = "2026, The spacy-bertft authors"
release = version = get_version("spacy-bertft")

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
myst_heading_anchors = 3
exclude_patterns = ["_generated"]  # a page of its own includes it
html_theme = "furo"
html_title = f"spacy-bertft {version}"
html_copy_source = False

# Docstrings write code between single backticks, as Markdown does.
default_role = "literal"
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_use_ivar = True
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_preserve_defaults = True
python_maximum_signature_line_length = 100
nitpicky = True
# Types of other packages, and of internal modules.
nitpick_ignore_regex = [
    ("py:.*", r"(?!spacy_bertft\.).*"),
    ("py:.*", r"spacy_bertft\.(checkpoints|components|evaluate|models|tags)\..*"),
]


def write_commands(app: Sphinx) -> None:
    """Write the page of every command, from what `--help` shows."""
    path = ROOT / "docs" / "_generated" / "commands.md"
    path.parent.mkdir(exist_ok=True)
    command = (sys.executable, "-m", "typer", "spacy_bertft.cli", "utils", "docs", "--name", "spacy-bertft")
    subprocess.run([*command, "--output", path], check=True, capture_output=True, env={**os.environ, "COLUMNS": "200"})


def name_files(app: Sphinx, page: document) -> None:
    """Name the files of the repository that a guide links to, which are on no page; a link to nothing is an error."""
    for link in list(page.findall(pending_xref)):
        target = link["reftarget"]  # without .md where that is taken for a page
        if any((ROOT / "docs" / "guides" / f"{target}{suffix}").is_file() for suffix in ("", ".md")):
            link.replace_self(link.children)


def setup(app: Sphinx) -> None:
    """Let Sphinx call these."""
    app.connect("builder-inited", write_commands)
    app.connect("doctree-read", name_files)
