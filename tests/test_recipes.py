"""Recipes and the project that travel with the package."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml
from spacy.util import load_config_from_str
from typer.testing import CliRunner

from spacy_bertft import recipes
from spacy_bertft.cli import app
from spacy_bertft.errors import DataError, SettingError
from spacy_bertft.recipes import RECIPES, init_config, init_project

ROOT = Path(__file__).parent.parent


def test_every_config_is_a_recipe():
    files = {path.stem.replace("_", "-") for path in (ROOT / "configs").glob("*.cfg")}
    assert files == set(RECIPES)


@pytest.mark.parametrize("recipe", RECIPES)
def test_a_recipe_with_another_encoder_and_language(recipe):
    """Nothing else changes, comments least of all."""
    plain, changed = init_config(recipe), init_config(recipe, encoder="my/encoder", lang="de")
    before, after = load_config_from_str(plain), load_config_from_str(changed)
    assert (before["paths"]["encoder"], before["nlp"]["lang"]) == ("bert-base-uncased", "en")
    assert (after["paths"]["encoder"], after["nlp"]["lang"]) == ("my/encoder", "de")
    lines = list(zip(plain.splitlines(), changed.splitlines(), strict=True))
    assert [new for old, new in lines if old != new] == ['encoder = "my/encoder"', 'lang = "de"']
    assert re.search("^# ", changed, flags=re.MULTILINE)


@pytest.mark.parametrize("value", ["", 'a"b', "${paths.train}", "a\nb", "a\\b"])
@pytest.mark.parametrize("name", ["encoder", "lang"])
def test_a_value_that_a_config_cannot_hold(name, value, tmp_path):
    with pytest.raises(SettingError, match=f"^{name} = "):
        init_config("ner", tmp_path / "my.cfg", **{name: value})
    assert not list(tmp_path.iterdir())


def test_an_unknown_recipe_names_the_others():
    names = "ner, tagger, textcat, textcat-multilabel, regressor, shared, few, qa, spancat"
    with pytest.raises(SettingError, match=names):
        init_config("parser")


def test_what_is_printed_is_what_is_written(tmp_path):
    printed = CliRunner().invoke(app, ["init-config", "few", "--encoder", "my-encoder"])
    written = CliRunner().invoke(app, ["init-config", "few", "--encoder", "my-encoder", "-o", str(tmp_path / "my.cfg")])
    assert (printed.exit_code, written.exit_code) == (0, 0)
    assert (tmp_path / "my.cfg").read_text(encoding="utf-8") == printed.stdout
    assert f"Wrote {tmp_path / 'my.cfg'}" in written.stdout.replace("\n", "")


def test_a_project_has_all_that_it_names(tmp_path):
    folder = init_project(tmp_path / "new")
    project = yaml.safe_load((folder / "project.yml").read_text(encoding="utf-8"))
    names = project["vars"]
    for name in ("config", "texts_config", "train_bio", "test_bio", "texts"):
        assert (folder / names[name]).is_file()
    scripts = " ".join(line for command in project["commands"] for line in command["script"])
    assert "tests/" not in scripts
    assert "constraints" not in scripts
    assert not [path for path in folder.rglob("*") if path.suffix == ".py"]


def test_a_directory_with_files_is_left_alone(tmp_path):
    (tmp_path / "mine.txt").write_text("mine")
    for folder in (tmp_path, tmp_path / "mine.txt"):
        with pytest.raises(DataError, match="a new or an empty directory"):
            init_project(folder)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_an_installed_package_has_its_own_copy(tmp_path, monkeypatch):
    """What the wheel holds is checked by reliability/release.py; here is where it is looked for."""
    package = tmp_path / "spacy_bertft"
    (package / "project" / "configs").mkdir(parents=True)
    (package / "project" / "configs" / "ner.cfg").write_text('[paths]\nencoder = "packaged"\n')
    monkeypatch.setattr(recipes, "__file__", str(package / "recipes.py"))
    assert init_config("ner") == '[paths]\nencoder = "packaged"\n'
