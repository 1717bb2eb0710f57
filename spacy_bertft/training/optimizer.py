"""AdamW for spaCy's training loop, one fused torch step per model."""

import warnings
from collections.abc import Iterable
from copy import deepcopy
from dataclasses import dataclass
from typing import Any, Union, cast

from thinc.api import Optimizer
from thinc.compat import torch
from thinc.types import FloatsXd, Generator

from spacy_bertft.errors import DivergedError, SettingError

FloatOrSchedule = Union[float, list[float], Generator]  # noqa: UP007 (confection reads this at run time)
Moments = dict[tuple[int, str], dict[str, "torch.Tensor"]]
_MANY_STILL = 12  # steps of one model at a rate of 0; an encoder takes one for each head that rehearses


@dataclass(frozen=True)
class ScaledParameter:
    """A torch parameter, the factor on its learning rate, and its name in its model."""

    parameter: "torch.nn.Parameter"
    lr_scale: float
    name: str


class AdamW(Optimizer):
    """Adam with decoupled weight decay; biases and normalization weights do not decay.

    To spaCy this is a thinc optimizer like any other. Torch models hand all their parameters to `step_torch` at once:
    their weights never leave torch, and the gradient is clipped by its norm over the whole model.

    Args:
        learn_rate: Learning rate, or a schedule of learning rates.
        weight_decay: Weight decay per step, times the learning rate; not of biases and normalization.
        beta1: Decay of the mean of gradients.
        beta2: Decay of the mean of squared gradients.
        eps: Added to the root of the squared mean.
        grad_clip: Maximum norm of the gradient of one torch model; 0 turns clipping off.
        average_decay: Decay per step of an exponential moving average of the weights; 0 keeps none. spaCy evaluates
            and saves the averaged weights. In the first steps the decay is lower, `(1 + t) / (10 + t)`.

    Attributes:
        averages: The averaged weights, by model and name.
        n_averaged: How many steps the averages of each torch model have seen.

    Raises:
        SettingError: The decay of the average is none.

    Sources: Loshchilov & Hutter (2019), algorithm 2; without bias decay as in Devlin et al. (2019)'s code. Averages:
        Polyak & Juditsky (1992); their warm-up as in TensorFlow's `ExponentialMovingAverage`.
    """

    def __init__(
        self,
        learn_rate: FloatOrSchedule,
        weight_decay: float = 0.01,
        beta1: float = 0.9,
        beta2: float = 0.999,
        eps: float = 1e-8,
        grad_clip: float = 1.0,
        average_decay: float = 0.0,
    ) -> None:
        if not 0 <= average_decay < 1:
            raise SettingError("average_decay", average_decay, "a decay from 0 up to, but not 1")
        super().__init__(
            learn_rate,
            L2=0.0,
            beta1=beta1,
            beta2=beta2,
            eps=eps,
            grad_clip=grad_clip,
            use_averages=average_decay > 0,
        )
        self.weight_decay = weight_decay
        self.average_decay = average_decay
        self.n_averaged: dict[int, int] = {}
        self._steppers: dict[int, torch.optim.AdamW] = {}
        self._waiting: Moments = {}
        self._n_still: dict[int, int] = {}

    def __call__(
        self, key: tuple[int, str], weights: FloatsXd, gradient: FloatsXd, *, lr_scale: float = 1.0
    ) -> tuple[FloatsXd, FloatsXd]:
        """Update one parameter of a thinc model, as other components of the pipeline ask for."""
        if weights.ndim > 1:
            weights *= 1 - lr_scale * self.learn_rate * self.weight_decay
        return super().__call__(key, weights, gradient, lr_scale=lr_scale)

    def step_torch(self, model_id: int, parameters: Iterable[ScaledParameter]) -> None:
        """Update all parameters of a torch model that have a gradient, and clear their gradients.

        Args:
            model_id: Names the model between steps; its moments are kept under it.
            parameters: Those of its parameters that learn; one that joins them later starts with fresh moments.

        Raises:
            DivergedError: A gradient is not finite.
        """
        scaled = list(parameters)
        norm = _measure_norm([item.parameter for item in scaled])
        if not torch.isfinite(norm):
            raise DivergedError(self.learn_rate)
        stepper = self._get_stepper(model_id, scaled)
        self._n_still[model_id] = 0 if self.learn_rate else self._n_still.get(model_id, 0) + 1
        if self._n_still[model_id] == _MANY_STILL:
            warnings.warn(
                "The learning rate stays 0, so nothing is learned. Expected `optimizer.step_schedules()` after each "
                "update, as `spacy train` calls it, or an optimizer with a rate that does not change.",
                stacklevel=2,
            )
        for group in stepper.param_groups:
            group["lr"] = self.learn_rate * group["lr_scale"]
            group["weight_decay"] = self.weight_decay if group["decays"] else 0.0
            group["betas"] = (self.b1, self.b2)
            group["eps"] = self.eps
        # The fused step divides gradients by this as it reads them; to clip them before would be a pass of its own.
        stepper.grad_scale = (norm / self.grad_clip).clamp(min=1.0) if self.grad_clip else None  # type: ignore[attr-defined]
        stepper.step()
        stepper.zero_grad(set_to_none=True)
        if self.average_decay:
            with torch.no_grad():
                self._average(model_id, scaled)

    @property
    def moments(self) -> Moments:
        """What is known of the gradients of torch parameters, by the model and the name of each.

        Set, it replaces all that is known; a parameter takes it over when it learns next.
        """
        known = {
            (model_id, name): dict(stepper.state[parameter])
            for model_id, stepper in self._steppers.items()
            for group in stepper.param_groups
            for name, parameter in zip(group["param_names"], group["params"], strict=True)
            if parameter in stepper.state
        }
        return self._waiting | known

    @moments.setter
    def moments(self, moments: Moments) -> None:
        self._steppers.clear()
        self._waiting = dict(moments)

    def _get_stepper(self, model_id: int, scaled: list[ScaledParameter]) -> "torch.optim.AdamW":
        stepper = self._steppers.get(model_id)
        known = {parameter for group in stepper.param_groups for parameter in group["params"]} if stepper else set()
        new = [item for item in scaled if item.parameter not in known]
        names = {name for group in stepper.param_groups for name in group["param_names"]} if stepper and new else set()
        if any(item.name in names for item in new):  # larger ones replaced them, in a head with more labels than before
            self._waiting = self.moments
            stepper, new = None, scaled
        if stepper is None:
            stepper = self._steppers[model_id] = torch.optim.AdamW(_group(new), lr=0.0, fused=True)
        else:
            for group in _group(new):
                stepper.add_param_group(group)
        for item in new:
            if moments := self._waiting.pop((model_id, item.name), None):
                zeros = torch.zeros_like(item.parameter.data)
                stepper.state[item.parameter] = {
                    kind: put_at_start(tensor.to(zeros.device), zeros) if tensor.ndim else tensor.to(zeros.device)
                    for kind, tensor in moments.items()
                }
        return stepper

    def _average(self, model_id: int, scaled: list[ScaledParameter]) -> None:
        n_steps = self.n_averaged[model_id] = self.n_averaged.get(model_id, 0) + 1
        decay = min(self.average_decay, (1 + n_steps) / (10 + n_steps))
        averages: dict[tuple[int, str], Any] = cast(Any, self.averages)
        for item in scaled:
            key = (model_id, item.name)
            if key in averages:
                averages[key] = put_at_start(averages[key], item.parameter.data).lerp_(item.parameter, 1 - decay)
            else:
                averages[key] = item.parameter.detach().clone()


# The name under which the config finds the class.
configure_adamw = AdamW


def put_at_start(array: Any, larger: Any) -> Any:
    """Return an array if it has the shape of a larger one; otherwise a copy of that, with the array at its start.

    Example:
        >>> import numpy as np
        >>> put_at_start(np.ones((1, 2)), np.zeros((2, 3))).tolist()
        [[1.0, 1.0, 0.0], [0.0, 0.0, 0.0]]
    """
    if array.shape == larger.shape:
        return array
    larger = deepcopy(larger)
    larger[tuple(map(slice, array.shape))] = array
    return larger


def grow_moments(optimizer: Optimizer, key: tuple[int, str], shape: tuple[int, ...], weights: Any) -> None:
    """Enlarge what a thinc optimizer knows of a parameter; its moments are flat, so they do not tell their shape.

    Args:
        optimizer: The optimizer.
        key: The parameter.
        shape: The shape that it had when the optimizer saw it last.
        weights: Its weights now; their start is what was there before.
    """
    for moments in (optimizer.mom1, optimizer.mom2):
        if key in moments:
            moments[key] = put_at_start(moments[key].reshape(shape), weights * 0).reshape(-1)
    if optimizer.averages and key in optimizer.averages:
        optimizer.averages[key] = put_at_start(optimizer.averages[key], weights)


def _group(scaled: list[ScaledParameter]) -> list[dict[str, object]]:
    groups: dict[tuple[float, bool], list[tuple[str, torch.nn.Parameter]]] = {}
    for item in scaled:
        groups.setdefault((item.lr_scale, item.parameter.ndim > 1), []).append((item.name, item.parameter))
    return [
        {"params": parameters, "lr_scale": lr_scale, "decays": decays}
        for (lr_scale, decays), parameters in groups.items()
    ]


def _measure_norm(parameters: "list[torch.nn.Parameter]") -> "torch.Tensor":
    """Return the length of all gradients put together."""
    gradients = [parameter.grad.flatten() for parameter in parameters if parameter.grad is not None]
    if not gradients:
        return torch.zeros(())
    # On a CPU, twice as fast as torch's own norm.
    return torch.stack([torch.dot(gradient, gradient) for gradient in gradients]).sum().sqrt()
