"""Values of the input as JSON has them."""

from __future__ import annotations

import json
import math
from base64 import b64encode
from collections.abc import Mapping
from typing import Any


def format_json(values: Mapping[str, object]) -> str:
    """Format values as a JSON object that any reader takes: JSON has no word for NaN."""
    try:
        return json.dumps(values, ensure_ascii=False, allow_nan=False, default=simplify)
    except ValueError:
        return json.dumps(simplify(values), ensure_ascii=False)


def simplify(value: Any) -> Any:
    """Return a value of a Parquet column as JSON has it: dates in ISO 8601, bytes in base64, NaN as null."""
    if isinstance(value, Mapping):
        return {str(key): simplify(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [simplify(each) for each in value]
    if isinstance(value, bytes):
        return b64encode(value).decode("ascii")
    if isinstance(value, float) and not math.isfinite(value):
        return None if math.isnan(value) else str(value)
    if value is None or isinstance(value, str | int | float):
        return value
    return value.isoformat() if hasattr(value, "isoformat") else str(value)
