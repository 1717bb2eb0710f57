"""Extension attributes of `Doc`: shortcuts to what components write to `doc.cats`."""

from __future__ import annotations

import warnings
from functools import partial
from typing import Any

from spacy.tokens import Doc


def register_shortcut(name: str, getter: partial[Any], source: str) -> None:
    """Register `doc._.<name>`.

    An attribute of that name which another package or the user's code has registered is left alone, and a warning says
    so.

    Args:
        name: Its name.
        getter: Returns its value for a document.
        source: Where else the value is.
    """
    if not Doc.has_extension(name):
        Doc.set_extension(name, getter=getter)
    elif getattr(Doc.get_extension(name)[2], "func", None) is not getter.func:
        warnings.warn(
            f"doc._.{name} is already registered by another package or your own code, and is left as it is. Read the "
            f"value from {source}.",
            stacklevel=2,
        )
