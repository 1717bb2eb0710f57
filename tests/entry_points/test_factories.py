from __future__ import annotations

import inspect
import json
import re
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any

import pytest
import spacy
from installed import run_python, write_metadata
from spacy.util import get_minor_version_range, load_config, registry

from spacy_bertft import __version__
from spacy_bertft.entry_points import architectures, factories
from spacy_bertft.errors import RequirementError, SettingError

ROOT = Path(__file__).parent.parent.parent
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
# Of a recipe: the factory, and where its settings are.
RECIPES = {"ner": "bert_ner", "spancat": "bert_spancat", "tagger": "bert_tagger", "textcat": "bert_textcat"}
RECIPES |= {"textcat_multilabel": "bert_textcat_multilabel", "regressor": "bert_regressor", "qa": "bert_qa"}
RECIPES |= {"multiple_choice": "bert_multiple_choice"}
ARCHITECTURES = [each for each in entry_points(group="spacy_architectures") if each.module == architectures.__name__]


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
    found = json.loads(done.stdout)
    assert list(found) == ["bert_ner []", "bert_tagger ['overwrite']", "bert_ner ['model']"]
    for kind, message in found.values():
        assert kind == "RequirementError"
        assert message.startswith("The architecture spacy-bertft.")
        assert "cannot be used: ImportError: libcudart.so.12: cannot open shared object file." in message
        assert message.endswith("Run `pip check`, or install again what is broken.")


@pytest.mark.process
def test_commands_of_spacy_work_with_a_broken_torch(folder: Path) -> None:
    done = run_python("-m", "spacy", "info", folder=folder)
    assert done.returncode == 0, done.stderr
    assert "spaCy version" in done.stdout


@pytest.mark.parametrize("point", ARCHITECTURES, ids=lambda point: point.name)
def test_what_an_architecture_needs_is_named_with_it(point: EntryPoint, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(name: str) -> None:
        raise ImportError("broken")

    monkeypatch.setattr(architectures, "import_module", fail)
    with pytest.raises(RequirementError, match=f"^The architecture {re.escape(point.name)} cannot be used: "):
        point.load()


def test_other_names_are_unknown() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'build_ner'"):
        _ = architectures.build_ner


@pytest.mark.parametrize("factory", ["bert_encoder", *RECIPES.values()])
def test_a_default_model_has_every_setting(factory: str) -> None:
    """Those of the encoder and all that no recipe changes are the defaults of the architecture."""
    nlp = spacy.blank("en")
    nlp.add_pipe(factory, name="head")
    settings: dict[str, Any] = nlp.get_pipe_config("head")["model"]
    build = registry.architectures.get(settings["@architectures"])
    parameters = inspect.signature(build).parameters
    assert settings.keys() - {"@architectures"} == parameters.keys()
    if factory == "bert_encoder":
        assert settings == {"@architectures": settings["@architectures"], "name": "bert-base-uncased"} | {
            name: each.default for name, each in parameters.items() if name != "name"
        }


@pytest.mark.parametrize("recipe", RECIPES)
def test_the_defaults_are_those_of_the_recipe(recipe: str) -> None:
    """But for the window, which goes with the joined sentences of `configs/ner.cfg`, and the pooling of texts."""
    nlp = spacy.blank("en")
    nlp.add_pipe(RECIPES[recipe], name="head")
    defaults = nlp.get_pipe_config("head")
    sections = load_config(ROOT / "configs" / f"{recipe}.cfg")["components"].values()
    [section] = [section for section in sections if section["factory"] == RECIPES[recipe]]
    for settings in (section, defaults):
        settings["model"]["encoder"] |= {"name": None, "window": None}
        settings["model"].pop("pooling", None)
    assert {name: defaults[name] for name in section} == section


@pytest.mark.parametrize(
    "factory",
    ["bert_encoder", "bert_multiple_choice", "bert_ner", "bert_qa", "bert_spancat", "bert_tagger", "bert_textcat"],
)
def test_a_model_of_another_kind_is_an_error(factory: str) -> None:
    model = factories.TEXT_MODEL if factory != "bert_textcat" else factories.ENTITY_MODEL
    with pytest.raises(
        SettingError, match=rf"Expected a model of spacy-bertft\.\w+\.v1 in \[components\.{factory}\.model\]"
    ):
        spacy.blank("en").add_pipe(factory, config={"model": model})


@pytest.mark.parametrize(
    ("backend", "extras"), [("torch", ["torch"]), ("openvino", ["torch", "openvino"]), ("graph", ["openvino"])]
)
def test_a_package_requires_the_extras_of_its_encoders(backend: str, extras: list[str]) -> None:
    if backend != "torch":
        pytest.importorskip("openvino", reason="the extra openvino is not installed")
    nlp = spacy.blank("en")
    for name in ("one", "two"):
        nlp.add_pipe("bert_ner", name=name, config={"model": {"encoder": {"backend": backend}}})
    wanted = [f"spacy-bertft[{extra}]{get_minor_version_range(__version__)}" for extra in extras]
    assert nlp.meta.get("requirements", []) == wanted
