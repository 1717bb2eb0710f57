"""`spacy-bertft.gradual_unfreezing.v1`: one layer of the encoder after the other begins to learn."""

# No `from __future__ import annotations`: confection reads signatures at run time.

from collections.abc import Callable
from functools import partial
from typing import Any, Literal

from spacy.language import Language

from spacy_bertft.components.pipe import BertPipe
from spacy_bertft.errors import SettingError
from spacy_bertft.models.encoder.module import BertModule

Unit = Literal["epochs", "steps"]


def configure_gradual_unfreezing(
    component: str, every: int = 1, unit: Unit = "epochs"
) -> Callable[[Language, dict[str, Any]], None]:
    """Configure a callback for `training.before_update`.

    At first only the head learns; then the top layer joins, then the one below it, at last the embeddings.
    What `frozen_layers` names never joins.

    Args:
        component: Name of the component in the pipeline.
        every: How long to wait for the next layer.
        unit: In epochs or in steps.

    Raises:
        SettingError: A setting is outside what is allowed.

    Source: Howard & Ruder (2018), section 3.3.
    """
    if every < 1:
        raise SettingError("every", every, "a positive number")
    if unit not in ("epochs", "steps"):
        raise SettingError("unit", unit, "epochs or steps")
    key = {"epochs": "epoch", "steps": "step"}[unit]
    return partial(_unfreeze, component, every, key)


def _unfreeze(component: str, every: int, key: str, nlp: Language, progress: dict[str, Any]) -> None:
    bert = _find_encoder(nlp, component)
    bert.thaw(progress[key] // every)


def _find_encoder(nlp: Language, component: str) -> BertModule:
    ours = {name: pipe.model for name, pipe in nlp.pipeline if isinstance(pipe, BertPipe)}
    source = ours[component].find_source() if component in ours else None
    if source is None:
        expected = f"a component with an encoder of its own: {', '.join(ours) or 'this pipeline has none'}"
        raise SettingError("component", component, expected)
    bert: BertModule = source.module
    return bert
