"""Column files and labelled texts ↔ Docs: `.spacy` files, examples for training, lengths and labels.

`columns` reads BIO and CoNLL files, `texts` reads labelled texts; neither knows the other. Both start from `lines`,
write the `parts` of a corpus through `outputs` and tell in a `report` what was done. `stats` measures either, and
`histogram` draws it.
"""

from spacy_bertft.data.columns.convert import ColumnReport, convert
from spacy_bertft.data.columns.reader import configure_column_corpus
from spacy_bertft.data.conversion import ConversionReport, PartReport
from spacy_bertft.data.histogram import draw_lengths
from spacy_bertft.data.stats import CorpusStats, measure_corpus
from spacy_bertft.data.texts.convert import TextReport, convert_texts

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
