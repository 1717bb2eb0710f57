import copy

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from small_checkpoints import FAMILIES, make_checkpoint, make_windows

from spacy_bertft.checkpoints import read_checkpoint
from spacy_bertft.models.encoder.inference import make_inference_copy
from spacy_bertft.models.encoder.loading import build_bert, describe_bert, load_bert
from spacy_bertft.models.runtime.layers import PackedLinear, can_fuse, choose_rows, fill_block

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
    ids, mask, types = (each.repeat(n_copies, 1) for each in make_windows(n_pieces))
    expected, found = module(ids, mask, types), make_inference_copy(module, "fp32")(ids, mask, types)
    torch.testing.assert_close(found[mask == 1], expected[mask == 1], atol=1e-5, rtol=0)


@given(st.lists(st.integers(0, 300), min_size=1, max_size=60))
def test_each_window_has_places_of_its_own_in_one_row(lengths):
    n_rows, row_length, places = choose_rows(lengths)
    taken = [set(range(place, place + length)) for place, length in zip(places, lengths, strict=True)]
    assert len(set().union(*taken)) == sum(lengths)
    assert all(max(each) < n_rows * row_length for each in taken if each)
    assert all(min(each) // row_length == max(each) // row_length for each in taken if each)


def test_rows_have_few_empty_places():
    short = [6 + 7 * number % 15 for number in range(100)]
    n_rows, row_length, _ = choose_rows(short)
    assert n_rows * row_length < 1.05 * sum(short)
    assert choose_rows([512, 300, 200, 12])[:2] == (2, 512)
    assert choose_rows([40] * 30)[:2] == (10, 128)


def test_windows_share_rows_where_dense_layers_are_packed(module):
    copied = make_inference_copy(module, "fp32")
    is_packed = any(isinstance(each, PackedLinear) for each in copied.modules())
    assert copied.has_rows == (is_packed and can_fuse(module.bert))
    assert not module.has_rows
