"""Files ↔ Docs: rows, column files and labelled texts in; `.spacy` files, examples for training and statistics out.

`files` opens what is read, `rows` reads every text file line by line or row by row, and `records` names the values of
a row, which `arrow` reads from Parquet, Arrow and data sets of Hugging Face. `columns` reads BIO and CoNLL files,
`texts` labelled texts, and `questions` SQuAD's JSON; none knows another. `formats` finds out which of these a file is.
`conversion` is what all conversions have in common, and splits what was read, `packed` writes it, and `reports` says
what was done. `unlabelled` reads texts without labels. `stats` measures a corpus, and `histogram` draws it. Nothing
here knows models or components.
"""

from spacy_bertft.data.columns.convert import convert_columns
from spacy_bertft.data.columns.reader import configure_column_corpus
from spacy_bertft.data.formats import convert
from spacy_bertft.data.histogram import draw_lengths
from spacy_bertft.data.questions import convert_questions
from spacy_bertft.data.reports import ConversionReport, PartReport
from spacy_bertft.data.stats import CorpusStats, measure_corpus
from spacy_bertft.data.texts.convert import convert_spans, convert_texts

__all__ = [
    "ConversionReport",
    "CorpusStats",
    "PartReport",
    "configure_column_corpus",
    "convert",
    "convert_columns",
    "convert_questions",
    "convert_spans",
    "convert_texts",
    "draw_lengths",
    "measure_corpus",
]
