"""Class weights against scikit-learn's, and by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.utils.class_weight import compute_class_weight

from spacy_bertft.components.text_classifier import compute_class_weights
from spacy_bertft.errors import SettingError

LABELS = ["ham", "spam", "eggs"]


@given(st.lists(st.integers(1, 50), min_size=2, max_size=5))
def test_balanced_weights_are_those_of_sklearn(counts: list[int]) -> None:
    classes = np.arange(len(counts))
    gold = np.repeat(classes, counts)
    expected = compute_class_weight("balanced", classes=classes, y=gold)
    labels = [str(label) for label in classes]
    weights = compute_class_weights("balanced", labels, counts, [0] * len(counts), exclusive=True)
    np.testing.assert_allclose(weights, expected)


def test_a_label_that_may_hold_beside_others_weighs_as_much_as_its_absence():
    """As torch's documentation says of `pos_weight`: negative examples divided by positive ones, of those known."""
    weights = compute_class_weights("balanced", LABELS, [25, 50, 10], [100, 100, 40], exclusive=False)
    assert weights == [3.0, 1.0, 3.0]


@pytest.mark.parametrize("exclusive", [True, False])
def test_labels_that_never_or_always_hold_have_finite_weights(exclusive):
    weights = compute_class_weights("balanced", LABELS, [0, 10, 0], [10, 10, 0], exclusive=exclusive)
    assert np.isfinite(weights).all()
    assert min(weights) > 0


@pytest.mark.parametrize("exclusive", [True, False])
def test_none_and_a_weight_for_some(exclusive):
    assert compute_class_weights("none", LABELS, [1, 2, 3], [6] * 3, exclusive=exclusive) == [1.0, 1.0, 1.0]
    some = compute_class_weights({"eggs": 5, "ham": 0}, LABELS, [1, 2, 3], [6] * 3, exclusive=exclusive)
    assert some == [0.0, 1.0, 5.0]


@pytest.mark.parametrize("setting", ["even", {"bacon": 1.0}, {"ham": -1.0}])
def test_other_settings(setting):
    with pytest.raises(SettingError) as caught:
        compute_class_weights(setting, LABELS, [1, 2, 3], [6] * 3, exclusive=True)
    assert caught.value.name == "class_weights"
    assert caught.value.value == setting
