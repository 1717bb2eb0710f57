from __future__ import annotations

import spacy

from spacy_bertft.evaluate.categories import CategoryPipe, list_category_pipes, override_threshold


def test_our_components_and_those_of_spacy_are_found_under_any_name() -> None:
    nlp = spacy.blank("en")
    for factory in ("textcat", "textcat_multilabel", "bert_textcat", "bert_textcat_multilabel", "sentencizer"):
        nlp.add_pipe(factory, name=f"my {factory}")
    nlp.get_pipe("my textcat").add_label("b")
    nlp.get_pipe("my textcat").add_label("a")
    override_threshold(nlp, 0.3)
    assert list_category_pipes(nlp) == [
        CategoryPipe("my textcat", "textcat", ("a", "b")),
        CategoryPipe("my textcat_multilabel", "textcat_multilabel", (), threshold=0.3),
        CategoryPipe("my bert_textcat", "bert_textcat", ()),
        CategoryPipe("my bert_textcat_multilabel", "bert_textcat_multilabel", (), threshold=0.3),
    ]
