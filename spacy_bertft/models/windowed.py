"""The forward pass over the windows of a batch: bucket by bucket, and back in order."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from ..pieces import WindowLayout, cut_buckets
from ..pieces.batch import Ints
from .bert import BertModule
from .encoded import EncodedDocs, Output, Pooling
from .plan import EncodingPlan
from .workers import count_workers, run_side_by_side

# Fewer pieces than this are not worth a bucket of their own for another worker.
_LEAST_PIECES = 256
_PADDING = 1.03  # what padding adds to the pieces of a bucket, about


def encode_windows(
    module: BertModule, plan: EncodingPlan, max_pieces: int, outputs: Sequence[Output] = ("tokens",)
) -> EncodedDocs:
    """Run all windows and gather the states that are wanted.

    Args:
        module: The encoder.
        plan: The windows of a batch of documents, and the tokens to answer for.
        max_pieces: Most pieces, padding included, of one forward pass.
        outputs: What is wanted of the states.
    """
    layout = plan.layout
    wanted = plan.token_piece if "tokens" in outputs else plan.token_piece[:0]
    owner = layout.windows.find_owners(wanted)
    column = layout.find_columns(wanted, owner)
    poolings: list[Pooling] = [output for output in outputs if output != "tokens"]
    token_vectors, window_vectors = gather_states(module, layout, max_pieces, owner, column, poolings)
    if len(plan.text_window) < len(layout.first_lengths):  # other windows are read by heads for tokens only
        index = _to_torch(plan.text_window, module)
        window_vectors = {pooling: vectors.index_select(0, index) for pooling, vectors in window_vectors.items()}
    return EncodedDocs(
        token_vectors=token_vectors,
        token_index=plan.token_index,
        token_end=plan.token_end,
        lengths=plan.lengths,
        window_vectors=window_vectors,
        window_doc=plan.window_doc,
        window_lengths=layout.lengths[plan.text_window],
        n_lost=plan.n_lost,
    )


def gather_states(
    module: BertModule,
    layout: WindowLayout,
    max_pieces: int,
    window: Ints,
    column: Ints,
    poolings: Sequence[Pooling] = (),
) -> tuple[torch.Tensor, dict[Pooling, torch.Tensor]]:
    """Run all windows, bucket by bucket, and pick states out of them.

    Args:
        module: The encoder.
        layout: The windows.
        max_pieces: Most pieces, padding included, of one forward pass.
        window: `(A,)` the windows to pick from.
        column: `(A,)` the columns there.
        poolings: Ways to make one vector of each window.

    Returns:
        `(A, F)` the states picked, and for each way of pooling `(W, F)`; all of them float32.
    """
    n_workers = count_workers(module.device)
    buckets = cut_buckets(layout.lengths, _balance(layout.lengths, max_pieces, n_workers))
    bucket_by_window, row_by_window = _locate(buckets, len(layout.lengths))
    by_bucket = np.argsort(bucket_by_window[window], kind="stable")
    bounds = np.searchsorted(bucket_by_window[window][by_bucket], np.arange(len(buckets) + 1))

    def run(number: int) -> tuple[torch.Tensor, list[torch.Tensor]]:
        padded = layout.pad(buckets[number], module.pad_id)
        mask = _to_torch(padded.mask, module)
        states = module(_to_torch(padded.ids, module), mask, _to_torch(padded.types, module))
        here = by_bucket[bounds[number] : bounds[number + 1]]
        index = row_by_window[window[here]] * states.shape[1] + column[here]
        picked = states.flatten(0, 1).index_select(0, _to_torch(index, module))
        return picked, [pool_windows(states, mask, pooling) for pooling in poolings]

    parts = run_side_by_side(run, range(len(buckets)), n_workers)
    windows = np.concatenate([*buckets, np.zeros(0, dtype=np.intp)])
    pooled = {
        pooling: _join([part[1][number] for part in parts], windows, module) for number, pooling in enumerate(poolings)
    }
    return _join([part[0] for part in parts], by_bucket, module), pooled


def _balance(lengths: Ints, max_pieces: int, n_workers: int) -> int:
    """Return the most pieces of a bucket so that there is one for each worker, or two, or three; about equal ones.

    With too few pieces for that, there is one bucket.
    """
    n_pieces = int(lengths.sum())
    if n_workers == 1 or n_pieces < n_workers * _LEAST_PIECES:
        return max_pieces
    n_buckets = n_workers * -(-n_pieces // (n_workers * max_pieces))
    return min(max_pieces, int(n_pieces / n_buckets * _PADDING) + 1)


def pool_windows(states: torch.Tensor, mask: torch.Tensor, pooling: Pooling) -> torch.Tensor:
    """Make one vector of each window, `(W, P, H)` → `(W, H)`; of the mask, `(W, P)`, 0 is padding."""
    if pooling == "first":
        return states[:, 0]
    if pooling == "max":
        highest: torch.Tensor = states.masked_fill(mask[:, :, None] == 0, -torch.inf).amax(dim=1)
        return highest
    total = (mask[:, None, :].to(states) @ states).squeeze(1)
    return total.float() / mask.sum(dim=1, keepdim=True)


def _locate(buckets: list[Ints], n_windows: int) -> tuple[Ints, Ints]:
    """Return the bucket of each window and its row there."""
    bucket_by_window, row_by_window = np.zeros((2, n_windows), dtype=np.intp)
    for number, bucket in enumerate(buckets):
        bucket_by_window[bucket] = number
        row_by_window[bucket] = np.arange(len(bucket))
    return bucket_by_window, row_by_window


def _to_torch(values: Ints, module: BertModule) -> torch.Tensor:
    tensor = torch.from_numpy(np.ascontiguousarray(values))
    if module.device.type == "cuda":
        return tensor.pin_memory().to(module.device, non_blocking=True)  # the copy goes on while the next is made ready
    return tensor.to(module.device)


def _join(parts: list[torch.Tensor], order: Ints, module: BertModule) -> torch.Tensor:
    """Put rows that were computed in `order` back into the first order, as float32."""
    if not parts:
        return torch.zeros((0, module.feature_width), device=module.device)
    return torch.cat(parts).index_select(0, _to_torch(np.argsort(order, kind="stable"), module)).float()
