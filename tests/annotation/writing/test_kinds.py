from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spacy_bertft.annotation.values import EXTRA, find_kinds, fits

values = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text(max_size=3)
    | st.just([])
    | st.just({})
)
rows = st.lists(st.dictionaries(st.sampled_from(["a", "b", "c", EXTRA]), values), max_size=6)


@given(rows)
def test_a_column_has_a_kind_if_all_its_values_are_of_one(written):
    kinds = find_kinds(written, "text")
    assert kinds.pop("text") == "string"
    for name in ("a", "b", "c"):
        found = [row[name] for row in written if row.get(name) is not None]
        types = {type(value) for value in found}
        too_large = any(type(value) is int and not -(1 << 63) <= value < 1 << 63 for value in found)
        has_kind = types in ({str}, {int}, {float}, {bool}, {int, float}) and not too_large
        assert (name in kinds) == has_kind
    assert EXTRA not in kinds


@given(values, st.sampled_from(["string", "int64", "double", "bool"]))
def test_what_fits_is_given_back(value, kind):
    pyarrow = pytest.importorskip("pyarrow")
    if not fits(value, kind):
        assert value is not None
        return
    types = {"string": pyarrow.string(), "int64": pyarrow.int64(), "double": pyarrow.float64(), "bool": pyarrow.bool_()}
    [found] = pyarrow.array([value], types[kind]).to_pylist()
    assert found == value
    assert isinstance(found, bool) == isinstance(value, bool)


def test_by_hand():
    written = [
        {"id": 1, "text": "a", "p": 1, "ok": True, "mixed": "x", "list": [1], "null": None, "large": 1 << 63},
        {"id": -(1 << 63), "text": "b", "p": 0.5, "ok": None, "mixed": 1, "late": "y"},
    ]
    kinds = find_kinds(written, "body")
    assert list(kinds.items()) == [
        *[("body", "string"), ("id", "int64"), ("text", "string"), ("p", "double"), ("ok", "bool"), ("late", "string")]
    ]
    assert fits(1 << 53, "double")
    assert not fits((1 << 53) + 1, "double")
    assert not fits(True, "double")
    assert not fits(True, "int64")
    assert not fits(1 << 63, "int64")
