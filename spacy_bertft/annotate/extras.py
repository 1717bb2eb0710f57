"""Packages that only some users need."""

from __future__ import annotations

from typing import Any

from spacy_bertft.errors import MissingExtraError


def import_pyarrow(purpose: str) -> Any:
    """Import pyarrow.

    Args:
        purpose: What needs it.

    Raises:
        MissingExtraError: It is not installed.
    """
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise MissingExtraError(purpose, "arrow") from error
    return pyarrow


def import_ray() -> Any:
    """Import Ray with its part for data.

    Raises:
        MissingExtraError: It is not installed.
    """
    try:
        import ray
        import ray.data
    except ImportError as error:
        raise MissingExtraError("The engine ray", "ray") from error
    return ray
