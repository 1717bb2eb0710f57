"""Column files ↔ Docs: BIO and CoNLL-style columns → `.spacy` files, examples for training, lengths and labels.

A file is read in steps, each in a module of its own: `lines` → `columns` (in the `layout` of the file) → `gold`
(tags read as spans) → `docs`. `convert` writes the Docs, `reader` trains from them, `stats` measures them.
"""

from .convert import convert
from .histogram import draw_lengths
from .reader import configure_column_corpus
from .report import ConversionReport, PartReport
from .stats import CorpusStats, measure_corpus

__all__ = [
    "ConversionReport",
    "CorpusStats",
    "PartReport",
    "configure_column_corpus",
    "convert",
    "draw_lengths",
    "measure_corpus",
]
