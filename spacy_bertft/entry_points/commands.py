"""The command line, imported when it is asked for."""

import sys

from spacy_bertft.entry_points.requirements import find_unmet
from spacy_bertft.errors import RequirementError


def run_commands(arguments: list[str] | None = None, prog_name: str = "spacy-bertft") -> None:
    """Run the command line; if the environment is to blame for a failure, say so in one line.

    Any other failure is a bug of ours and keeps its traceback.

    Args:
        arguments: What follows the name of the program; by default that of this process.
        prog_name: What usage messages call the program.
    """
    try:
        from spacy_bertft.cli import app

        app(arguments, prog_name=prog_name)
    except Exception as error:
        is_foreign = isinstance(error, ImportError) and not (error.name or "").startswith("spacy_bertft")
        unmet = find_unmet()
        if not unmet and not is_foreign:
            raise
        sys.exit(f"Error: {RequirementError('This command', unmet, error)}")


def mount_in_spacy() -> None:
    """Make `python -m spacy bertft …` work, if it is spaCy that is running.

    spaCy loads its `spacy_cli` entry points and leaves the rest to them. The command passes its arguments on, so that
    ours are imported only if they are asked for: spaCy works with older versions of typer, which cannot build them.
    """
    spacy_cli = sys.modules.get("spacy.cli._util")
    if spacy_cli is None:
        return
    import typer

    # From the first argument on, everything is for our own parser, `--` and `--help` included.
    settings = {"allow_extra_args": True, "ignore_unknown_options": True, "allow_interspersed_args": False}

    @spacy_cli.app.command("bertft", context_settings=settings, add_help_option=False)  # type: ignore[untyped-decorator]
    def bertft(context: typer.Context) -> None:
        """Fine-tuned BERT in a spaCy pipeline."""
        run_commands(context.args, "python -m spacy bertft")


mount_in_spacy()
