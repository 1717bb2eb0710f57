"""Fast import: every spaCy process pays for what an entry point imports."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib.metadata import entry_points
from itertools import pairwise

import pytest

pytestmark = pytest.mark.process

HEAVY = ("transformers", "tokenizers", "huggingface_hub", "matplotlib", "gradio", "hypothesis")


def list_imported(code: str) -> set[str]:
    code = f"{code}\nimport sys; print(' '.join(sys.modules))"
    process = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    return set(process.stdout.split())


def find_entry_points():
    for group in ("factories", "architectures", "scorers", "batchers", "readers", "cli"):
        yield from (point for point in entry_points(group=f"spacy_{group}") if point.value.startswith("spacy_bertft"))
    yield from (point for point in entry_points(group="thinc_optimizers") if point.value.startswith("spacy_bertft"))


def test_blank_pipelines_import_nothing_heavy():
    before = list_imported("import spacy")
    after = list_imported("import spacy; spacy.blank('en').has_factory('bert_ner')")
    assert "spacy_bertft.entry_points.factories" in after
    assert "spacy_bertft.components" not in after
    # spacy-transformers, where it is installed, imports transformers from its own entry points.
    if "spacy_transformers" not in after:
        assert not (after - before) & set(HEAVY)


LOAD_ALL = """
import json, sys, spacy, thinc.api
from importlib.metadata import EntryPoint
modules = [sorted(sys.modules)]
for point in json.loads(sys.argv[1]):
    EntryPoint(*point, "").load()
    modules.append(sorted(sys.modules))
print(json.dumps(modules))
"""


@pytest.fixture(scope="module")
def modules_by_point() -> dict[str, tuple[set[str], set[str]]]:
    """Give by name what had been imported before and after each entry point, all of them in one process.

    What is heavy is found at the first that imports it.
    """
    points = [(point.name, point.value) for point in find_entry_points()]
    command = [sys.executable, "-c", LOAD_ALL, json.dumps(points)]
    process = subprocess.run(command, check=True, capture_output=True, text=True)
    modules = [set(names) for names in json.loads(process.stdout)]
    return {name: each for (name, _), each in zip(points, pairwise(modules), strict=True)}


@pytest.mark.parametrize("point", list(find_entry_points()), ids=lambda point: point.name)
def test_no_entry_point_imports_anything_heavy(modules_by_point, point):
    before, after = modules_by_point[point.name]
    assert point.module in after
    assert not (after - before) & set(HEAVY)


def test_importing_the_package_costs_nothing():
    before = list_imported("")
    new = {name.partition(".")[0] for name in list_imported("import spacy_bertft") - before}
    assert new - sys.stdlib_module_names == {"spacy_bertft"}


def test_the_command_line_starts_without_spacy():
    assert not {"spacy", "torch"} & list_imported("import spacy_bertft.cli")
