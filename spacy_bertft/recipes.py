"""Recipes that travel with the package: complete training configs, and a spaCy project that uses them.

The repository is that project: `project.yml`, `configs/` and the corpora in `assets/`. A wheel has a copy of them.
"""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Literal, get_args

from spacy_bertft.errors import DataError, SettingError
from spacy_bertft.output.files import replace_when_done
from spacy_bertft.output.folders import replace_folder_when_done

Recipe = Literal[
    "ner", "tagger", "textcat", "textcat-multilabel", "regressor", "shared", "few", "qa", "spancat", "multiple-choice"
]
RECIPES: tuple[Recipe, ...] = get_args(Recipe)
_CORPORA = ("assets/movie/train.bio", "assets/movie/test.bio", "assets/messages/spam.csv")


def init_config(
    recipe: Recipe, output_path: str | Path | None = None, *, encoder: str | None = None, lang: str | None = None
) -> str:
    """Write a training config: complete, commented, with the settings that were measured.

    Args:
        recipe: ner (entities), tagger (tags), textcat (one category per text), textcat-multilabel (several), regressor
            (numbers), shared (entities and categories on one encoder), few (entities from a few hundred sentences),
            qa (questions that are answered by a span of a context), spancat (spans that may overlap), or
            multiple-choice (which of some endings fits a prompt).
        output_path: The .cfg file to write; by default the config is printed.
        encoder: Hub name or directory of the pretrained encoder.
        lang: Language code of the pipeline.

    Returns:
        The config.

    Raises:
        SettingError: There is no such recipe, or the name of the encoder or the language cannot be written to a config.
    """
    if recipe not in RECIPES:
        raise SettingError("recipe", recipe, f"one of {', '.join(RECIPES)}")
    text = (_find_project() / "configs" / f"{recipe.replace('-', '_')}.cfg").read_text(encoding="utf-8")
    for name, value in (("encoder", encoder), ("lang", lang)):
        if value is None:
            continue
        if not value or re.search(r'["$\\\n]', value):
            raise SettingError(name, value, "a name without quotes, $ and backslashes")
        # The first of that name: [paths] encoder and [nlp] lang come before all components.
        text = re.sub(rf'^{name} = ".*"$', f'{name} = "{value}"', text, count=1, flags=re.MULTILINE)
    if output_path is not None:
        with replace_when_done(Path(output_path)) as path:
            path.write_text(text, encoding="utf-8")
    return text


def init_project(project_dir: str | Path) -> Path:
    """Write a spaCy project: from labelled text to a trained, evaluated and packaged pipeline.

    It comes with two small corpora and runs as it is; `vars` in its `project.yml` name your own files.

    Args:
        project_dir: A new or empty directory.

    Returns:
        The directory.

    Raises:
        DataError: The directory is not empty.
    """
    project_dir, source = Path(project_dir), _find_project()
    if project_dir.exists() and (not project_dir.is_dir() or any(project_dir.iterdir())):
        raise DataError(f"{project_dir} already exists. Expected a new or an empty directory.")
    with replace_folder_when_done(project_dir) as folder:
        shutil.copytree(source / "configs", folder / "configs")
        for name in ("project.yml", *_CORPORA):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source / name, folder / name)
    return project_dir


def _find_project() -> Path:
    """Find the project that travels: in a wheel next to this file, otherwise this checkout."""
    packaged = Path(__file__).parent / "project"
    return packaged if packaged.is_dir() else Path(__file__).parents[1]
