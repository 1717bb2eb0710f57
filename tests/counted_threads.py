"""How many threads the children of `nlp.pipe` take."""

from __future__ import annotations

import spacy
import torch
from small_checkpoints import TEXTS
from spacy.language import Language
from spacy.tokens import Doc

from spacy_bertft.models.runtime.processes import count_threads, count_workers


@Language.component("thread_counter")
def note_threads(doc: Doc) -> Doc:
    """Note how many threads a pass takes here, and how many passes run side by side."""
    doc.user_data["threads"] = count_threads(), count_workers()
    return doc


def count_in_children(checkpoint: str, n_threads: int, n_process: int) -> list[tuple[int, int]]:
    """Let children predict; return what each of them noted, where this process has a number of threads."""
    nlp = spacy.blank("en")
    nlp.add_pipe("bert_textcat_multilabel", config={"model": {"encoder": {"name": checkpoint}}}).add_label("A")
    nlp.add_pipe("thread_counter")
    nlp.initialize()
    before = torch.get_num_threads()
    torch.set_num_threads(n_threads)
    try:
        docs = nlp.pipe(TEXTS[:1] * n_process, n_process=n_process, batch_size=1)
        return [tuple(doc.user_data["threads"]) for doc in docs]
    finally:
        torch.set_num_threads(before)
