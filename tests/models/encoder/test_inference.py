import copy

import pytest
import torch
from small_checkpoints import FAMILIES, make_checkpoint, make_windows

from spacy_bertft.checkpoints import read_checkpoint
from spacy_bertft.models.encoder.inference import make_inference_copy
from spacy_bertft.models.encoder.loading import build_bert, describe_bert, load_bert
from spacy_bertft.models.runtime.layers import PackedLinear, can_pack, choose_rows, fill_block

ALL = (*FAMILIES, "deberta-v2", "mobilebert")


@pytest.fixture(scope="module", params=ALL)
def module(request, tmp_path_factory):
    folder = make_checkpoint(tmp_path_factory.mktemp("checkpoint") / request.param, request.param, 3, "token")
    checkpoint = read_checkpoint(str(folder))
    bert = build_bert(describe_bert(checkpoint))
    load_bert(bert, checkpoint)
    return bert.eval()


@torch.inference_mode()
def compare(left, right, n_pieces: int) -> float:
    ids, mask, types = make_windows(n_pieces)
    return float((left(ids, mask, types).float() - right(ids, mask, types))[mask.bool()].abs().max())


@pytest.mark.parametrize("n_pieces", [3, 16, 25])
def test_the_copy_gives_the_same_states(module, n_pieces):
    assert compare(make_inference_copy(module, "fp32"), module, n_pieces) < 1e-5


def test_in_bfloat16_they_are_as_near_as_those_of_a_plain_copy(module):
    packed = make_inference_copy(module, "bf16")
    plain = copy.deepcopy(module).to(torch.bfloat16)
    assert compare(packed, module, 25) < 2 * compare(plain, module, 25) + 1e-3


def test_fp16_rounds_less_than_bf16(module):
    fp16, bf16 = (compare(make_inference_copy(module, precision), module, 25) for precision in ("fp16", "bf16"))
    assert 1e-5 < fp16 < bf16


def test_the_copy_shares_what_it_can_and_learns_nothing(module):
    copied = make_inference_copy(module, "fp32")
    assert copied.tokenizer is module.tokenizer
    known = {parameter.data_ptr() for parameter in module.parameters()}
    assert {parameter.data_ptr() for parameter in copied.parameters()} <= known
    assert not copied.learns
    assert module.learns


@pytest.mark.parametrize("is_gelu", [False, True])
@pytest.mark.parametrize("has_bias", [False, True])
def test_a_packed_layer(is_gelu, has_bias):
    linear = torch.nn.Linear(24, 40, bias=has_bias)
    inputs = torch.randn(3, 7, 24)
    expected = torch.nn.functional.gelu(linear(inputs)) if is_gelu else linear(inputs)
    with torch.no_grad():
        torch.testing.assert_close(PackedLinear(linear, is_gelu=is_gelu)(inputs), expected, atol=1e-6, rtol=1e-5)


def test_rows_are_filled_to_few_numbers_with_little_waste():
    filled = [len(fill_block(torch.ones(n_rows, 2))) for n_rows in range(1, 1025)]
    assert all(n_rows <= n <= n_rows * 1.125 for n_rows, n in enumerate(filled, 1))
    assert len(set(filled)) < 80
    assert [len(fill_block(torch.ones(n, 2))) for n in set(filled)] == list(set(filled))
    assert fill_block(torch.ones(41, 2)).sum() == 82


@pytest.mark.parametrize("n_pieces", [1, 3, 5, 16, 25])
@pytest.mark.parametrize("n_copies", [1, 3, 10])
@pytest.mark.parametrize("module", FAMILIES, indirect=True)
@torch.inference_mode()
def test_windows_that_share_a_row_do_not_see_each_other(module, n_copies, n_pieces):
    # In float32, where their states are exact, though there they would not share one.
    packed = make_inference_copy(module, "fp32")
    packed.bert._choose_rows = choose_rows
    ids, mask, types = (each.repeat(n_copies, 1) for each in make_windows(n_pieces))
    expected, found = module(ids, mask, types), packed(ids, mask, types)
    torch.testing.assert_close(found[mask == 1], expected[mask == 1], atol=1e-5, rtol=0)


def test_rows_have_room_for_their_windows_with_little_waste():
    for n_pieces in range(1, 513):
        for n_windows in (1, 2, 7, 100):
            n_beside, length = choose_rows(n_windows, n_pieces)
            assert n_beside * n_pieces <= length
            n_places = -(-n_windows // n_beside) * length
            assert n_places <= max(32, 1.4 * n_windows * n_pieces)


@pytest.mark.parametrize("module", ["bert"], indirect=True)
def test_windows_share_rows_where_half_precision_is_fast(module):
    for precision, dtype in (("fp32", torch.float32), ("fp16", torch.float16), ("bf16", torch.bfloat16)):
        shares = dtype != torch.float32 and can_pack(torch.ones(1, dtype=dtype))
        row = make_inference_copy(module, precision).bert._choose_rows(100, 12)
        assert row == ((4, 48) if shares else (1, 12))
