"""Commands made of Python functions: one table, and the options that follow from each function's declaration."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape

from spacy_bertft.cli import terminal
from spacy_bertft.cli.declarations import REQUIRED, Declaration, Parameter, read_declaration
from spacy_bertft.cli.shutdown import end_at_once_when_terminated
from spacy_bertft.errors import SettingError

_GPU = Parameter("gpu_id", "int", -1, is_keyword=True, help="Number of the GPU, -1 for the CPU.")
_OVERRIDES = "overrides"  # a parameter that takes what is left on the command line
# How options are spelled that do not have the name of their parameter, or that have a letter: one that spaCy's own
# commands have, with the same meaning in every command.
_FLAGS: Mapping[str, Sequence[str]] = {
    "build": ("--build", "-b"),
    "code": ("--code", "-c"),
    "file_format": ("--format",),
    "force": ("--force", "-f"),
    "gpu_id": ("--gpu-id", "-g"),
    "kind": ("--as",),
    "n_resamples": ("--resamples",),
    "n_steps": ("--steps",),
    "name": ("--name", "-n"),
    "open_browser": ("--browser/--no-browser",),
    "output": ("--output", "-o"),
    "output_format": ("--format",),
    "version": ("--version", "-v"),
}
# The panels of options that some files alone have, by the class that declares them.
_PANELS = {
    "ColumnOptions": "Column files (--as ents, tags or spans)",
    "ColumnConversion": "Column files (--as ents, tags or spans)",
    "TextOptions": "Labelled texts (--as cats, numbers or choices)",
    "Layout": "Labelled texts (--as cats, numbers or choices)",
    "SpanConversion": "Texts with spans (--as ents or spans)",
}


def _choose_device(given: dict[str, Any]) -> None:
    gpu_id, device = given.pop("gpu_id", -1), given.get("device", "cpu")
    if gpu_id >= 0:
        if device != "cpu":
            raise SettingError("gpu_id", gpu_id, f"none next to --device {device}, which says the same")
        given["device"] = f"cuda:{gpu_id}"
    end_at_once_when_terminated()  # such a run can be killed at any moment and be resumed


@dataclass(frozen=True)
class Command:
    """A command.

    Attributes:
        name: Its name.
        panel: The panel of `--help` that it is in.
        function: The function that it runs, such as `evaluation.evaluate:evaluate`.
        uses_gpu: Whether it has the option `--gpu-id`.
        show: Prints what the function returned, which may depend on the arguments.
        prepare: Changes the arguments that were given where needed.
        is_instant: Whether nothing large is imported or loaded.
    """

    name: str
    panel: str
    function: str
    uses_gpu: bool = True
    show: Callable[[Any, terminal.Given], None] = terminal.show_report
    prepare: Callable[[dict[str, Any]], None] = lambda _: None
    is_instant: bool = False


COMMANDS = (
    Command("init-config", "Start", "recipes:init_config", False, terminal.show_config, is_instant=True),
    Command("init-project", "Start", "recipes:init_project", False, terminal.show_project, is_instant=True),
    Command("convert", "Data", "data.formats:convert", uses_gpu=False, show=terminal.show_conversion),
    Command("stats", "Data", "cli.functions:stats", uses_gpu=False),
    Command("debug-data", "Data", "cli.functions:debug_data", uses_gpu=False, show=lambda *_: None),
    Command("suggest", "Data", "active.suggest:suggest", show=terminal.show_suggestions),
    Command("audit", "Data", "cross_validation.audit:audit", uses_gpu=False),
    Command("fetch", "Train", "checkpoints.source:copy_checkpoint", uses_gpu=False, show=terminal.show_files),
    Command("pretrain", "Train", "exchange.pretrain:pretrain"),
    Command("train", "Train", "cli.functions:train", show=lambda *_: None),
    Command("resume", "Train", "cli.functions:resume", show=lambda *_: None),
    Command("crossval", "Train", "cli.functions:crossval"),
    Command("tune", "Train", "cli.functions:tune"),
    Command("distill", "Train", "cli.functions:distill", show=lambda *_: None),
    Command("extend", "Train", "exchange.extend:extend"),
    Command("evaluate", "Evaluate", "evaluation.evaluate:evaluate", show=terminal.show_evaluation),
    Command("report", "Evaluate", "evaluation.report:report"),
    Command("calibrate", "Evaluate", "evaluation.calibrate:calibrate"),
    Command("guarantee", "Evaluate", "evaluation.guarantee:guarantee"),
    Command("explain", "Evaluate", "explanation.pipeline:explain", show=terminal.show_explanations),
    Command("demo", "Evaluate", "demo.server:open_demo", show=terminal.wait_for_demo),
    Command("annotate", "Deploy", "annotation.annotate:annotate", prepare=_choose_device),
    Command("serve", "Deploy", "serving.serve:serve", show=lambda *_: None),
    Command("migrate", "Deploy", "exchange.migrate:migrate", uses_gpu=False),
    Command("quantize", "Deploy", "exchange.graphs:quantize", uses_gpu=False),
    Command("package", "Deploy", "exchange.package:package", uses_gpu=False),
    Command("import-hf", "Hugging Face", "exchange.import_hf:import_hf", uses_gpu=False),
    Command("export-hf", "Hugging Face", "exchange.export_hf:export_hf", uses_gpu=False),
)


def add_command(app: typer.Typer, command: Command) -> None:
    """Add a command whose arguments and options are the parameters of its function."""
    declaration = read_declaration(command.function)
    parameters = dict(declaration.parameters)
    if command.uses_gpu:
        parameters["gpu_id"] = _GPU
    has_overrides = parameters.pop(_OVERRIDES, None) is not None

    def run(ctx: typer.Context, **values: Any) -> None:
        # What was not given is left to the function.
        given = {
            name: value.value if isinstance(value, Enum) else value
            for name, value in values.items()
            if _is_given(ctx, name)
        }
        if has_overrides:
            given[_OVERRIDES] = _split_overrides(given) + ctx.args
        command.show(_call(command, declaration, given), given)

    options = [_make_option(each, declaration) for each in parameters.values()]
    context = inspect.Parameter("ctx", inspect.Parameter.KEYWORD_ONLY, annotation=typer.Context)
    run.__signature__ = inspect.Signature([context, *options])  # type: ignore[attr-defined]
    run.__annotations__ = {each.name: each.annotation for each in (context, *options)}
    app.command(
        command.name,
        help=_format_help(declaration.help),
        rich_help_panel=command.panel,
        context_settings={"allow_extra_args": has_overrides, "ignore_unknown_options": has_overrides},
    )(run)


def _split_overrides(given: dict[str, Any]) -> list[str]:
    """Take overrides off an argument of many values, which click gives all that is left on the command line."""
    overrides: list[str] = []
    for name, values in given.items():
        if isinstance(values, list):
            first = next((i for i, value in enumerate(values) if str(value).startswith("--")), len(values))
            given[name], overrides = values[:first], values[first:]
    return overrides


def _call(command: Command, declaration: Declaration, given: dict[str, Any]) -> Any:
    command.prepare(given)
    if not command.is_instant:
        terminal.show_start(given[next(iter(declaration.parameters))])
    if command.uses_gpu and "gpu_id" not in declaration.parameters:
        from spacy_bertft.models.runtime.devices import use_gpu

        use_gpu(given.pop("gpu_id", -1))
    return declaration.call(given)


def _is_given(ctx: typer.Context, name: str) -> bool:
    source = ctx.get_parameter_source(name)
    return source is not None and source.name == "COMMANDLINE"


def _make_option(parameter: Parameter, declaration: Declaration) -> inspect.Parameter:
    """Make an argument of a required positional parameter, and an option of any other."""
    name, help_text, default = parameter.name, _format_help(parameter.help), parameter.default
    annotation: Any = _find_type(parameter)
    if default is REQUIRED and not parameter.is_keyword:
        is_many = re.search(r"Iterable|Sequence", parameter.annotation) is not None
        metavar = re.sub(r"(_path)?s?$", "", name).upper() + "..." * is_many
        annotation = list[annotation] if is_many else annotation
        info = typer.Argument(metavar=metavar, help=help_text, case_sensitive=False)
    else:
        short = re.sub("_(path|dir)$", "", name)  # `--output` for `output_path`; `--dev-path` next to `--dev`
        name_on_line = name if short in declaration.parameters else short
        # Without a spelling, typer would give a switch that is off its opposite too.
        spelled = [f"--{name_on_line.replace('_', '-')}"] if default is False or name_on_line != name else []
        flags = _FLAGS.get(name_on_line, spelled)
        annotation = annotation | None if default is None else annotation
        info = typer.Option(*flags, help=help_text, rich_help_panel=_PANELS.get(parameter.owner), case_sensitive=False)
    kind = inspect.Parameter.KEYWORD_ONLY
    return inspect.Parameter(name, kind, annotation=Annotated[annotation, info], default=default)


def _find_type(parameter: Parameter) -> type:
    """Find the type of an option: its choices, or text wherever text may be passed."""
    if parameter.choices:  # as an enum, which typer knows since long before literals
        return Enum(parameter.name, {each: each for each in parameter.choices})  # type: ignore[return-value]
    names = set(re.findall(r"\w+", parameter.annotation))
    return next((kind for kind in (str, Path, float, int, bool) if kind.__name__ in names), str)


def _format_help(text: str) -> str:
    """Write a docstring as typer wants it: a line for each paragraph, without the marks of code."""
    return escape("\n\n".join(" ".join(each.split()) for each in text.replace("`", "").split("\n\n")))
