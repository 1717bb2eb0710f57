"""The command line: `spacy-bertft …`, `python -m spacy_bertft …` and `python -m spacy bertft …`.

One file per command, each a thin layer over the function of the same name. What a command needs is imported when it
runs: `spacy-bertft --help` should not wait for spaCy. All three ways lead here through `entry_points`.
"""

from typing import Any

import typer
from typer.core import TyperGroup

from spacy_bertft.cli.accelerate import accelerate_command
from spacy_bertft.cli.adapt import adapt_command
from spacy_bertft.cli.annotate import annotate_command
from spacy_bertft.cli.calibrate import calibrate_command
from spacy_bertft.cli.convert import convert_command
from spacy_bertft.cli.demo import demo_command
from spacy_bertft.cli.encoder import encoder_command
from spacy_bertft.cli.ending import clean_up_when_terminated
from spacy_bertft.cli.evaluate import evaluate_command
from spacy_bertft.cli.explain import explain_command
from spacy_bertft.cli.export_hf import export_hf_command
from spacy_bertft.cli.import_hf import import_hf_command
from spacy_bertft.cli.package import package_command
from spacy_bertft.cli.report import report_command
from spacy_bertft.cli.stats import stats_command
from spacy_bertft.cli.suggest import suggest_command
from spacy_bertft.cli.train import resume_command, train_command
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
            # A disk that is full, a folder that may not be written. An error may quote another one, of many lines.
            typer.echo(f"Error: {' '.join(str(error).splitlines())}", err=True)
            raise typer.Exit(1) from error


app = typer.Typer(
    name="spacy-bertft",
    help="Fine-tuned BERT in a spaCy pipeline.",
    cls=OneLineErrors,
    no_args_is_help=True,
    add_completion=False,
)
app.command("convert")(convert_command)
app.command("stats")(stats_command)
app.command("encoder")(encoder_command)
app.command("adapt")(adapt_command)
app.command("train", context_settings={"allow_extra_args": True, "ignore_unknown_options": True})(train_command)
app.command("resume")(resume_command)
app.command("evaluate")(evaluate_command)
app.command("report")(report_command)
app.command("import-hf")(import_hf_command)
app.command("export-hf")(export_hf_command)
app.command("calibrate")(calibrate_command)
app.command("accelerate")(accelerate_command)
app.command("package")(package_command)
app.command("suggest")(suggest_command)
app.command("annotate")(annotate_command)
app.command("explain")(explain_command)
app.command("demo")(demo_command)
