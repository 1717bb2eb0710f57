from __future__ import annotations

from pathlib import Path

import spacy
from hypothesis import given
from hypothesis import strategies as st

from spacy_bertft.active.survey import Candidate, Survey
from spacy_bertft.data.unlabelled import UnlabelledText


@given(st.lists(st.sampled_from([0.0, 0.25, 0.5, 1.0]), min_size=1), st.integers(1, 6))
def test_a_survey_keeps_what_sorting_everything_would(uncertainties, n_kept):
    everything = [Candidate(UnlabelledText(line, "", {}), value) for line, value in enumerate(uncertainties)]
    survey = Survey(spacy.blank("en"), {}, has_vectors=False)
    survey._measure = lambda texts: iter(everything)
    kept = survey.read(Path("texts.txt"), "text", n_kept)
    assert kept == sorted(everything, key=lambda candidate: (-candidate.uncertainty, candidate.text.line))[:n_kept]
