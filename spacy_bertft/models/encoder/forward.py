"""The forward pass over the windows of a batch: bucket by bucket, and back in order."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from spacy.tokens import Doc

from spacy_bertft.errors import UnsupportedError
from spacy_bertft.models.encoder.module import BertModule, WindowSize
from spacy_bertft.models.encoder.plan import plan_encoding, read_tokens
from spacy_bertft.models.encoder.states import EncodedDocs, Output
from spacy_bertft.models.runtime.processes import count_workers, run_side_by_side
from spacy_bertft.tokens import WindowLayout
from spacy_bertft.tokens.alignment import Ints, find_overlaps
from spacy_bertft.tokens.windows import cut_buckets

# Fewer pieces than this are not worth a bucket of their own for another worker.
_LEAST_PIECES = 256
_PADDING = 1.03  # what padding adds to the pieces of a bucket, about


def encode_docs(
    module: BertModule, docs: list[Doc], *, window: WindowSize, max_pieces: int, outputs: Sequence[Output]
) -> EncodedDocs:
    """Cut documents into windows, run them, and gather the states that are wanted.

    Args:
        module: The encoder.
        docs: The documents.
        window: How long texts are cut.
        max_pieces: Most pieces, padding included, of one forward pass.
        outputs: What is wanted of the states.
    """
    poolings: list[Output] = [output for output in outputs if output in ("first", "mean", "max")]
    means, has_contexts = "token_means" in outputs, "contexts" in outputs
    plan = plan_encoding(
        docs,
        module.tokenizer,
        *window,
        has_tokens=means or "tokens" in outputs,
        has_texts=bool(poolings),
        has_contexts=has_contexts,
    )
    layout = plan.layout
    piece = plan.token_piece
    if means:
        mean_token, mean_piece = find_overlaps(plan.untrimmed, read_tokens(docs))
        piece = np.concatenate([piece, mean_piece])
    owner = layout.windows.find_owners(piece)
    column = layout.find_columns(piece, owner)
    owner, column = np.append(owner, plan.context_window), np.append(column, plan.context_column)
    states, pooled = gather_states(module, layout, max_pieces, owner, column, poolings)
    n_rows = len(plan.token_piece)
    states, of_contexts = states[: len(piece)], states[len(piece) :]
    if len(plan.text_window) < len(layout.first_lengths):  # other windows are read by heads for tokens only
        index = _to_torch(plan.text_window, module)
        pooled = {pooling: vectors.index_select(0, index) for pooling, vectors in pooled.items()}
    if means:
        pooled["token_means"] = _average(states[n_rows:], mean_token, sum(map(len, docs)))
    if has_contexts:
        pooled["contexts"] = of_contexts
    return EncodedDocs(
        vectors={"tokens": states[:n_rows], **pooled},
        token_index=plan.token_index,
        token_end=plan.token_end,
        lengths=plan.lengths,
        window_doc=plan.window_doc,
        window_lengths=layout.lengths[plan.text_window],
        n_lost=plan.n_lost,
        contexts=plan.contexts if has_contexts else None,
    )


def gather_states(
    module: BertModule,
    layout: WindowLayout,
    max_pieces: int,
    window: Ints,
    column: Ints,
    poolings: Sequence[Output] = (),
) -> tuple[torch.Tensor, dict[Output, torch.Tensor]]:
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
    n_pieces = int(layout.lengths.sum())
    if n_workers > 1 and n_pieces >= n_workers * _LEAST_PIECES:
        # About equal buckets: one for each worker, or two, or three.
        n_buckets = n_workers * -(-n_pieces // (n_workers * max_pieces))
        max_pieces = min(max_pieces, int(n_pieces / n_buckets * _PADDING) + 1)
    buckets = cut_buckets(layout.lengths, max_pieces, may_pad=module.may_pad)
    bucket_by_window, row_by_window = np.zeros((2, len(layout.lengths)), dtype=np.intp)
    for number, bucket in enumerate(buckets):
        bucket_by_window[bucket], row_by_window[bucket] = number, np.arange(len(bucket))
    by_bucket = np.argsort(bucket_by_window[window], kind="stable")
    bounds = np.searchsorted(bucket_by_window[window][by_bucket], np.arange(len(buckets) + 1))

    def run(number: int) -> tuple[torch.Tensor, list[torch.Tensor]]:
        padded = layout.pad(buckets[number], module.pad_id, module.least_pieces)
        mask = _to_torch(padded.mask, module)
        states = module(_to_torch(padded.ids, module), mask, _to_torch(padded.types, module))
        if states.shape[1] != padded.ids.shape[1] and (len(window) or {*poolings} != {"first"}):
            raise UnsupportedError(
                "The encoder makes one state of several subword tokens, so that only the first one of a text is known. "
                "Expected a head for texts, with the pooling cls or first."
            )
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


def pool_windows(states: torch.Tensor, mask: torch.Tensor, pooling: Output) -> torch.Tensor:
    """Make one vector of each window, `(W, P, H)` → `(W, H)`; of the mask, `(W, P)`, 0 is padding."""
    if pooling == "first":
        return states[:, 0]
    if pooling == "max":
        return states.masked_fill(mask[:, :, None] == 0, -torch.inf).amax(dim=1)
    total = (mask[:, None, :].to(states) @ states).squeeze(1)
    return total.float() / mask.sum(dim=1, keepdim=True)


def _average(states: torch.Tensor, token: Ints, n_tokens: int) -> torch.Tensor:
    """Average the states of pieces by the token of each, `(O, H)` → `(T, H)`; zeros where there is none."""
    index = torch.from_numpy(token).to(states.device)
    n_pieces = torch.bincount(index, minlength=n_tokens).clamp(min=1)[:, None]  # (T, 1)
    return states.new_zeros((n_tokens, states.shape[1])).index_add(0, index, states) / n_pieces


def _to_torch(values: Ints, module: BertModule) -> torch.Tensor:
    tensor = torch.from_numpy(np.ascontiguousarray(values))
    if module.device.type == "cuda":
        return tensor.pin_memory().to(module.device, non_blocking=True)  # copied while the next is prepared
    return tensor.to(module.device)


def _join(parts: list[torch.Tensor], order: Ints, module: BertModule) -> torch.Tensor:
    """Put rows that were computed in `order` back into the first order, as float32."""
    if not parts:
        return torch.zeros((0, module.feature_width), device=module.device)
    return torch.cat(parts).index_select(0, _to_torch(np.argsort(order, kind="stable"), module)).float()
