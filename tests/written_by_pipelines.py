"""What the components of any pipeline write to a document."""

from __future__ import annotations

from typing import Any

import numpy as np
from spacy.tokens import Doc, Span


def read_all(doc: Doc) -> dict[str, Any]:
    """Read all that is found in a document, and the scores of all that, as JSON keeps them."""
    groups = {name: [_read_span(span) for span in group] for name, group in sorted(doc.spans.items())}
    span_scores = [group.attrs.get("scores", []) for _, group in sorted(doc.spans.items())]
    return {
        "entities": [_read_span(ent) for ent in doc.ents],
        "tags": [token.tag_ for token in doc],
        "labels": sorted(doc.cats),
        "groups": groups,
        "scores": np.concatenate([*map(np.asarray, span_scores), list(doc.cats.values()), [0.0]]).tolist(),
    }


def _read_span(span: Span) -> list[Any]:
    return [span.start, span.end, span.label_]


def check_equal(predicted: list[dict[str, Any]], expected: list[dict[str, Any]], tolerance: float) -> None:
    """Check that all that was found is the same, and the scores are nearly.

    Raises:
        AssertionError: Something differs.
    """
    for found, each in zip(predicted, expected, strict=True):
        np.testing.assert_allclose(found["scores"], each["scores"], rtol=tolerance, atol=tolerance)
        assert {**found, "scores": None} == {**each, "scores": None}
