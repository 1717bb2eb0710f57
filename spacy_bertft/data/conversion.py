"""What all conversions share: items are split into parts, made into Docs, written, and reported.

`plan_outputs` says where the parts go. `write_corpus` does the rest, for items that may be read several times: a list,
or a `Stream` for what is too large to be kept in memory.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Hashable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import compress, count, islice
from pathlib import Path
from typing import Any, ClassVar, Generic, TypeVar

import spacy
from spacy.attrs import SPACY
from spacy.language import Language
from spacy.tokens import Doc, DocBin
from tqdm import tqdm

from spacy_bertft.data.hygiene import Hygiene
from spacy_bertft.data.rows import Tally, format_left_out
from spacy_bertft.data.split import split_at_random, stratify
from spacy_bertft.errors import DataError, SettingError, format_count, shorten
from spacy_bertft.output import name_path, replace_all_when_done

Item = TypeVar("Item")
AnyTally = TypeVar("AnyTally", bound=Tally)
_ZONE = 1_000  # documents


@dataclass(frozen=True)
class PartReport:
    """What one output file holds.

    Attributes:
        path: The file.
        n_sentences: Sentences of column files; 0 where labelled texts were converted.
        n_docs: Docs.
        n_tokens: Tokens.
        label_counts: Entities by label; tokens by tag; Docs by label of the text. By name.
    """

    path: Path
    n_sentences: int
    n_docs: int
    n_tokens: int
    label_counts: Mapping[str, int]


@dataclass(frozen=True, kw_only=True)
class ConversionReport:
    """What a conversion has read, kept, changed and left out.

    Attributes:
        paths: The files that were read.
        n_lines: Their lines.
        output: What went into the output file.
        dev: What was split off for development; None if nothing was asked for.
        test: What was split off for testing; None if nothing was asked for.
        n_lines_left_out: Lines and rows that were left out, by reason.
        n_byte_order_marks: Byte order marks that were removed inside files.
        counts: What else was seen or changed, with how often.
        first: Where each of these, and of what was left out, was first.
        problems: What may be wrong with the corpus.
        is_dry_run: Whether nothing was to be written.
        example: Then, the first Doc as it was read.
    """

    paths: tuple[Path, ...]
    n_lines: int
    output: PartReport
    dev: PartReport | None = None
    test: PartReport | None = None
    n_lines_left_out: Mapping[str, int] = field(default_factory=dict)
    n_byte_order_marks: int = 0
    counts: Mapping[str, int] = field(default_factory=dict)
    first: Mapping[str, str] = field(default_factory=dict)
    problems: str = ""
    is_dry_run: bool = False
    example: str = ""

    _unit: ClassVar[str] = "line"  # what was read

    @property
    def parts(self) -> tuple[PartReport, ...]:
        """The outputs, one to three."""
        return tuple(part for part in (self.output, self.dev, self.test) if part is not None)

    @property
    def n_sentences(self) -> int:
        """Sentences of all outputs; 0 where labelled texts were converted."""
        return sum(part.n_sentences for part in self.parts)

    @property
    def n_docs(self) -> int:
        """Docs of all outputs."""
        return sum(part.n_docs for part in self.parts)

    @property
    def n_tokens(self) -> int:
        """Tokens of all outputs."""
        return sum(part.n_tokens for part in self.parts)

    @property
    def label_counts(self) -> dict[str, int]:
        """The labels of all outputs, by name."""
        labels = sorted({label for part in self.parts for label in part.label_counts})
        return {label: sum(part.label_counts.get(label, 0) for part in self.parts) for label in labels}

    def format_rows(self) -> list[tuple[str, ...]]:
        """Format the counts as rows of equal length, the first one naming the columns; none of a dry run."""
        if self.is_dry_run:
            return []
        counts: dict[str, list[int]] = {
            "sentences": [part.n_sentences for part in self.parts],
            "docs": [part.n_docs for part in self.parts],
            "tokens": [part.n_tokens for part in self.parts],
            self._counted: [sum(part.label_counts.values()) for part in self.parts],
        }
        for label in self.label_counts:
            counts[f"  {label}"] = [part.label_counts.get(label, 0) for part in self.parts]
        if not self.n_sentences:
            del counts["sentences"]
        names = ("", *(part.path.name for part in self.parts))
        return [names, *((name, *(f"{count:,}" for count in row)) for name, row in counts.items())]

    def format_notes(self) -> str:
        """Format the rest in one line: what was read, changed and left out; after a dry run, the first Doc."""
        if self.is_dry_run:
            return "; ".join([*self._list_columns(), f"the first document:\n{self.example}"])
        notes = [
            f"{format_count(self.n_lines, self._unit)} of {format_count(len(self.paths), 'file')} read",
            *self._list_columns(),
            *self._list_notes(),
            *(f"{what}: {count:,} (the first: {self.first[what]})" for what, count in self.counts.items()),
            *([f"byte order marks removed: {self.n_byte_order_marks:,}"] if self.n_byte_order_marks else []),
            f"left out: {format_left_out(self.n_lines_left_out, self.first)}",
            *([self.problems] if self.problems else []),
        ]
        return "; ".join(notes) + "."

    @property
    def _counted(self) -> str:
        return "labels"

    def _list_columns(self) -> list[str]:
        return []

    def _list_notes(self) -> list[str]:
        return []

    def __str__(self) -> str:
        rows = self.format_rows() or [("",)]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = ["  ".join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])]).rstrip() for row in rows]
        return "\n".join([*lines, self.format_notes()]).lstrip("\n")


@dataclass(frozen=True)
class OutputPlan:
    """Where the parts of a corpus go.

    Attributes:
        sources: The files that are read.
        paths: The files by part: `output`, then what is split off.
        shares: The shares of the whole that are split off, by part and in that order.
        seed: Seed of the split.
        dry_run: Whether to stop after the first Doc, and write nothing.
        problems_path: Where to list what is odd; None for nowhere.
    """

    sources: tuple[Path, ...]
    paths: Mapping[str, Path]
    shares: Mapping[str, float]
    seed: int = 0
    dry_run: bool = False
    problems_path: Path | None = None


def list_paths(paths: Path | str | Iterable[Path | str]) -> list[Path]:
    """List one path or several."""
    return [Path(paths)] if isinstance(paths, (str, Path)) else [Path(path) for path in paths]


def plan_outputs(
    input_paths: Path | str | Iterable[Path | str],
    output_path: Path | str,
    splits: Mapping[str, tuple[float, Path | str | None]],
    seed: int = 0,
    dry_run: bool = False,
    problems_path: Path | str | None = None,
) -> OutputPlan:
    """Plan where the parts of a corpus go.

    Args:
        input_paths: The files that are read.
        output_path: Where the main part goes.
        splits: Share and path by part. Without a share there is no such part; without a path the part `dev` of
            `NAME.spacy` goes to `NAME-dev.spacy`.
        seed: Seed of the split.
        dry_run: Whether to stop after the first Doc, and write nothing.
        problems_path: Where to list what is odd; None for nowhere.

    Raises:
        SettingError: A path without a share was given, or a file is not to be written there.
    """
    sources, output_path = list_paths(input_paths), Path(output_path)
    paths = {"output": output_path}
    for part, (share, path) in splits.items():
        if share:
            paths[part] = Path(path or output_path.with_name(f"{output_path.stem}-{part}.spacy"))
        elif path:
            raise SettingError(f"{part}_path", str(path), f"a share of the corpus for it, such as {part} = 0.1")
    _check_paths(paths, sources)
    shares = {part: splits[part][0] for part in paths if part in splits}
    return OutputPlan(tuple(sources), paths, shares, seed, dry_run, Path(problems_path) if problems_path else None)


@dataclass
class Stream(Generic[Item, AnyTally]):
    """Items that are read again each time they are iterated over; only the first time they are counted.

    Attributes:
        read: Reads them, and counts lines and what is left out in a tally.
        tally: The tally of the first time.
        make_tally: Makes one for the other times.
    """

    read: Callable[[AnyTally], Iterator[Item]]
    tally: AnyTally
    make_tally: Callable[[], AnyTally]
    _is_counted: bool = False

    def __iter__(self) -> Iterator[Item]:
        tally, self._is_counted = (self.make_tally() if self._is_counted else self.tally), True
        return iter(tqdm(self.read(tally), desc="Reading", disable=None))


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


def write_corpus(
    plan: OutputPlan,
    items: Iterable[Item],
    make_docs: Callable[[Iterable[Item]], Iterable[Doc]],
    list_labels: Callable[[Doc], Iterable[str]],
    *,
    get_key: Callable[[Item], Hashable],
    get_labels: Callable[[Item], Collection[str]] | None = None,
    attrs: Sequence[str] = (),
    labels: Iterable[str] = (),
    has_sentences: bool = False,
    nothing: str = "no text. Expected at least one",
) -> dict[str, Any]:
    """Split items into parts, and write the Docs of all parts, or no file if there is an error.

    Args:
        plan: Where the parts go.
        items: What was read: a list, or a `Stream`.
        make_docs: Makes the Docs of items.
        list_labels: Lists the labels of a Doc, which are counted.
        get_key: What copies of an item have in common, which stay together.
        get_labels: The labels by which the parts are stratified; by default they are split at random.
        attrs: What is kept of a token in addition to its text: only what was annotated.
        labels: Labels to report even where no Doc has them.
        has_sentences: Whether items are sentences, which are counted.
        nothing: What is wrong where there is no item.

    Returns:
        Values for the report by their name: `paths`, and what was written, by part; of a dry run, the `example`.

    Raises:
        DataError: There are no items, or too few to be split.
    """
    if plan.dry_run:
        example = next(map(format_example, make_docs(islice(items, 1))), "")
        output = PartReport(plan.paths["output"], 0, 0, 0, {})
        return {"paths": plan.sources, "is_dry_run": True, "example": example, "output": output}
    part_by_item: list[int] = []
    if plan.shares:
        keys: list[Hashable] = []
        labels_by_item: list[Collection[str]] = []
        for item in items:
            keys.append(get_key(item))
            labels_by_item.append(get_labels(item) if get_labels else ())
        part_by_item = (
            stratify(keys, labels_by_item, plan.shares, plan.seed)
            if get_labels
            else split_at_random(keys, plan.shares, plan.seed)
        )
    reports: dict[str, Any] = {"paths": plan.sources}
    targets = [*plan.paths.values(), *([plan.problems_path] if plan.problems_path else [])]
    with replace_all_when_done(targets) as temporary_paths, ExitStack() as stack:
        listed = stack.enter_context(temporary_paths[-1].open("w", encoding="utf-8")) if plan.problems_path else None
        hygiene, all_counts = Hygiene(len(plan.paths), listed), Counter[str]()
        for part, ((name, path), temporary_path) in enumerate(zip(plan.paths.items(), temporary_paths, strict=False)):
            own = compress(items, (each == part for each in part_by_item)) if plan.shares else items
            n_items = count()
            docs = make_docs(item for item, _ in zip(own, n_items, strict=False))
            doc_bin, counts, n_tokens = _DocBin(attrs), Counter(dict.fromkeys(labels, 0)), 0
            for doc in tqdm(docs, desc=f"Converting to {path.name}", unit=" docs", disable=None):
                doc_bin.add(doc)
                found = list(list_labels(doc))
                counts.update(found)
                hygiene.add(doc, doc_bin.tokens[-1], part, found, (f"{path}, document {len(doc_bin)}", 0))
                n_tokens += len(doc)
            if not doc_bin:
                raise DataError(f"{', '.join(map(str, plan.sources))}: {nothing}.")
            with name_path(path):
                doc_bin.to_disk(temporary_path)
            n_sentences = next(n_items) if has_sentences else 0
            reports[name] = PartReport(path, n_sentences, len(doc_bin), n_tokens, dict(sorted(counts.items())))
            all_counts += counts
        reports["problems"] = hygiene.finish(all_counts)
    return reports


class _DocBin(DocBin):
    """Adds a Doc in a third of the time: spaCy's own adds nine strings of every token to a set."""

    def __init__(self, attrs: Sequence[str]) -> None:
        super().__init__(attrs=list(attrs))
        # Hashes of strings. What tells where entities and sentences start is none, and spaCy knows the first three.
        self._known = {1, 2, 3, 2**64 - 1}

    def add(self, doc: Doc) -> None:
        """Add a Doc, and those of its strings that its attributes and spans have."""
        array = doc.to_array([*self.attrs]).reshape(len(doc), len(self.attrs))
        self.tokens.append(array)
        self.spaces.append(doc.to_array(SPACY).astype(bool).reshape(-1, 1))
        self.flags.append({"has_unknown_spaces": doc.has_unknown_spaces})
        self.cats.append(doc.cats)
        self.span_groups.append(doc.spans.to_bytes())
        new = set(array.ravel().tolist())
        new.update(span.label for group in doc.spans.values() for span in group)
        new -= self._known
        self._known |= new
        self.strings.update(map(doc.vocab.strings.__getitem__, new))


def make_docs_in_zones(nlp: Language, make: Callable[[Item], Doc], items: Iterable[Item]) -> Iterator[Doc]:
    """Make Docs one by one; after some of them, the vocabulary forgets their words."""
    iterator = iter(items)
    while batch := list(islice(iterator, _ZONE)):
        with nlp.memory_zone():
            yield from map(make, batch)


def format_example(doc: Doc) -> str:
    """Format a Doc for a report: its text with entities, spans or tags in it, and its categories.

    Example:
        >>> nlp = spacy.blank("en")
        >>> format_example(Doc(nlp.vocab, ["in", "New", "York"], ents=["O", "B-LOC", "I-LOC"]))
        'in [New York](LOC)'
    """
    spans = [*doc.ents, *(span for group in doc.spans.values() for span in group)]
    opening = Counter(span.start for span in spans)
    closing: dict[int, str] = {}
    for span in sorted(spans, key=lambda span: -span.start):
        closing[span.end - 1] = f"{closing.get(span.end - 1, '')}]({span.label_})"
    words = [
        f"{'[' * opening[token.i]}{token.text}{f'/{token.tag_}' * bool(token.tag_)}{closing.get(token.i, '')}"
        + token.whitespace_
        for token in doc
    ]
    cats = [f"{label}={value:g}" for label, value in doc.cats.items()]
    return shorten(" ".join(["".join(words).strip(), *cats]))


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
