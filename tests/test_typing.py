"""`py.typed` says that annotations are there to be used: mypy checks the script of a user against them."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

import spacy_bertft

pytestmark = [
    pytest.mark.process,
    pytest.mark.skipif(find_spec("mypy") is None, reason="needs mypy, which the group dev has"),
]

PACKAGE = Path(spacy_bertft.__file__).parent

# What mypy reports for a line is behind it.
SCRIPT = """
from pathlib import Path

import spacy

from spacy_bertft.annotation.annotate import annotate
from spacy_bertft.data import convert, convert_texts
from spacy_bertft.errors import BertftError, ColumnFormatError
from spacy_bertft.exchange.import_hf import import_hf
from spacy_bertft.explanation import attribute, attribute_entities, render
from spacy_bertft.data.pairs import make_pair
from spacy_bertft.evaluation.evaluate import evaluate
from spacy_bertft.active.suggest import suggest
from spacy_bertft.training.optimizer import configure_adamw

nlp = spacy.blank("en")
doc = make_pair(nlp, "he left early", "he went away")
reveal_type(doc)  # spacy.tokens.doc.Doc
reveal_type(convert([Path("a.bio")], Path("a.spacy"), dev=0.1))  # spacy_bertft.data.reports.ConversionReport
reveal_type(convert_texts(["a.csv"], "a.spacy").n_docs)  # int
reveal_type(import_hf("a", "b").labels)  # tuple[str, ...]
reveal_type(annotate("a", ["b.jsonl"], "c").n_written)  # int
reveal_type(attribute(nlp, doc).prob)  # float | None
reveal_type([each.target for each in attribute_entities(nlp, doc)])  # list[str]
reveal_type(render(attribute(nlp, doc)))  # str
reveal_type(evaluate("a", "b.spacy").scores)  # dict[str, Any]
reveal_type(suggest("a", "b.jsonl").report.n_suggested)  # int
reveal_type(configure_adamw(1e-4))  # spacy_bertft.training.optimizer.AdamW
try:
    convert(["a.bio"], "a.spacy")
except ColumnFormatError as error:
    reveal_type(error.line)  # int
    base: BertftError = error
annotate("a", ["b.jsonl"], "c", n_proces=2)  # Unexpected keyword argument "n_proces"
attribute(nlp, doc, method="gradient")  # Argument "method" to "attribute" has incompatible type
convert("train.bio", 3)  # Argument 2 has incompatible type "int"
"""


@pytest.fixture
def site(tmp_path):
    """The package, installed somewhere that mypy does not take for the code of its user."""
    shutil.copytree(PACKAGE, tmp_path / "site" / "spacy_bertft", ignore=shutil.ignore_patterns("__pycache__"))
    return tmp_path / "site"


# Nothing in the script has types of these, and to read them takes most of the time.
SETTINGS = """
[mypy-torch.*,transformers.*]
follow_imports = skip
"""


def run_mypy(script: str, site: Path) -> dict[int, str]:
    """Check a script as a user would with `--strict`; give what is said of each line."""
    (site.parent / "script.py").write_text(script, encoding="utf-8")
    (site.parent / "mypy.ini").write_text(SETTINGS, encoding="utf-8")
    environment = {**os.environ, "PYTHONPATH": str(site)}
    environment.pop("MYPYPATH", None)
    command = [sys.executable, "-m", "mypy", "--strict", "--hide-error-context", "script.py"]
    process = subprocess.run(command, cwd=site.parent, env=environment, capture_output=True, text=True, check=False)
    assert process.returncode == 1, process.stdout + process.stderr
    said = re.findall(r"^script\.py:(\d+): (?:error|note): (.*)$", process.stdout, flags=re.MULTILINE)
    assert len(said) == len(process.stdout.splitlines()) - 1, process.stdout  # and how many errors there are
    return {int(number): text for number, text in reversed(said)}


def test_mypy_of_a_user(site):
    lines = enumerate(SCRIPT.splitlines(), start=1)
    expected = {number: line.split("  # ")[1] for number, line in lines if "  # " in line}
    found = run_mypy(SCRIPT, site)
    assert found.keys() == expected.keys()
    for number, text in expected.items():
        assert f'"{text}"' in found[number] if text[0].islower() else text in found[number], found[number]


def test_without_the_marker_nothing_is_checked(site):
    other = (site / "spacy_bertft").rename(site / "unmarked")  # another name: the package itself is installed too
    (other / "py.typed").unlink()
    found = run_mypy("import unmarked.errors\n", site)
    assert "missing library stubs or py.typed marker" in found[1]
