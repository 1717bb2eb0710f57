from __future__ import annotations

import spacy

from spacy_bertft.evaluation.categories import override_threshold


def test_the_threshold_of_our_components_and_those_of_spacy_under_any_name() -> None:
    nlp = spacy.blank("en")
    for factory in ("textcat", "textcat_multilabel", "bert_textcat", "bert_textcat_multilabel", "sentencizer"):
        nlp.add_pipe(factory, name=f"my {factory}")
    override_threshold(nlp, 0.3)
    for factory in ("textcat_multilabel", "bert_textcat_multilabel"):
        assert nlp.get_pipe(f"my {factory}").cfg["threshold"] == 0.3
    for factory in ("textcat", "bert_textcat"):
        assert nlp.get_pipe(f"my {factory}").cfg.get("threshold") != 0.3
