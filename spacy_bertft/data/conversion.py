"""What all conversions share: items are split into parts, packed as Docs, written, and reported.

Items may be read several times: they are a list, or a `Stream` of what is too large to be kept in memory.
"""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Callable, Collection, Hashable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import compress, count, islice
from pathlib import Path
from typing import Any, Generic, TypeVar

from spacy.language import Language
from spacy.tokens import Doc
from tqdm import tqdm

from spacy_bertft.data.hygiene import Hygiene
from spacy_bertft.data.packed import DocWriter, PackedDoc
from spacy_bertft.data.reports import PartReport
from spacy_bertft.data.rows import Tally
from spacy_bertft.data.settings import Conversion
from spacy_bertft.data.split import split_at_random, stratify
from spacy_bertft.errors import DataError, shorten
from spacy_bertft.output import name_path, replace_all_when_done

Item = TypeVar("Item")
AnyTally = TypeVar("AnyTally", bound=Tally)
_ZONE = 1_000  # documents


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
