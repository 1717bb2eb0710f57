"""What all conversions share: items are split into parts, packed as Docs, written, and reported.

The settings of a conversion are the fields of a dataclass, the arguments of a function and the options of a command in
one. Items may be read several times: they are a list, or a `Stream` of what is too large to be kept in memory.
"""

from __future__ import annotations

import inspect
from array import array
from collections import Counter
from collections.abc import Callable, Collection, Hashable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import wraps
from itertools import compress, count, islice
from pathlib import Path
from typing import Any, Generic, Literal, ParamSpec, TypeVar

from spacy.language import Language
from spacy.tokens import Doc
from tqdm import tqdm

from spacy_bertft.data.files import Options, list_paths
from spacy_bertft.data.hygiene import Hygiene
from spacy_bertft.data.packed import DocWriter, PackedDoc
from spacy_bertft.data.reports import ConversionReport, PartReport
from spacy_bertft.data.rows import Tally
from spacy_bertft.data.split import split_at_random, stratify
from spacy_bertft.errors import DataError, SettingError, shorten
from spacy_bertft.output import name_path, replace_all_when_done

Item = TypeVar("Item")
P = ParamSpec("P")
Kind = Literal["ents", "tags", "spans", "cats", "numbers", "choices", "qa"]
_ZONE = 1_000  # documents


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


@dataclass
class Stream(Generic[Item]):
    """Items that are read again each time they are iterated over; only the first time they are counted.

    Attributes:
        read: Reads them, and counts lines and what is left out in a tally.
        tally: The tally of the first time.
        make_tally: Makes one for the other times.
    """

    read: Callable[[Tally], Iterator[Item]]
    tally: Tally
    make_tally: Callable[[], Tally] = Tally
    _is_counted: bool = False

    def __iter__(self) -> Iterator[Item]:
        tally, self._is_counted = (self.make_tally() if self._is_counted else self.tally), True
        return iter(tqdm(self.read(tally), desc="Reading", disable=None))


def write_corpus(
    plan: Conversion,
    items: Iterable[Item],
    pack: Callable[[Iterable[Item], Sequence[int]], Iterable[PackedDoc]],
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
        pack: Packs the Docs of items, given what is kept of a token: `pack_docs` does, of what makes a `Doc`.
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
        example = next(map(format_example, pack(islice(items, 1), DocWriter(attrs).attrs)), "")
        output = PartReport(plan.paths["output"], 0, 0, 0, {})
        return {"paths": tuple(plan.sources), "is_dry_run": True, "example": example, "output": output}
    part_by_item: list[int] = []
    if plan.shares:
        # 16 bytes of each item: few combinations of labels differ.
        keys, combinations = array("q"), dict[tuple[str, ...], tuple[str, ...]]()
        labels_by_item: list[Collection[str]] = []
        for item in items:
            keys.append(hash(get_key(item)))
            combination = tuple(get_labels(item)) if get_labels else ()
            labels_by_item.append(combinations.setdefault(combination, combination))
        part_by_item = (
            stratify(keys, labels_by_item, plan.shares, plan.seed)
            if get_labels
            else split_at_random(keys, plan.shares, plan.seed)
        )
    reports: dict[str, Any] = {"paths": tuple(plan.sources)}
    targets = [*plan.paths.values(), *([Path(plan.problems_path)] if plan.problems_path else [])]
    with replace_all_when_done(targets) as temporary_paths, ExitStack() as stack:
        listed = stack.enter_context(temporary_paths[-1].open("w", encoding="utf-8")) if plan.problems_path else None
        hygiene, all_counts = Hygiene(len(plan.paths), listed), Counter[str]()
        for part, ((name, path), temporary_path) in enumerate(zip(plan.paths.items(), temporary_paths, strict=False)):
            own = compress(items, (each == part for each in part_by_item)) if plan.shares else items
            n_items = count()
            writer, counts, n_tokens = DocWriter(attrs), Counter(dict.fromkeys(labels, 0)), 0
            docs = pack((item for item, _ in zip(own, n_items, strict=False)), writer.attrs)
            for doc in tqdm(docs, desc=f"Converting to {path.name}", unit=" docs", disable=None):
                writer.add(doc)
                counts.update(doc.labels)
                hygiene.add(doc, part, doc.where or (f"{path}, document {writer.n_docs}", 0))
                n_tokens += len(doc.words)
            if not writer.n_docs:
                raise DataError(f"{', '.join(map(str, plan.sources))}: {nothing}.")
            with name_path(path):
                writer.write(temporary_path)
            n_sentences = next(n_items) if has_sentences else 0
            reports[name] = PartReport(path, n_sentences, writer.n_docs, n_tokens, dict(sorted(counts.items())))
            all_counts += counts
        reports["problems"] = hygiene.finish(all_counts)
    return reports


def make_docs_in_zones(nlp: Language, make: Callable[[Item], Doc], items: Iterable[Item]) -> Iterator[Doc]:
    """Make Docs one by one; after some of them, the vocabulary forgets their words."""
    iterator = iter(items)
    while batch := list(islice(iterator, _ZONE)):
        with nlp.memory_zone():
            yield from map(make, batch)


def format_example(doc: PackedDoc) -> str:
    """Format a Doc for a report: its text with entities, spans or tags in it, and its categories.

    Example:
        >>> format_example(PackedDoc(["in", "New", "York"], spans=[(1, 3, "LOC")]))
        'in [New York](LOC)'
    """
    opening = Counter(start for start, _, _ in doc.spans)
    closing: dict[int, str] = {}
    for _, end, label in sorted(doc.spans, key=lambda span: -span[0]):
        closing[end - 1] = f"{closing.get(end - 1, '')}]({label})"
    tags = [f"/{tag}" * bool(tag) for tag in doc.tags] or [""] * len(doc.words)
    pieces = [
        f"{'[' * opening[index]}{word}{tag}{closing.get(index, '')}{piece.removeprefix(word)}"
        for index, (word, tag, piece) in enumerate(zip(doc.words, tags, doc.list_pieces(), strict=True))
    ]
    cats = [f"{label}={value:g}" for label, value in doc.cats.items()]
    return shorten(" ".join(["".join(pieces).strip(), *cats]))
