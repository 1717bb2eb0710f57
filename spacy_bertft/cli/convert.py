"""`spacy-bertft convert`."""

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from spacy_bertft.cli.tables import print_notes, print_table

if TYPE_CHECKING:
    from spacy_bertft.data.conversion import ConversionReport

# An option that is not given is None, so that one which does not belong to the kind of the files can be refused.
_for_columns = partial(typer.Option, rich_help_panel="Column files (--as ents or tags)")
_for_texts = partial(typer.Option, rich_help_panel="Labelled texts (--as cats)")


def convert_command(
    input_paths: Annotated[list[Path], typer.Argument(metavar="IN...", help="Files to read as one corpus.")],
    output_path: Annotated[Path, typer.Argument(metavar="OUT", help="The .spacy file to write.")],
    kind: Annotated[
        str,
        typer.Option(
            "--as",
            help="What to read: ents (entities) or tags (such as parts of speech) from column files, "
            "or cats (categories) from labelled texts.",
        ),
    ] = "ents",
    lang: Annotated[str, typer.Option(help="Language code, such as en or de; xx for any language.")] = "en",
    dev: Annotated[float, typer.Option(help="Share to split off for development, such as 0.1.")] = 0.0,
    dev_path: Annotated[
        Path | None, typer.Option(help="Where to write it.", show_default="a-dev.spacy beside a.spacy")
    ] = None,
    test: Annotated[float, typer.Option(help="Share to split off for testing, such as 0.2.")] = 0.0,
    test_path: Annotated[
        Path | None, typer.Option(help="Where to write it.", show_default="a-test.spacy beside a.spacy")
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of the split; the same one gives the same parts.")] = 0,
    scheme: Annotated[
        str | None,
        _for_columns(help="How tags spell entities: bio, iob1, biluo or bioes.", show_default="guessed from the files"),
    ] = None,
    word_column: Annotated[
        str | None,
        _for_columns(
            help="The column of the words: its number, from 1, or its name in a header line, in # global.columns or in "
            "CoNLL-U (such as FORM).",
            show_default="found in each file",
        ),
    ] = None,
    tag_column: Annotated[
        str | None,
        _for_columns(
            help="The column of the tags: the same, or first or last. In CoNLL-U, --as tags reads UPOS; "
            "--tag-column XPOS reads the other tags.",
            show_default="found in each file",
        ),
    ] = None,
    n_sents: Annotated[int | None, _for_columns(help="Sentences in a document, at most.", show_default="1")] = None,
    orphans: Annotated[
        str | None,
        _for_columns(
            help="What to do with tags in illegal places, such as I-PER after O: error or repair.",
            show_default="error",
        ),
    ] = None,
    file_format: Annotated[
        str | None, _for_texts("--format", help="csv, tsv or jsonl.", show_default="by the name of each file")
    ] = None,
    text_column: Annotated[
        str | None,
        _for_texts(
            help="Where the texts stand: the name of a field (JSONL) or column (CSV, TSV), or its number, from 1.",
            show_default="text",
        ),
    ] = None,
    label_column: Annotated[
        str | None, _for_texts(help="Where the labels stand.", show_default="label; in JSONL also cats or labels")
    ] = None,
    second_text_column: Annotated[
        str | None, _for_texts(help="Where the second texts stand, if there are pairs of texts.")
    ] = None,
    header: Annotated[
        bool | None,
        _for_texts(
            "--header/--no-header",
            help="Whether the first row of CSV and TSV names the columns.",
            show_default="header",
        ),
    ] = None,
    quoting: Annotated[
        bool | None,
        _for_texts(
            "--quoting/--no-quoting",
            help="Whether double quotes in CSV and TSV may enclose a cell; otherwise they are text.",
            show_default="quoting",
        ),
    ] = None,
    label_separator: Annotated[
        str | None,
        _for_texts(help="What stands between labels, such as a comma, if texts may have several or none."),
    ] = None,
    label_names: Annotated[
        Path | None,
        _for_texts(help="File of label names, one a line, if the labels are numbers: the first line names 0."),
    ] = None,
    first_label: Annotated[
        int | None,
        _for_texts(
            help="The number of the first name in --label-names, 0 or 1.", show_default="0, which then has to occur"
        ),
    ] = None,
) -> None:
    """Convert files with labels to spaCy's binary format.

    Column files (BIO, CoNLL, CoNLL-U) have a word and its tag on each line.
    Labelled texts are rows of CSV or TSV files, or lines of JSONL files.
    """
    from spacy_bertft.data.columns.convert import convert
    from spacy_bertft.data.texts.convert import convert_texts

    shared = {"lang": lang, "dev": dev, "dev_path": dev_path, "test": test, "test_path": test_path, "seed": seed}
    columns = {
        "scheme": scheme,
        "word_column": word_column,
        "tag_column": tag_column,
        "n_sents": n_sents,
        "orphans": orphans,
    }
    texts = {
        "file_format": file_format,
        "text_column": text_column,
        "label_column": label_column,
        "second_text_column": second_text_column,
        "header": header,
        "quoting": quoting,
        "label_separator": label_separator,
        "label_names": label_names,
        "first_label": first_label,
    }
    choices = _choose_settings(kind, columns, texts) | shared
    report: ConversionReport
    if kind == "cats":
        report = convert_texts(input_paths, output_path, **choices)
    else:
        report = convert(input_paths, output_path, kind=kind, **choices)
    print_table(report.format_rows())
    print_notes(report.format_notes())


def _choose_settings(kind: str, columns: Mapping[str, Any], texts: Mapping[str, Any]) -> dict[str, Any]:
    """Choose the settings that belong to a kind, as far as they were given."""
    from spacy_bertft.errors import SettingError

    if kind not in ("ents", "tags", "cats"):
        raise SettingError("kind", kind, "--as ents, tags or cats")
    used, unused = (texts, columns) if kind == "cats" else (columns, texts)
    for name, value in unused.items():
        if value is not None:
            raise SettingError(name, str(value), f"no such option with --as {kind}")
    return {name: value for name, value in used.items() if value is not None}
