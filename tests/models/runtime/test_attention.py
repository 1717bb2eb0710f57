import pytest
import torch

from spacy_bertft.models.runtime.attention import AlignedAttention

attend = torch.nn.functional.scaled_dot_product_attention


def make_heads(n_pieces: int) -> list[torch.Tensor]:
    torch.manual_seed(n_pieces)
    return [torch.randn(3, n_pieces, 2, 8).transpose(1, 2).requires_grad_() for _ in range(3)]


def make_mask(kind: str, n_pieces: int) -> torch.Tensor | None:
    is_piece = torch.arange(n_pieces) < torch.tensor([n_pieces, 1, max(1, n_pieces // 2)])[:, None]
    mask = is_piece[:, None, None, :]
    return {"none": None, "bool": mask, "float": torch.zeros(mask.shape).masked_fill(~mask, -torch.inf)}[kind]


@pytest.mark.parametrize("kind", ["none", "bool", "float"])
@pytest.mark.parametrize("n_pieces", [1, 4, 5, 15, 16, 17, 21, 40])
def test_padding_changes_neither_states_nor_gradients(kind, n_pieces):
    mask = make_mask(kind, n_pieces)
    results = []
    for is_aligned in (False, True):
        heads = make_heads(n_pieces)
        if is_aligned:
            with AlignedAttention():
                states = attend(*heads, attn_mask=mask)
        else:
            states = attend(*heads, attn_mask=mask)
        gradients = torch.autograd.grad((states * torch.arange(8.0)).sum(), heads)
        results.append([states, *gradients])
    torch.testing.assert_close(results[1], results[0], atol=1e-5, rtol=1e-5)


def test_a_causal_mask_is_left_to_torch():
    heads = make_heads(7)
    with AlignedAttention():
        states = attend(*heads, is_causal=True)
    torch.testing.assert_close(states, attend(*heads, is_causal=True))
