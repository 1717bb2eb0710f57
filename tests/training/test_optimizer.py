"""AdamW against torch's own, and against thinc's own where thinc asks."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from thinc.api import Adam, Linear, chain, warmup_linear

from spacy_bertft.errors import DivergedError, SettingError
from spacy_bertft.training.optimizer import AdamW, ScaledParameter, configure_adamw

Shapes = list[tuple[int, ...]]
SHAPES: Shapes = [(3, 4), (4,), (2, 2)]


def make_parameters(seed: int, shapes: Shapes = SHAPES) -> list[torch.nn.Parameter]:
    generator = torch.Generator().manual_seed(seed)
    return [torch.nn.Parameter(torch.randn(shape, generator=generator)) for shape in shapes]


def give_gradients(parameters: list[torch.nn.Parameter], seed: int, scale: float = 1.0) -> None:
    generator = torch.Generator().manual_seed(seed)
    for parameter in parameters:
        parameter.grad = torch.randn(parameter.shape, generator=generator) * scale


def step(optimizer: AdamW, parameters: list[torch.nn.Parameter], lr_scale: float = 1.0) -> None:
    optimizer.step_torch(1, [ScaledParameter(parameter, lr_scale, str(i)) for i, parameter in enumerate(parameters)])


def same(left: list[torch.nn.Parameter], right: list[torch.nn.Parameter]) -> None:
    torch.testing.assert_close(left, right, rtol=1e-5, atol=1e-7)


@given(st.integers(0, 100), st.floats(0, 0.5), st.sampled_from([0.0, 0.1, 1.0]), st.sampled_from([0.3, 1.0]))
@settings(max_examples=25)
def test_steps_are_those_of_torch(seed: int, weight_decay: float, grad_clip: float, lr_scale: float) -> None:
    ours, theirs = make_parameters(seed), make_parameters(seed)
    optimizer = configure_adamw([0.1, 0.05, 0.2], weight_decay, 0.8, 0.95, 1e-6, grad_clip)
    official = torch.optim.AdamW(
        [{"params": theirs[::2], "weight_decay": weight_decay}, {"params": theirs[1:2], "weight_decay": 0.0}],
        betas=(0.8, 0.95),
        eps=1e-6,
    )
    for number, rate in enumerate((0.1, 0.05, 0.2)):
        give_gradients(ours, number)
        give_gradients(theirs, number)
        step(optimizer, ours, lr_scale)
        if grad_clip:
            torch.nn.utils.clip_grad_norm_(theirs, grad_clip)
        for group in official.param_groups:
            group["lr"] = rate * lr_scale
        official.step()
        same(ours, theirs)
        optimizer.step_schedules()


def test_only_matrices_decay() -> None:
    parameters, before = make_parameters(0), make_parameters(0)
    for parameter in parameters:
        parameter.grad = torch.zeros_like(parameter)
    step(configure_adamw(0.1, weight_decay=0.5), parameters)
    same(parameters, [before[0] * 0.95, before[1], before[2] * 0.95])


def test_each_parameter_has_its_own_rate() -> None:
    parameters, before = make_parameters(0), make_parameters(0)
    give_gradients(parameters, 0)
    scaled = [
        ScaledParameter(parameter, lr_scale, str(lr_scale))
        for parameter, lr_scale in zip(parameters, (1.0, 0.5, 0.0), strict=True)
    ]
    configure_adamw(0.1, weight_decay=0.0).step_torch(1, scaled)
    # The first step of Adam is the rate itself, whatever the size of the gradient.
    moved = [(parameter - old).abs().max().item() for parameter, old in zip(parameters, before, strict=True)]
    assert moved == pytest.approx([0.1, 0.05, 0.0], rel=1e-3)


@pytest.mark.parametrize(("scale", "expected"), [(100.0, 2.0), (1e-3, None)])
def test_clipping_spans_the_whole_model(scale: float, expected: float | None) -> None:
    parameters = make_parameters(0)
    give_gradients(parameters, 0, scale=scale)
    norm = torch.cat([p.grad.flatten() for p in parameters if p.grad is not None]).norm().item()
    optimizer = configure_adamw(0.0, grad_clip=2.0, beta1=0.5)
    scaled = [ScaledParameter(p, 1.0, str(id(p))) for p in parameters]
    stepper = optimizer._get_stepper(1, scaled)
    optimizer.step_torch(1, scaled)
    # After one step the first moments are half of the gradients that it saw.
    seen = torch.cat([2 * stepper.state[p]["exp_avg"].flatten() for p in parameters]).norm().item()
    assert seen == pytest.approx(expected or norm, rel=1e-4)


def test_gradients_are_cleared_and_one_without_is_left_alone() -> None:
    parameters, before = make_parameters(0), make_parameters(0)
    give_gradients(parameters[:2], 0)
    step(configure_adamw(0.1), parameters)
    assert [parameter.grad for parameter in parameters] == [None] * 3
    assert not torch.equal(parameters[0], before[0])
    same(parameters[2:], before[2:])


def test_no_gradient_at_all_changes_nothing() -> None:
    parameters = make_parameters(0)
    step(configure_adamw(0.1), parameters)
    same(parameters, make_parameters(0))


def test_parameters_that_join_later_start_afresh() -> None:
    parameters, alone = make_parameters(0), make_parameters(0)[2:]
    optimizer = configure_adamw(0.1)
    for number in range(2):
        give_gradients(parameters[:2], number, scale=0.01)
        step(optimizer, parameters[:2])
    give_gradients(parameters, 3, scale=0.01)
    assert parameters[2].grad is not None
    alone[0].grad = parameters[2].grad.clone()
    step(optimizer, parameters)
    step(configure_adamw(0.1), alone)
    same(parameters[2:], alone)


def test_two_models_do_not_share_moments() -> None:
    optimizer, first, second = configure_adamw(0.1), make_parameters(0), make_parameters(0)
    for model_id, parameters in enumerate((first, second)):
        give_gradients(parameters, 5)
        optimizer.step_torch(
            model_id, [ScaledParameter(parameter, 1.0, str(i)) for i, parameter in enumerate(parameters)]
        )
    same(first, second)


def test_a_rate_that_stays_0_is_warned_of() -> None:
    """As that of a recipe does, where nobody calls `step_schedules`."""
    parameters = make_parameters(0)
    stepped, still = (configure_adamw(warmup_linear(0.1, 2, 9)) for _ in range(2))
    for number in range(3):
        give_gradients(parameters, number)
        step(stepped, parameters)
        stepped.step_schedules()
    for number in range(11):  # an encoder takes several steps in one of training, where several heads rehearse
        give_gradients(parameters, number)
        step(still, parameters)
    give_gradients(parameters, 11)
    with pytest.warns(UserWarning, match=r"stays 0, so nothing is learned.*step_schedules\(\)"):
        step(still, parameters)


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_a_gradient_that_is_no_number_stops_training(bad: float) -> None:
    parameters = make_parameters(0)
    give_gradients(parameters, 0)
    assert parameters[1].grad is not None
    parameters[1].grad[2] = bad
    with pytest.raises(DivergedError, match=r"learning rate of 0\.1") as caught:
        step(configure_adamw(0.1), parameters)
    assert caught.value.learn_rate == 0.1
    same(parameters, make_parameters(0))


def test_thinc_models_move_as_with_its_own_adam() -> None:
    models, X = [], np.random.default_rng(0).normal(size=(5, 3)).astype(np.float32)
    for optimizer in (configure_adamw(0.1, weight_decay=0.0), Adam(0.1, L2=0.0, grad_clip=1.0, use_averages=False)):
        model = chain(Linear(4, 3), Linear(2, 4)).initialize()
        for layer, shape in zip(model.layers, ((4, 3), (2, 4)), strict=True):
            layer.set_param("W", np.arange(shape[0] * shape[1], dtype=np.float32).reshape(shape) / 10)
        for _ in range(3):
            Y, backprop = model.begin_update(X)
            backprop(Y)
            model.finish_update(optimizer)
        models.append(model)
    for ours, theirs in zip(models[0].layers, models[1].layers, strict=True):
        for name in ("W", "b"):
            np.testing.assert_allclose(ours.get_param(name), theirs.get_param(name), rtol=1e-6)


def test_matrices_of_thinc_models_decay_too() -> None:
    optimizer = configure_adamw(0.1, weight_decay=0.5)
    for shape, factor in (((2, 3), 0.975), ((3,), 1.0)):
        weights, _ = optimizer((0, str(shape)), np.ones(shape, "f"), np.zeros(shape, "f"), lr_scale=0.5)
        np.testing.assert_allclose(weights, factor, rtol=1e-6)


def test_averages_follow_the_weights():
    """Worked by hand: the decay of step t is (1 + t) / (10 + t), until it reaches the one that was set."""
    parameter = torch.nn.Parameter(torch.zeros(1, 1))
    optimizer = configure_adamw(1.0, weight_decay=0.0, grad_clip=0.0, average_decay=0.25)
    expected, seen = 0.0, []
    for step in range(1, 5):
        parameter.grad = torch.ones(1, 1)
        optimizer.step_torch(7, [ScaledParameter(parameter, 1.0, "w")])
        seen.append(parameter.item())
        decay = min(0.25, (1 + step) / (10 + step))
        expected = parameter.item() if step == 1 else decay * expected + (1 - decay) * parameter.item()
    assert optimizer.averages[7, "w"].item() == pytest.approx(expected)
    assert seen == pytest.approx([-1, -2, -3, -4], abs=1e-4)
    assert not configure_adamw(1.0).averages
    with pytest.raises(SettingError):
        configure_adamw(1.0, average_decay=1.0)
