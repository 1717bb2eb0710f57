import pytest
import torch

from spacy_bertft.models.runtime.dropout import FastDropout, speed_up_dropout

SHAPE = (37, 11, 101)  # no multiple of four


def drop(p: float, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """Return what dropout makes of ones, and of a gradient of ones."""
    torch.manual_seed(seed)
    states = torch.ones(SHAPE, requires_grad=True)
    dropped = FastDropout(p)(states)
    [gradient] = torch.autograd.grad(dropped.sum(), states)
    return dropped.detach(), gradient


@pytest.mark.parametrize("p", [0.1, 0.5, 0.9])
def test_the_share_and_the_scale(p):
    dropped, gradient = drop(p)
    assert float((dropped == 0).float().mean()) == pytest.approx(p, abs=0.01)
    assert dropped.unique().tolist() == pytest.approx([0, 1 / (1 - p)], rel=1e-3)
    assert torch.equal(dropped, gradient)
    # Neighbours come from one draw; they fall together as often as chance has it.
    both = (dropped.flatten()[:-1] == 0) & (dropped.flatten()[1:] == 0)
    assert float(both.float().mean()) == pytest.approx(p * p, abs=0.01)


def test_a_seed_decides():
    assert torch.equal(drop(0.3, seed=1)[0], drop(0.3, seed=1)[0])
    assert not torch.equal(drop(0.3, seed=1)[0], drop(0.3, seed=2)[0])


@pytest.mark.parametrize(("p", "expected"), [(0.0, 1.0), (1.0, 0.0)])
def test_none_and_all(p, expected):
    assert drop(p)[0].unique().tolist() == [expected]


def test_predictions_are_left_alone():
    states = torch.randn(SHAPE)
    assert FastDropout(0.5).eval()(states) is states


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
def test_the_format_stays(dtype):
    assert FastDropout(0.5)(torch.ones(SHAPE, dtype=dtype)).dtype == dtype


def test_only_plain_dropout_is_replaced():
    class Special(torch.nn.Dropout):
        pass

    module = torch.nn.Sequential(torch.nn.Dropout(0.2), torch.nn.Sequential(torch.nn.Dropout(0.3)), Special(0.4))
    speed_up_dropout(module)
    assert [type(each) for each in (module[0], module[1][0], module[2])] == [FastDropout, FastDropout, Special]
    assert module[1][0].p == 0.3
