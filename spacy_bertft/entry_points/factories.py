"""The factories of the components; the module of each is imported when spaCy asks for it."""

from importlib import import_module
from typing import Any

from spacy_bertft.entry_points.requirements import find_unmet
from spacy_bertft.errors import RequirementError

_PREFIX = "make_bert_"  # `make_bert_ner` is in `components/ner.py`


def __getattr__(attribute: str) -> Any:
    """Return the factory of a component; if its module cannot be imported, one that says why when it is used."""
    component = attribute.removeprefix(_PREFIX)
    if component == attribute:
        raise AttributeError(f"module {__name__!r} has no attribute {attribute!r}")
    try:
        module = component.removesuffix("_multilabel")  # both text classifiers are in `components/textcat.py`
        factory = getattr(import_module(f"spacy_bertft.components.{module}"), attribute)
    except Exception as error:  # noqa: BLE001 (spaCy has to work; it is raised when the component is used)
        factory = _register_refusal(f"bert_{component}", error)
    globals()[attribute] = factory  # spaCy asks again for each pipeline, and a failing import may take seconds
    return factory


def _register_refusal(factory_name: str, cause: Exception) -> Any:
    """Register a factory that raises.

    It has the settings of all components, for spaCy would otherwise complain about settings before it calls it.
    """
    from spacy.language import Language

    def refuse(
        nlp: Language,
        name: str,
        model: Any = None,
        scorer: Any = None,
        overwrite: Any = None,
        min_score: Any = None,
        set_pos: Any = None,
        threshold: Any = None,
        class_weights: Any = None,
        label_smoothing: Any = None,
    ) -> Any:
        raise RequirementError(f"The component {factory_name}", find_unmet(), cause) from cause

    return Language.factory(factory_name, func=refuse)
