"""The declaration of a Python function, read from its source: parameters, defaults, and the help of its docstring.

The parameters of a function that is made of a dataclass are the fields of that, and of the classes it inherits from. So
names, defaults and help are written once, and `--help` does not wait for torch, which importing the function would.
"""

from __future__ import annotations

import ast
import inspect
import re
from dataclasses import dataclass, replace
from functools import cache
from importlib import import_module
from itertools import zip_longest
from pathlib import Path
from typing import Any

REQUIRED = inspect.Parameter.empty
_PACKAGE = Path(__file__).parents[1]
_SECTIONS = r"\n+(?=(?:Args|Attributes|Yields|Returns|Raises|Example|Source):)"


@dataclass(frozen=True)
class Parameter:
    """A parameter of a function.

    Attributes:
        name: Its name.
        annotation: Its type, as it is written.
        default: Its default; `REQUIRED` if there is none.
        is_keyword: Whether it can be passed by name only.
        help: What its docstring says about it.
        choices: The strings that its type allows, if it allows nothing else but None.
        owner: Of a field, the class that declares it; empty where several do.
    """

    name: str
    annotation: str
    default: Any
    is_keyword: bool
    help: str
    choices: tuple[str, ...] = ()
    owner: str = ""


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
    body = _read_module(module)
    if isinstance(made := _find_assigned(body, ast.Name(name)), ast.Call):
        text, fields = _read_class(module, ast.unparse(made.args[0]))
        return Declaration(target, text, dict(sorted(fields.items(), key=lambda each: each[1].is_keyword)))
    node = next(each for each in body if isinstance(each, ast.FunctionDef) and each.name == name)
    text, help_by_name = _read_help(node)
    positional = node.args.posonlyargs + node.args.args
    # Python lists the defaults of the last positional parameters.
    pairs = [*reversed(list(zip_longest(reversed(positional), reversed(node.args.defaults))))]
    keywords = zip(node.args.kwonlyargs, node.args.kw_defaults, strict=True)
    parameters = [
        Parameter(
            name=each.arg,
            annotation=ast.unparse(each.annotation) if each.annotation else "",
            default=REQUIRED if default is None else ast.literal_eval(_find_assigned(body, default) or default),
            is_keyword=each not in positional,
            help=help_by_name.get(each.arg, ""),
            choices=_find_choices(each.annotation, module),
        )
        for each, default in [*pairs, *keywords]
    ]
    return Declaration(target, text, {each.name: each for each in parameters})


def _read_class(module: str, name: str) -> tuple[str, dict[str, Parameter]]:
    """Read what a dataclass is, and its fields as parameters, those of the classes it inherits from first."""
    module = _find_import(module, name) or module
    node = next(each for each in _read_module(module) if isinstance(each, ast.ClassDef) and each.name == name)
    parameters: dict[str, Parameter] = {}
    for base in reversed(node.bases):
        for each in _read_class(module, ast.unparse(base))[1].values():
            is_shared = parameters.get(each.name, each) != each
            parameters[each.name] = replace(each, owner="") if is_shared else each
    text, help_by_name = _read_help(node)
    for item in node.body:
        if isinstance(item, ast.AnnAssign) and "init=False" not in ast.unparse(item):
            field, is_required = ast.unparse(item.target), isinstance(item.value, ast.Call)
            parameters[field] = Parameter(
                name=field,
                annotation=ast.unparse(item.annotation),
                default=REQUIRED if is_required or item.value is None else ast.literal_eval(item.value),
                is_keyword=not is_required,
                help="",
                choices=_find_choices(item.annotation, module),
                owner=name,
            )
    return text, {key: replace(each, help=help_by_name.get(key, each.help)) for key, each in parameters.items()}


def _read_help(node: ast.FunctionDef | ast.ClassDef) -> tuple[str, dict[str, str]]:
    """Read a docstring without its sections, and what it says about each parameter."""
    text, *sections = re.split(_SECTIONS, ast.get_docstring(node) or "")
    return text, _parse_arguments("".join(each for each in sections if each.startswith("Args:")))


@cache
def _read_module(module: str) -> list[ast.stmt]:
    """Read the statements of a module, and those under `if TYPE_CHECKING`."""
    body = ast.parse((_PACKAGE / f"{module.replace('.', '/')}.py").read_text(encoding="utf-8")).body
    return [*body, *(each for item in body if isinstance(item, ast.If) for each in item.body)]


def _find_assigned(body: list[ast.stmt], name: ast.expr) -> ast.expr | None:
    """Find what a module assigns to a name."""
    assigned = (item for item in body if isinstance(item, ast.Assign))
    return next((item.value for item in assigned if ast.unparse(item.targets[0]) == ast.unparse(name)), None)


def _find_choices(annotation: ast.expr | None, module: str) -> tuple[str, ...]:
    members = [] if annotation is None else _list_members(annotation, module)
    choices = tuple(each for each in members if isinstance(each, str))
    return choices if all(each is None or isinstance(each, str) for each in members) else ()


def _list_members(node: ast.expr, module: str) -> list[object]:
    """List what a type allows: strings, None, and anything else as it is in the tree."""
    match node:
        case ast.Constant(value=None):
            return [None]
        case ast.BinOp(left=left, right=right):
            return [*_list_members(left, module), *_list_members(right, module)]
        case ast.Subscript(value=ast.Name(id="Union"), slice=ast.Tuple(elts=types)):
            return [member for each in types for member in _list_members(each, module)]
        case ast.Subscript(value=ast.Name(id="Literal"), slice=ast.Tuple(elts=values)):
            return [ast.literal_eval(each) for each in values]
        case ast.Subscript(value=ast.Name(id="Literal"), slice=ast.Constant(value=value)):
            return [value]
        case ast.Name(id=name):
            body = _read_module(module)
            if alias := _find_assigned(body, node):
                return _list_members(alias, module)
            if source := _find_import(module, name):
                return _list_members(node, source)
    return [node]


def _find_import(module: str, name: str) -> str | None:
    """Find the module of this package that a name is imported from."""
    for item in _read_module(module):
        if isinstance(item, ast.ImportFrom) and name in [each.name for each in item.names]:
            package, _, source = (item.module or "").partition(".")
            return source if package == "spacy_bertft" else None
    return None


def _parse_arguments(section: str) -> dict[str, str]:
    found = re.findall(r"^    (\w+): (.*(?:\n {8,}.*)*)", section, flags=re.MULTILINE)
    return {name: " ".join(text.split()) for name, text in found}
