"""Column files and labelled texts ↔ Docs: `.spacy` files, examples for training, lengths and labels.

`columns` reads BIO and CoNLL files, `texts` reads labelled texts; neither knows the other. Both start from `lines`,
write the `parts` of a corpus through `outputs` and tell in a `report` what was done. `stats` measures either, and
`histogram` draws it.
"""

from spacy_bertft.data.columns.convert import convert
from spacy_bertft.data.columns.reader import configure_column_corpus
from spacy_bertft.data.columns.report import ColumnReport
from spacy_bertft.data.histogram import draw_lengths
from spacy_bertft.data.report import ConversionReport, PartReport
from spacy_bertft.data.stats import CorpusStats, measure_corpus
from spacy_bertft.data.texts.convert import convert_texts
from spacy_bertft.data.texts.report import TextReport

__all__ = [
    "ColumnReport",
    "ConversionReport",
    "CorpusStats",
    "PartReport",
    "TextReport",
    "configure_column_corpus",
    "convert",
    "convert_texts",
    "draw_lengths",
    "measure_corpus",
]
