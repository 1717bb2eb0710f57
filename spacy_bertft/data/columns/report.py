"""What a conversion of column files adds to the report."""

from __future__ import annotations

from dataclasses import dataclass

from spacy_bertft.data.report import ConversionReport
from spacy_bertft.tags import Scheme


@dataclass(frozen=True, kw_only=True)
class ColumnReport(ConversionReport):
    """What a conversion of column files has done.

    Every sentence that was read stands in one of the outputs: a sentence is never dropped. Blank lines are not
    counted among what was left out.

    Attributes:
        scheme: The scheme the files were read in; None for plain tags.
        n_tags_repaired: Tags changed to make their sequences legal.
        columns: In which columns words and tags are.
        n_tags_missing: Tokens without a tag.
    """

    scheme: Scheme | None
    n_tags_repaired: int = 0
    columns: str = ""
    n_tags_missing: int = 0

    @property
    def _counted(self) -> str:
        return "entities" if self.scheme else "tags"

    def _list_notes(self) -> list[str]:
        scheme = f"scheme {self.scheme}" if self.scheme else "plain tags"
        missing = [f"tokens without a tag: {self.n_tags_missing:,}"] if self.n_tags_missing else []
        return [self.columns, scheme, f"tags repaired: {self.n_tags_repaired:,}", *missing]
