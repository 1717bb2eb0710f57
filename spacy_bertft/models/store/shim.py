"""A torch module inside a thinc model. Its bytes are its description and safetensors; nothing is ever unpickled."""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Callable, Iterator
from importlib.metadata import version
from typing import Any, TypeVar, cast

import srsly
from thinc.api import Model, Optimizer, get_torch_default_device
from thinc.compat import torch
from thinc.shims import Shim
from thinc.util import torch2xp, xp2torch

from spacy_bertft.checkpoints import Weights
from spacy_bertft.checkpoints.weights import load_weights, weights_from_bytes, weights_to_bytes
from spacy_bertft.errors import CheckpointError, NotInitializedError, parse_message, wrap_errors
from spacy_bertft.models.runtime.openvino import Graph
from spacy_bertft.models.runtime.processes import find_share, make_once, take_share
from spacy_bertft.models.store.graph import GraphModule, Spec
from spacy_bertft.training.optimizer import AdamW, ScaledParameter, grow_moments, put_at_start

Export = Callable[[Any, Spec], tuple[Spec, Weights]]
FindLrScale = Callable[["torch.nn.Module", str], float]
BuildGraph = Callable[[Spec, Graph, dict[str, Any]], GraphModule]
# Of what `to_bytes` writes. Raise it where earlier versions could not read that any more, and keep a pipeline of the
# new format in `tests/saved`.
FORMAT = 1

InT = TypeVar("InT")
OutT = TypeVar("OutT")
SelfT = TypeVar("SelfT", bound=Model)  # type: ignore[type-arg]


class TorchShim(Shim):
    """Own a torch module, or the graph in its place: build it from a description, update it, write it and read it.

    Args:
        build: Makes the module from its description, a dictionary that JSON could hold. It reads no files.
        find_lr_scale: Gives the factor on the learning rate of a parameter, by the module and its name.
        export: Makes description and weights to be written of those that there are; by default they are written as
            they are.
        build_graph: Makes what takes the place of the module, by its description, a graph, and what else is known of
            it; by default a `GraphModule`.

    Attributes:
        spec: The description, empty before the module is built.
        version: Another object after each change of the weights.
        derived: What was made from the weights, by name; empty after each change of them.
        is_left_out: Tells by its name whether a weight is left out of the bytes, because it is written elsewhere.
        stored_dtype: The number format of the weights in the bytes, by default that which they have.
    """

    def __init__(
        self,
        build: Callable[[Spec], torch.nn.Module],
        find_lr_scale: FindLrScale,
        export: Export | None = None,
        build_graph: BuildGraph | None = None,
    ) -> None:
        super().__init__(None)
        self._build = build
        self._find_lr_scale = find_lr_scale
        self.export = export
        self._build_graph = build_graph
        self.is_left_out: Callable[[str], bool] | None = None
        self.stored_dtype: torch.dtype | None = None
        self.spec: Spec = {}
        self._lr_scales: dict[str, float] = {}
        self._outgrown: dict[str, torch.Size] = {}  # shapes at the last step of parameters that have grown
        self.mark_changed()

    def __getstate__(self) -> dict[str, Any]:
        """Leave out what was derived from the weights, when a process is given the shim."""
        return {**self.__dict__, "derived": {}, "n_threads": find_share()}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Take it over, in the process to which it was given."""
        take_share(state.pop("n_threads"))
        self.__dict__.update(state)
        self.mark_changed()

    @property
    def module(self) -> Any:
        """The module.

        Raises:
            NotInitializedError: It has not been built yet.
        """
        if self._model is None:
            raise NotInitializedError(
                "The model has no weights yet. Call nlp.initialize(), or load a trained pipeline."
            )
        return self._model

    def mark_changed(self) -> None:
        """Note that the weights have changed, so that nothing that was computed with the old ones is used again."""
        self.version = object()
        # A new dictionary: another thread may still be adding to the old one what it makes from the old weights.
        self.derived: dict[str, Any] = {}

    def derive(self, name: str, make: Callable[[Any], Any]) -> Any:
        """Return what is made from the module; it is made anew only when the weights have changed.

        Args:
            name: Its name.
            make: Makes it from the module.
        """
        return make_once(self.derived, name, lambda: make(self.module))

    def attach_graph(self, spec: Spec, graph: Graph, facts: dict[str, Any]) -> None:
        """Let a graph predict in place of the module.

        Args:
            spec: The description of the module.
            graph: What computes.
            facts: What is known of the module without it.
        """
        build = self._build_graph
        self._model, self.spec = build(spec, graph, facts) if build else GraphModule(graph, **facts), spec
        self.mark_changed()

    def attach(self, spec: Spec) -> Any:
        """Build the module from a description, on the device that thinc works on."""
        return self._take(spec, self._build(spec))

    def _take(self, spec: Spec, module: torch.nn.Module) -> Any:
        # In this order: a description says that there is a module, also to a process that forks in the meantime.
        self._model, self.spec = module.to(get_torch_default_device()), spec
        self._lr_scales = {name: self._find_lr_scale(module, name) for name, _ in module.named_parameters()}
        self._outgrown = {}
        self.mark_changed()
        return self._model

    def grow(self, spec: Spec) -> None:
        """Build a larger module; the weights that there are stay, bit for bit, at the start of each axis, before zeros.

        Args:
            spec: Its description.
        """
        before, outgrown = self.module.state_dict(), self._outgrown
        for name, tensor in self.attach(spec).state_dict().items():
            tensor.copy_(put_at_start(before[name], torch.zeros_like(tensor)))
        self._outgrown = {name: tensor.shape for name, tensor in before.items()} | outgrown

    def finish_update(self, optimizer: Optimizer) -> None:
        """Let the optimizer use the gradients, and clear them."""
        scaled = [
            ScaledParameter(parameter, self._lr_scales[name], name)
            for name, parameter in self.module.named_parameters()
            if parameter.requires_grad
        ]
        if not scaled:
            return
        if isinstance(optimizer, AdamW):
            optimizer.step_torch(self.id, scaled)
        else:
            for item in scaled:
                self._step(optimizer, item.parameter, item.name)
        self.mark_changed()

    def _step(self, optimizer: Optimizer, parameter: torch.nn.Parameter, name: str) -> None:
        if parameter.grad is None:
            return
        shape = parameter.shape or (1,)  # thinc asks a gradient for its length, which a single number has not
        arrays: Any = torch2xp(parameter.data.view(shape)), torch2xp(parameter.grad.view(shape))
        if name in self._outgrown:
            grow_moments(optimizer, (self.id, name), self._outgrown.pop(name), arrays[0])
        weights, _ = optimizer((self.id, name), *arrays, lr_scale=self._lr_scales[name])
        stepped = xp2torch(weights, device=parameter.device).view(parameter.shape)
        # Most optimizers write in place. Each new view would keep the one before it alive, and that the one before it.
        if stepped.data_ptr() != parameter.data_ptr():
            parameter.data = stepped
        parameter.grad = None

    @contextlib.contextmanager
    def use_params(self, params: dict[tuple[int, str], Any]) -> Iterator[None]:
        """Work with other weights for a while, such as the averages of an optimizer."""
        own = dict(self._model.named_parameters()) if self._model is not None else {}
        replaced = {name: parameter.data for name, parameter in own.items() if (self.id, name) in params}
        others = {name: params[self.id, name] for name in replaced}
        if not replaced:
            yield
            return
        try:
            for name, other in others.items():
                is_torch = isinstance(other, torch.Tensor)
                own[name].data = other if is_torch else xp2torch(other, device=own[name].device)
            self.mark_changed()
            yield
        finally:
            for name, weights in replaced.items():
                own[name].data = weights
            self.mark_changed()

    @contextlib.contextmanager
    def change(self, **attributes: Any) -> Iterator[None]:
        """Give attributes other values for a while, such as `stored_dtype`."""
        before = {name: getattr(self, name) for name in attributes}
        vars(self).update(attributes)
        try:
            yield
        finally:
            vars(self).update(before)

    def copy(self) -> TorchShim:
        """Copy the module; the copy has moments of its own in an optimizer."""
        copied = TorchShim(self._build, self._find_lr_scale, self.export, self._build_graph)
        copied._model = copy.deepcopy(self._model)
        copied.spec = copy.deepcopy(self.spec)
        copied._lr_scales = self._lr_scales
        return copied

    def to_device(self, device_type: str, device_id: int) -> None:
        """Move the module, as thinc's `to_gpu` and `to_cpu` ask for."""
        if self._model is not None:
            self._model.to(f"cuda:{device_id}" if device_type == "gpu" else "cpu")
            self.mark_changed()

    def to_bytes(self) -> bytes:
        """Write description and weights; empty before the module is built."""
        if self._model is None:
            return b""
        if isinstance(self._model, GraphModule):
            return srsly.msgpack_dumps({"format": FORMAT, "spec": self.spec, "graph": self._model.to_message()})
        spec, weights = self.export(self._model, self.spec) if self.export else (self.spec, self._model.state_dict())
        if self.is_left_out:
            weights = {name: tensor for name, tensor in weights.items() if not self.is_left_out(name)}
        if self.stored_dtype:
            weights = {
                name: tensor.to(self.stored_dtype) if tensor.is_floating_point() else tensor
                for name, tensor in weights.items()
            }
        stored = weights_to_bytes(weights)
        message = {"format": FORMAT, "spec": spec, "weights": stored, "is_whole": not self.is_left_out}
        return srsly.msgpack_dumps(message)

    def from_bytes(self, data: bytes) -> TorchShim:
        """Build the module that was written.

        Raises:
            CheckpointError: The bytes are damaged, or of a later format, or the weights do not fit the description.
        """
        if not data:
            return self
        with wrap_errors("The stored model is damaged", "Train or export it again."):
            message = parse_message(data)
            _check_format(message.get("format", 1))  # which did not say so at first
            spec = message["spec"]
            if not isinstance(spec, dict) or not spec:
                raise ValueError("it has no description")
            if stored := message.get("graph"):
                self.attach_graph(spec, Graph(stored["layout"], stored["weights"]), stored["facts"])
                return self
            from spacy_bertft.models.store.building import SizeLimit, build_empty  # which need torch

            weights, is_whole = weights_from_bytes(message["weights"]), message.get("is_whole", True)
            with SizeLimit(weights, "the stored model"):
                # What is left out stays as it is made.
                module = build_empty(self._build, spec) if is_whole else self._build(spec)
            weights = weights if is_whole else module.state_dict() | weights
            load_weights(module, weights, "the stored model", may_keep=True)
            self._take(spec, module)
        return self


def _check_format(found: Any) -> None:
    if not isinstance(found, int):
        raise ValueError(f"its format is no number: {found!r}")
    if found > FORMAT:
        raise CheckpointError(
            f"The stored model has format {found}, but spacy-bertft {version('spacy-bertft')} reads formats up to "
            f"{FORMAT}. Upgrade spacy-bertft to the version that stored it, or a later one."
        )


class TypedModel(Model[InT, OutT]):
    """A thinc model with a class of its own, which its copies have too."""

    def check_stored(self) -> None:
        """Raise unless what was read from bytes fits together.

        Raises:
            CheckpointError: It does not.
        """

    def _copy(self: SelfT, seen: dict[int, Any] | None = None) -> SelfT:
        plain = super()._copy(seen)
        copied = copy.copy(self)
        for name in Model.__slots__:  # thinc's copy is a bare `Model`
            setattr(copied, name, getattr(plain, name))
        return copied


class TorchModel(TypedModel[InT, OutT]):
    """A thinc model around a torch module."""

    @property
    def shim(self) -> TorchShim:
        """What owns the torch module."""
        return cast(TorchShim, self.shims[0])

    @property
    def module(self) -> Any:
        """The torch module.

        Raises:
            NotInitializedError: It has not been built yet.
        """
        return self._shims[0].module  # type: ignore[attr-defined]

    @property
    def is_initialized(self) -> bool:
        """Whether the module has been built, so that the outputs are fixed."""
        return bool(self.shim.spec)
