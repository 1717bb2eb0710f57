"""Tag a sentence with the pipeline of the quickstart, in colour, and say what to do next."""

from __future__ import annotations

import sys

import spacy
from rich.console import Console
from rich.text import Text

SENTENCE = "show me films with drew barrymore from the 1980s"
COLOURS = {"ACTOR": "black on bright_cyan", "YEAR": "black on bright_yellow"}

nlp = spacy.load("en_bert_movie_ner")
doc = nlp(SENTENCE)
text = Text()
for token in doc:
    ent = next((ent for ent in doc.ents if token in ent), None)
    style = COLOURS.get(token.ent_type_, "black on bright_green") if ent else ""
    is_end = ent is not None and token.i == ent.end - 1
    text.append(token.text + (f" {ent.label_} {ent._.bertft_score:.2f}" if ent and is_end else ""), style=style)
    # The blank between two tokens of an entity belongs to it.
    text.append(token.whitespace_, style=style if ent and not is_end else "")
console = Console(highlight=False, markup=False, soft_wrap=True)
console.print()
console.print(text)
console.print(f"""
Use it:       source {sys.argv[1]}/bin/activate, then python: spacy.load("en_bert_movie_ner")
Look at it:   spacy-bertft report training/model-best corpus/test.spacy report.html   (pip install '.[plot]')
Your data:    python -m spacy project run all . --vars.train_bio my/train.bio --vars.test_bio my/test.bio""")
found = {(ent.text, ent.label_) for ent in doc.ents}
if not {("drew barrymore", "ACTOR"), ("1980s", "YEAR")} <= found:
    sys.exit(f"Expected drew barrymore as ACTOR and 1980s as YEAR, found {found}.")
