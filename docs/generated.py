"""What the reference says about public names, read from the code when the pages are built.

- `write_commands`: a page for each command, from what `--help` shows.
- `write_settings`: a table for each registered function with its settings, their defaults and their meaning.
- `replace_names`: a block `{registered} NAME` or `{function} NAME` in a page becomes the documentation of that name, a
  block `{config} FACTORY` the section of a config with all defaults.

A setting without a meaning in its docstring is an error.
"""

from __future__ import annotations

import inspect
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import spacy
from spacy.language import Language
from thinc.api import Config

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).parent.parent
REQUIRED = inspect.Parameter.empty
HEADINGS = {
    "spacy_factories": "Components",
    "spacy_architectures": "Architectures",
    "spacy_misc": "Adapters",
    "thinc_optimizers": "Optimizers",
    "spacy_batchers": "Batchers",
    "spacy_augmenters": "Augmenters",
    "spacy_callbacks": "Callbacks",
    "spacy_readers": "Readers",
    "spacy_scorers": "Scorers",
}
Setting = tuple[str, Any, str]  # name, default, meaning
_BLOCK = re.compile(r"^```\{(registered|function|config)\} (\S+)\n(.*?)^```$", flags=re.DOTALL | re.MULTILINE)


def list_registered() -> dict[str, dict[str, Any]]:
    """List the functions that `pyproject.toml` registers with spaCy: by entry point group and name."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return {
        group: {name: EntryPoint(name, target, group).load() for name, target in points.items()}
        for group, points in project["entry-points"].items()
        if group in HEADINGS
    }


def write_commands(docs: Path) -> None:
    """Write `reference/commands/NAME.md` for each command, and the table of all of them."""
    from typer.main import get_command

    from spacy_bertft.cli import app

    with_docs = (sys.executable, "-m", "typer", "spacy_bertft.cli", "utils", "docs", "--name", "spacy-bertft")
    environment = {**os.environ, "COLUMNS": "200", "PYTHONPATH": os.pathsep.join(sys.path)}
    text = subprocess.run(with_docs, check=True, capture_output=True, text=True, env=environment).stdout
    _, *sections = re.split(r"^## ", text, flags=re.MULTILINE)
    folder = docs / "reference" / "commands"
    folder.mkdir(exist_ok=True)
    pages = {}
    for section in sections:
        name = section.partition("`\n")[0].rpartition(" ")[2]
        pages[folder / f"{name}.md"] = f"# {section}"
    for path in set(folder.glob("*.md")) - set(pages):
        path.unlink()  # of a command that was renamed
    for path, page in pages.items():
        _write(path, page)
    commands = get_command(app).commands.values()  # type: ignore[attr-defined]
    rows = [
        f"| {each.rich_help_panel} | [{each.name}](commands/{each.name}.md) | {_first_sentence(each.help)} |"
        for each in commands
    ]
    table = "\n".join(["| | command | what it does |", "|---|---|---|", *rows])
    _write(docs / "_generated" / "commands.md", f"{table}\n")


def write_settings(docs: Path) -> None:
    """Write the tables of all settings, as they are spelled in a config."""
    lines = []
    for group, functions in list_registered().items():
        lines.append(f"\n## {HEADINGS[group]}\n")
        for name, function in functions.items():
            lines.append(f"\n### `{name}`\n")
            settings = list(list_settings(name, function, is_factory=group == "spacy_factories"))
            if not settings:
                lines.append("It has no settings.")
                continue
            lines += ["```{table}", ":class: settings", "", "| setting | default | meaning |", "|---|---|---|"]
            lines += [
                f"| `{key}` | {_format_default(value)} | {_escape(meaning)} |" for key, value, meaning in settings
            ]
            lines.append("```")
    _write(docs / "_generated" / "settings.md", "\n".join(lines) + "\n")


def list_settings(name: str, function: Callable[..., Any], *, is_factory: bool) -> Iterator[Setting]:
    """List the settings of a registered function; those of a component with those of its default model."""
    given = Language.get_factory_meta(name).default_config if is_factory else {}
    skipped = {"nlp", "name"} if is_factory else set()
    yield from _walk("", function, given, skipped)


def _walk(prefix: str, function: Callable[..., Any], given: Mapping[str, Any], skipped: set[str]) -> Iterator[Setting]:
    parameters = inspect.signature(function).parameters
    is_ours = function.__module__.startswith("spacy_bertft.")
    meanings = read_meanings(function) if is_ours else dict.fromkeys(parameters, "See the documentation of spaCy.")
    for name, parameter in parameters.items():
        if name in skipped:
            continue
        value = given.get(name, parameter.default)
        registered = _find_reference(value)
        if registered is None:
            yield f"{prefix}{name}", value, meanings[name]
        else:
            registry, target = registered
            yield f"{prefix}{name}", {f"@{registry}": target}, meanings[name]
            yield from _walk(f"{prefix}{name}.", spacy.registry.get(registry, target), value, set())


def read_meanings(function: Callable[..., Any]) -> dict[str, str]:
    """Read what docstrings say about each parameter: the function's own, or those of classes that it leads to."""
    meanings: dict[str, str] = {}
    for documented in (function, find_settings(function), find_returned(function)):
        text = f"{inspect.getdoc(documented) or ''}\n" if documented is not None else ""
        for section in re.findall(r"^(?:Args|Attributes):\n((?: {4}.*\n|\n)+)", text, flags=re.MULTILINE):
            pairs = re.findall(r"^    (\w+): (.*(?:\n {8,}.*)*)", section, flags=re.MULTILINE)
            meanings = {name: " ".join(words.split()) for name, words in pairs} | meanings
    return meanings


def find_settings(function: Callable[..., Any]) -> type | None:
    """Find the class that has the settings of a function, where its docstring says `Those of NAME`."""
    named = re.search(r"Those of `(\w+)`", inspect.getdoc(function) or "")
    return vars(sys.modules[function.__module__]).get(named[1]) if named else None


def find_returned(function: Callable[..., Any]) -> type | None:
    """Find the class of ours that a function returns, if it returns one."""
    returned = inspect.signature(function).return_annotation if not isinstance(function, type) else None
    if isinstance(returned, str):
        try:
            returned = eval(returned.strip("\"'"), vars(sys.modules[function.__module__]))
        except (NameError, AttributeError, TypeError, SyntaxError):
            return None
    is_ours = isinstance(returned, type) and returned.__module__.startswith("spacy_bertft.")
    return returned if is_ours else None


def replace_names(text: str) -> str:
    """Replace the blocks that name something public."""
    return _BLOCK.sub(lambda found: _document(found[1], found[2], found[3]), text)


def _document(kind: str, name: str, options: str) -> str:
    """Write the directives for a name; options such as `:members: predict` are those of the class that it returns."""
    if kind == "config":
        return f"```ini\n{_format_config(name)}\n```"
    if kind == "function":
        import spacy_bertft

        function, target = getattr(spacy_bertft, name), f"spacy_bertft.{name}"
    else:
        [(group, function)] = [(group, each[name]) for group, each in list_registered().items() if name in each]
        if group == "spacy_scorers":
            function = function()  # it has no settings: what it configures is what matters
        target = f"{function.__module__}.{function.__qualname__}"
    directive = "autoclass" if isinstance(function, type) else "autofunction"
    lines = [f".. {directive}:: {target}", ""]
    if (settings := find_settings(function)) is not None:
        lines += [f".. autoclass:: {settings.__module__}.{settings.__qualname__}", ""]
    if (returned := _find_component(name) or find_returned(function)) is not None:
        lines += [f".. autoclass:: {returned.__module__}.{returned.__qualname__}"]
        lines += [f"   {option}" for option in options.splitlines()]
    return "\n".join(["```{eval-rst}", *lines, "", "```"])


def _find_component(name: str) -> type | None:
    """Find the class of the component that a factory makes, for which nothing is read from disk."""
    if not Language.has_factory(name):
        return None
    component = type(spacy.blank("en").add_pipe(name))
    return component if component.__module__.startswith("spacy_bertft.") else None


def _format_config(factory: str) -> str:
    nlp = spacy.blank("en")
    name = factory if factory == "bert_encoder" else factory.removeprefix("bert_")
    nlp.add_pipe(factory, name=name)
    config = Config({"components": {name: nlp.config["components"][name]}})
    return config.to_str().removeprefix("[components]\n\n").replace("1e-08", "0.00000001").strip()


def _find_reference(value: object) -> tuple[str, str] | None:
    if not isinstance(value, Mapping):
        return None
    return next(((key[1:], target) for key, target in value.items() if key.startswith("@")), None)


def _format_default(value: Any) -> str:
    if value is REQUIRED:
        return "required"
    if (registered := _find_reference(value)) is not None:
        return f"`{registered[1]}`"
    if isinstance(value, float) and 0 < value < 1e-4:
        return f"`{value:.8f}`"
    return f"`{json.dumps(value, default=str)}`"


def _escape(text: str) -> str:
    return text.replace("|", "\\|")


def _first_sentence(text: str) -> str:
    first = text.partition("\n")[0]
    return _escape(re.split(r"(?<=\.)\s", first)[0].replace("\\[", "["))


def _write(path: Path, text: str) -> None:
    """Write a page only if it changed, so that Sphinx reads no page again without need."""
    path.parent.mkdir(exist_ok=True)
    if not path.is_file() or path.read_text(encoding="utf-8") != text:
        path.write_text(text, encoding="utf-8")
