from __future__ import annotations

import inspect
import json
from importlib import import_module
from pathlib import Path

import pytest
from installed import run_python, write_metadata
from spacy.language import Language

from spacy_bertft.entry_points import factories

COMPONENTS = ["encoder", "ner", "tagger", "textcat", "textcat_multilabel"]
BROKEN = 'raise ImportError("libcudart.so.12: cannot open shared object file")\n'
USE = """
import json, spacy
errors = {}
for _ in range(2):
    nlp = spacy.blank("en")
for name, config in (("bert_ner", {}), ("bert_tagger", {"overwrite": False}), ("bert_ner", {"model": MODEL})):
    try:
        nlp.add_pipe(name, config=config)
    except ImportError as error:
        errors[f"{name} {[*config]}"] = [type(error).__name__, str(error)]
print(json.dumps(errors))
"""
MODEL = {"@architectures": "spacy-bertft.TokenClassifier.v1"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Give a folder for the path, with a torch and a transformers that are broken."""
    write_metadata(tmp_path)
    # Where spacy-transformers is installed, its own entry points would break spaCy: these are none.
    (tmp_path / "spacy_transformers-0.dist-info").mkdir()
    (tmp_path / "spacy_transformers-0.dist-info" / "METADATA").write_text("Name: spacy-transformers\nVersion: 0\n")
    for name in ("torch", "transformers"):
        (tmp_path / f"{name}.py").write_text(BROKEN)
    return tmp_path


@pytest.mark.process
def test_spacy_works_with_a_broken_torch_and_our_components_say_what_is_broken(folder: Path) -> None:
    done = run_python("-c", f"MODEL = {MODEL}{USE}", folder=folder)
    assert (done.returncode, done.stderr) == (0, "")
    refusal = "The component bert_{} cannot be used: ImportError: libcudart.so.12: cannot open shared object file. {}"
    advice = "Run `pip check`, or install again what is broken."
    assert json.loads(done.stdout) == {
        "bert_ner []": ["RequirementError", refusal.format("ner", advice)],
        "bert_tagger ['overwrite']": ["RequirementError", refusal.format("tagger", advice)],
        "bert_ner ['model']": ["ImportError", "libcudart.so.12: cannot open shared object file"],
    }


@pytest.mark.process
def test_commands_of_spacy_work_with_a_broken_torch(folder: Path) -> None:
    done = run_python("-m", "spacy", "info", folder=folder)
    assert done.returncode == 0, done.stderr
    assert "spaCy version" in done.stdout


@pytest.mark.parametrize("name", COMPONENTS)
def test_each_factory_is_that_of_its_component(name: str) -> None:
    factory = f"make_bert_{name}"
    module = import_module(f"spacy_bertft.components.{name.removesuffix('_multilabel')}")
    assert getattr(factories, factory) is getattr(module, factory)


@pytest.mark.parametrize("name", COMPONENTS)
def test_a_refusal_accepts_the_settings_of_each_component(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Language, "factory", lambda name, func: func)
    refuse = factories._register_refusal("any", ImportError())
    factory = getattr(factories, f"make_bert_{name}")
    assert inspect.signature(factory).parameters.keys() <= inspect.signature(refuse).parameters.keys()


def test_other_names_are_unknown() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'make_ner'"):
        _ = factories.make_ner
