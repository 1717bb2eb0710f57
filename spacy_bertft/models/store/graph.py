"""What takes the place of a torch module in a pipeline that only predicts, and needs no torch."""

from __future__ import annotations

from typing import Any, NoReturn

from spacy_bertft.errors import UnsupportedError
from spacy_bertft.models.runtime.openvino import Graph

Spec = dict[str, Any]  # the description of a module, from which it is built


class GraphModule:
    """A graph in place of a torch module.

    Args:
        graph: What computes.
        **facts: What is known of the module without it; these become attributes.
    """

    def __init__(self, graph: Graph, **facts: Any) -> None:
        self.graph, self.facts = graph, facts
        vars(self).update(facts)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):  # Python's own protocols, which ask whether there is one
            raise AttributeError(name)
        self.refuse(name)

    def refuse(self, what: str) -> NoReturn:
        """Raise: there are no weights to do anything else with than to predict.

        Raises:
            UnsupportedError: Always.
        """
        raise UnsupportedError(
            f"This pipeline only predicts: it has a graph of OpenVINO, and no weights for '{what}'. Expected the "
            "pipeline that it was made from, which can be trained, explained and exported."
        )

    def named_parameters(self) -> list[tuple[str, Any]]:
        """Name no parameters: there are none to learn."""
        return []

    def to_message(self) -> dict[str, Any]:
        """Give what is stored of it; `from_message` is the reverse."""
        return {"layout": self.graph.layout, "weights": self.graph.weights, "facts": self.facts}
