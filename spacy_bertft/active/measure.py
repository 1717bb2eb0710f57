"""Texts → candidates: one pass through the components that are to be unsure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from spacy.language import Language

from spacy_bertft.active.candidates import Candidate
from spacy_bertft.active.text_vectors import watch_encoder
from spacy_bertft.active.uncertainty import Floats, measure_uncertainty
from spacy_bertft.components.component import BertComponent
from spacy_bertft.components.pipelines import run_component
from spacy_bertft.data.texts.unlabelled import UnlabelledText
from spacy_bertft.errors import SettingError


def find_measured(nlp: Language, component: str | None = None) -> dict[str, BertComponent]:
    """Find the components whose uncertainty counts, by name, in the order of the pipeline.

    Args:
        nlp: The pipeline.
        component: The only one that counts; None for all of ours that have labels.

    Raises:
        SettingError: There is no such component.
    """
    ours = {name: pipe for name, pipe in nlp.pipeline if isinstance(pipe, BertComponent)}
    measured = ours if component is None else {name: pipe for name, pipe in ours.items() if name == component}
    if not measured:
        expected = f"one of {', '.join(ours)}" if ours else "a pipeline that has one, such as bert_ner; this has none"
        raise SettingError("component", component, expected)
    return measured


def measure_texts(
    nlp: Language, measured: Mapping[str, BertComponent], texts: Sequence[UnlabelledText], *, has_vectors: bool
) -> list[Candidate]:
    """Measure how unsure a pipeline is of a batch of texts, and where they stand among others.

    Components before the last one that counts are run as in the pipeline, for a head may listen to one of them; but no
    other head of ours, since what it writes changes no scores.

    Args:
        nlp: The pipeline.
        measured: Its components that count, at least one. The uncertainty of a text is the mean over them; its vector
            comes from the encoder of the first.
        texts: `B` texts.
        has_vectors: Whether vectors are wanted.

    Raises:
        UnsupportedError: Vectors are wanted, and the encoder gives none.
    """
    docs = [nlp.make_doc(text.text) for text in texts]
    found: list[Floats] = []
    vectors: NDArray[np.float32] | None = None
    for name, component in nlp.pipeline:
        pipe = measured.get(name)
        if pipe is None:
            docs = docs if isinstance(component, BertComponent) else run_component(component, docs)
            continue
        if has_vectors and vectors is None:
            with watch_encoder(pipe.model) as read_vectors:
                found.append(measure_uncertainty(pipe, docs))
                vectors = read_vectors()
        else:
            found.append(measure_uncertainty(pipe, docs))
        if len(found) == len(measured):
            break
    means = np.mean(found, axis=0).tolist()
    rows = [None] * len(docs) if vectors is None else [row.copy() for row in vectors]
    return [Candidate(*each) for each in zip(texts, means, rows, strict=True)]
