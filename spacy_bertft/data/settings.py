"""Settings of conversions: fields of dataclasses, the arguments of functions and the options of a command in one.

`Options` are those of all files, and each package of formats adds its own. `Conversion` has where the parts of a corpus
go.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, ParamSpec

import spacy
from spacy.language import Language

from spacy_bertft.errors import SettingError, shorten

if TYPE_CHECKING:
    from spacy_bertft.data.reports import ConversionReport

Kind = Literal["ents", "tags", "spans", "cats", "numbers", "choices", "qa"]
P = ParamSpec("P")


@dataclass(kw_only=True)
class Options:
    """How files of any format are read.

    Args:
        file_format: The format of the files; by default found in the content of the first one.
        encoding: How the files are encoded, such as cp1252; by default UTF-8, or UTF-16 with its mark.
    """

    file_format: str | None = None
    encoding: str | None = None

    def __post_init__(self) -> None:
        """Check the settings, after those of the other classes that a conversion is made of."""


@dataclass(kw_only=True)
class Conversion(Options):
    """What is converted, and where the parts of the corpus go.

    Either everything is written or nothing: an error leaves existing outputs as they are.

    Args:
        input_paths: Files to read as one corpus.
        output_path: The .spacy file to write.
        lang: Language code, such as en or de, for the tokenizer; xx for any language.
        dev: Share to split off for development, such as 0.1. Copies of a text or a sentence stay together, and so do
            all questions about an article; every category keeps its share. With n_sents, sentences are split before
            they are joined to documents.
        dev_path: Where to write it; by default a-dev.spacy next to a.spacy.
        test: Share to split off for testing, such as 0.2.
        test_path: Where to write it; by default a-test.spacy next to a.spacy.
        seed: Seed of the split; the same one gives the same parts.
        dry_run: Write nothing; show what the input is read as, and its first document.
        problems_path: Where to list, as JSONL, what may be wrong: texts that are there twice or with other labels,
            entities that begin or end with punctuation, labels that may be misspelled.

    Attributes:
        sources: The files that are read.
        paths: The files that are written, by part: `output`, then what is split off.
        shares: The shares of the whole that are split off, by part and in that order.
        given: Those of the settings that were passed to a function.

    Raises:
        SettingError: A path without a share was given, or a file is not to be written there.
    """

    input_paths: Path | str | Iterable[Path | str] = field(kw_only=False)
    output_path: Path | str = field(kw_only=False)
    lang: str = "en"
    dev: float = 0.0
    dev_path: Path | str | None = None
    test: float = 0.0
    test_path: Path | str | None = None
    seed: int = 0
    dry_run: bool = False
    problems_path: Path | str | None = None

    given: Mapping[str, Any] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        """Plan where the parts go."""
        super().__post_init__()
        output_path = Path(self.output_path)
        self.sources = list_paths(self.input_paths)
        self.paths = {"output": output_path}
        self.shares: dict[str, float] = {}
        for part, share, path in (("test", self.test, self.test_path), ("dev", self.dev, self.dev_path)):
            if share:
                self.paths[part] = Path(path or output_path.with_name(f"{output_path.stem}-{part}.spacy"))
                self.shares[part] = share
            elif path:
                raise SettingError(f"{part}_path", str(path), f"a share of the corpus for it, such as {part} = 0.1")
        _check_paths(self.paths, self.sources)

    def run(self) -> ConversionReport:
        """Convert the files."""
        raise NotImplementedError


def make_function(settings: Callable[P, Conversion]) -> Callable[P, ConversionReport]:
    """Make the function that converts, whose arguments are some settings."""
    signature = inspect.signature(settings)

    @wraps(settings, updated=())
    def convert(*arguments: P.args, **options: P.kwargs) -> ConversionReport:
        conversion = settings(*arguments, **options)
        passed = signature.bind(*arguments, **options).arguments
        conversion.given = {name: value for name, value in passed.items() if value is not None}
        return conversion.run()

    convert.__signature__ = signature.replace(return_annotation="ConversionReport")  # type: ignore[attr-defined]
    return convert


def list_paths(paths: Path | str | Iterable[Path | str]) -> list[Path]:
    """List one path or several."""
    return [Path(paths)] if isinstance(paths, (str, Path)) else [Path(path) for path in paths]


def choose_spans_key(kind: str, spans_key: str | None) -> str | None:
    """Return the group in `doc.spans` that spans go to; None for what is no span.

    Raises:
        SettingError: There is a key and no spans.
    """
    if kind != "spans" and spans_key is not None:
        raise SettingError("spans_key", spans_key, f"none with --as {kind}: it is for --as spans")
    return (spans_key or "sc") if kind == "spans" else None


def make_blank(lang: str) -> Language:
    """Make the tokenizer and the vocabulary of a language.

    Raises:
        SettingError: spaCy does not know the language, or lacks a package for it.
    """
    try:
        return spacy.blank(lang)
    except (ImportError, AttributeError) as error:
        # spaCy imports whatever module of its own has the name; and some languages need packages of their own.
        reason = shorten(" ".join(str(error).split()))
        raise SettingError("lang", lang, f"a language code that spaCy can use, such as en or xx ({reason})") from error


def _check_paths(paths: Mapping[str, Path], sources: Sequence[Path]) -> None:
    parts: dict[Path, str] = {}
    for part, path in paths.items():
        setting = "output" if part == "output" else f"{part}_path"
        if path.suffix != ".spacy":
            # spaCy's own corpus reader passes over files of any other name.
            raise SettingError(setting, str(path), "a name that ends in .spacy")
        if path.is_dir():
            raise SettingError(setting, str(path), "the path of a file; it is a directory")
        if path.resolve() in {source.resolve() for source in sources}:
            raise SettingError(setting, str(path), "a file that is not among the inputs")
        if parts.setdefault(path.resolve(), part) != part:
            raise SettingError(setting, str(path), "a file of its own")
