"""The declaration of a Python function, read from its source: parameters, defaults, and the help of its docstring.

So names, defaults and help are written once, and `--help` does not wait for torch, which importing the function would.
"""

from __future__ import annotations

import ast
import inspect
import re
from dataclasses import dataclass
from importlib import import_module
from itertools import zip_longest
from pathlib import Path
from typing import Any

REQUIRED = inspect.Parameter.empty
_PACKAGE = Path(__file__).parents[1]
_SECTIONS = r"\n+(?=(?:Args|Yields|Returns|Raises|Example|Source):)"


@dataclass(frozen=True)
class Parameter:
    """A parameter of a function.

    Attributes:
        name: Its name.
        annotation: Its type, as it is written.
        default: Its default; `REQUIRED` if there is none.
        is_keyword: Whether it can be passed by name only.
        help: What its docstring says about it.
    """

    name: str
    annotation: str
    default: Any
    is_keyword: bool
    help: str


@dataclass(frozen=True)
class Declaration:
    """A function whose docstring has Google's sections.

    Attributes:
        target: Module and name, such as `evaluation.evaluate:evaluate`.
        help: The docstring without its sections.
        parameters: By name, in order.
    """

    target: str
    help: str
    parameters: dict[str, Parameter]

    def call(self, arguments: dict[str, Any]) -> Any:
        """Import the function and call it."""
        module, _, name = self.target.partition(":")
        return getattr(import_module(f"spacy_bertft.{module}"), name)(**arguments)


def read_declaration(target: str) -> Declaration:
    """Read the declaration of a function without importing it.

    Args:
        target: Its module within this package and its name, such as `evaluation.evaluate:evaluate`.
    """
    module, _, name = target.partition(":")
    tree = ast.parse((_PACKAGE / f"{module.replace('.', '/')}.py").read_text(encoding="utf-8"))
    node = next(each for each in tree.body if isinstance(each, ast.FunctionDef) and each.name == name)
    constants = {
        each.id: item.value
        for item in tree.body
        if isinstance(item, ast.Assign)
        for each in item.targets
        if isinstance(each, ast.Name)
    }
    text, *sections = re.split(_SECTIONS, ast.get_docstring(node) or "")
    help_by_name = _parse_arguments("".join(each for each in sections if each.startswith("Args:")))
    positional = node.args.posonlyargs + node.args.args
    # Python lists the defaults of the last positional parameters.
    pairs = [*reversed(list(zip_longest(reversed(positional), reversed(node.args.defaults))))]
    keywords = zip(node.args.kwonlyargs, node.args.kw_defaults, strict=True)
    parameters = [
        Parameter(
            name=each.arg,
            annotation=ast.unparse(each.annotation) if each.annotation else "",
            default=REQUIRED if default is None else ast.literal_eval(constants.get(ast.unparse(default), default)),
            is_keyword=each not in positional,
            help=help_by_name.get(each.arg, ""),
        )
        for each, default in [*pairs, *keywords]
    ]
    return Declaration(target, text, {each.name: each for each in parameters})


def _parse_arguments(section: str) -> dict[str, str]:
    found = re.findall(r"^    (\w+): (.*(?:\n {8,}.*)*)", section, flags=re.MULTILINE)
    return {name: " ".join(text.split()) for name, text in found}
