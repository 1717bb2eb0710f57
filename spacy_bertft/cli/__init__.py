"""The command line: `spacy-bertft …`, `python -m spacy_bertft …` and `python -m spacy bertft …`.

`commands` is the table of commands. Each is made of a Python function: its parameters, their defaults and their help
are read from the function's source (`declarations`), so that they are written once and `--help` imports neither spaCy
nor torch; `terminal` prints what the function returns. All three ways lead here through `entry_points`.
"""

from importlib.metadata import version
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from spacy_bertft.cli.commands import COMMANDS, add_command
from spacy_bertft.cli.shutdown import clean_up_when_terminated
from spacy_bertft.errors import BertftError


class OneLineErrors(TyperGroup):
    """Commands whose deliberate errors, and those of files, end in one line and exit code 1, not in a traceback."""

    # Any: newer typers bring their own copy of click, so the class of a context depends on the version.
    def invoke(self, ctx: Any) -> Any:
        """Run a command."""
        try:
            with clean_up_when_terminated():
                return super().invoke(ctx)
        except (BertftError, OSError) as error:
            # OSError: a full disk, a directory that may not be written. An error may quote another one, of many lines.
            typer.echo(f"Error: {' '.join(str(error).splitlines())}", err=True)
            raise typer.Exit(1) from error


app = typer.Typer(
    name="spacy-bertft",
    cls=OneLineErrors,
    no_args_is_help=True,
)
for command in COMMANDS:
    add_command(app, command)


def _show_version(is_wanted: bool) -> None:
    if is_wanted:
        typer.echo(f"spacy-bertft {version('spacy-bertft')}")
        raise typer.Exit


@app.callback()
def main(
    is_wanted: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """Fine-tuned BERT in a spaCy pipeline."""
