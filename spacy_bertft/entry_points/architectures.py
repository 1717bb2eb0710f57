"""The architectures; the module of each is imported when a config names it."""

from importlib import import_module
from typing import Any

from spacy_bertft.entry_points.requirements import find_unmet
from spacy_bertft.errors import RequirementError

_MODULES = {
    "build_bert_encoder": "models.encoder.build",
    "build_shared_encoder": "models.encoder.listener",
    "build_text_classifier": "models.heads.text",
    "build_token_classifier": "models.heads.token",
    "build_transformer_model": "models.stock.model",
}


def __getattr__(attribute: str) -> Any:
    """Return what builds an architecture.

    Raises:
        AttributeError: There is no such name.
        RequirementError: A package that it needs is missing, too old or broken.
    """
    if attribute not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {attribute!r}")
    try:
        return getattr(import_module(f"spacy_bertft.{_MODULES[attribute]}"), attribute)
    except Exception as error:
        raise RequirementError(f"The architecture {attribute}", find_unmet(), error) from error
