"""The forward pass over the windows of a batch: bucket by bucket, and back in order."""

from __future__ import annotations

import numpy as np
import torch

from ..pieces import cut_buckets
from ..pieces.batch import Ints
from .bert import BertModule
from .encoded import EncodedDocs
from .plan import EncodingPlan


def encode_windows(module: BertModule, plan: EncodingPlan, max_pieces: int) -> EncodedDocs:
    """Run all windows and gather the states that are wanted.

    Args:
        module: The encoder.
        plan: The windows of a batch of documents.
        max_pieces: Most pieces, padding included, of one forward pass.
    """
    windows, tokenizer = plan.windows, module.tokenizer
    window_lengths = np.maximum(windows.piece_end - windows.piece_start + tokenizer.n_special, 1)
    owner = windows.find_owners(plan.token_piece)
    column = plan.token_piece - windows.piece_start[owner] + len(tokenizer.prefix_ids)
    buckets = cut_buckets(window_lengths, max_pieces)
    bucket_by_window, row_by_window = _locate(buckets, len(window_lengths))
    tokens_by_bucket = np.argsort(bucket_by_window[owner], kind="stable")
    bounds = np.searchsorted(bucket_by_window[owner][tokens_by_bucket], np.arange(len(buckets) + 1))
    token_parts, window_parts = [], []
    for number, bucket in enumerate(buckets):
        ids, mask = _pad(plan, bucket, window_lengths[bucket], module)
        states = module(_to_torch(ids, module), _to_torch(mask, module))
        tokens = tokens_by_bucket[bounds[number] : bounds[number + 1]]
        index = row_by_window[owner[tokens]] * ids.shape[1] + column[tokens]
        token_parts.append(states.flatten(0, 1).index_select(0, _to_torch(index, module)))
        window_parts.append(states[:, 0])
    token_vectors = _join(token_parts, tokens_by_bucket, module)
    window_vectors = _join(window_parts, np.concatenate([*buckets, np.zeros(0, dtype=np.intp)]), module)
    return EncodedDocs(
        token_vectors=token_vectors,
        token_index=plan.token_index,
        lengths=plan.lengths,
        doc_vectors=_average(window_vectors, windows.sequence, window_lengths, len(plan.lengths)),
    )


def _locate(buckets: list[Ints], n_windows: int) -> tuple[Ints, Ints]:
    """Return the bucket of each window and its row there."""
    bucket_by_window, row_by_window = np.zeros((2, n_windows), dtype=np.intp)
    for number, bucket in enumerate(buckets):
        bucket_by_window[bucket] = number
        row_by_window[bucket] = np.arange(len(bucket))
    return bucket_by_window, row_by_window


def _pad(plan: EncodingPlan, bucket: Ints, lengths: Ints, module: BertModule) -> tuple[Ints, Ints]:
    """Lay the windows of a bucket side by side, special pieces added: ids and mask, `(W, P)`."""
    tokenizer = module.tokenizer
    n_prefix, n_suffix = len(tokenizer.prefix_ids), len(tokenizer.suffix_ids)
    column = np.arange(int(lengths.max()))
    piece = plan.windows.piece_start[bucket][:, None] + column - n_prefix
    is_piece = (column >= n_prefix) & (piece < plan.windows.piece_end[bucket][:, None])
    ids = np.full(is_piece.shape, module.pad_id, dtype=np.intp)
    ids[is_piece] = plan.pieces.ids[piece[is_piece]]
    ids[:, :n_prefix] = tokenizer.prefix_ids
    rows = np.arange(len(bucket))[:, None]
    ids[rows, lengths[:, None] - n_suffix + np.arange(n_suffix)] = tokenizer.suffix_ids
    mask = (column < lengths[:, None]).astype(np.intp)
    return ids, mask


def _to_torch(values: Ints, module: BertModule) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(values)).to(module.device)


def _join(parts: list[torch.Tensor], order: Ints, module: BertModule) -> torch.Tensor:
    """Put rows that were computed in `order` back into the first order, as float32."""
    if not parts:
        return torch.zeros((0, module.width), device=module.device)
    return torch.cat(parts).float().index_select(0, _to_torch(np.argsort(order, kind="stable"), module))


def _average(window_vectors: torch.Tensor, sequence: Ints, lengths: Ints, n_docs: int) -> torch.Tensor:
    weights = lengths / np.bincount(sequence, lengths, minlength=n_docs)[sequence]
    scaled = window_vectors * torch.from_numpy(weights).to(window_vectors)[:, None]
    index = torch.from_numpy(sequence).to(window_vectors.device)
    return torch.zeros((n_docs, scaled.shape[1]), device=scaled.device).index_add(0, index, scaled)
