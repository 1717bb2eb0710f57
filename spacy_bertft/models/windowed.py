"""The forward pass over the windows of a batch: bucket by bucket, and back in order."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from ..pieces import PaddedWindows, WindowLayout, cut_buckets
from ..pieces.batch import Ints
from .bert import BertModule
from .encoded import EncodedDocs, Output, Pooling
from .plan import EncodingPlan


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
    return EncodedDocs(
        token_vectors=token_vectors,
        token_index=plan.token_index,
        lengths=plan.lengths,
        window_vectors=window_vectors,
        window_doc=layout.windows.sequence,
        window_lengths=layout.lengths,
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
    lengths = layout.lengths
    buckets = cut_buckets(lengths, max_pieces)
    bucket_by_window, row_by_window = _locate(buckets, len(lengths))
    by_bucket = np.argsort(bucket_by_window[window], kind="stable")
    bounds = np.searchsorted(bucket_by_window[window][by_bucket], np.arange(len(buckets) + 1))
    picked: list[torch.Tensor] = []
    pooled: dict[Pooling, list[torch.Tensor]] = {pooling: [] for pooling in poolings}
    for number, bucket in enumerate(buckets):
        states, mask = _run(module, layout.pad(bucket, module.pad_id))
        here = by_bucket[bounds[number] : bounds[number + 1]]
        if len(here):
            index = row_by_window[window[here]] * states.shape[1] + column[here]
            picked.append(states.flatten(0, 1).index_select(0, _to_torch(index, module)))
        for pooling, parts in pooled.items():
            parts.append(pool_windows(states, mask, pooling))
    windows = np.concatenate([*buckets, np.zeros(0, dtype=np.intp)])
    return _join(picked, by_bucket, module), {
        pooling: _join(parts, windows, module) for pooling, parts in pooled.items()
    }


def _run(module: BertModule, padded: PaddedWindows) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the states `(W, P, H)` and the mask `(W, P)`."""
    mask = _to_torch(padded.mask, module)
    return module(_to_torch(padded.ids, module), mask, _to_torch(padded.types, module)), mask


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
    return torch.from_numpy(np.ascontiguousarray(values)).to(module.device)


def _join(parts: list[torch.Tensor], order: Ints, module: BertModule) -> torch.Tensor:
    """Put rows that were computed in `order` back into the first order, as float32."""
    if not parts:
        return torch.zeros((0, module.feature_width), device=module.device)
    return torch.cat(parts).float().index_select(0, _to_torch(np.argsort(order, kind="stable"), module))
