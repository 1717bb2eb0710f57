"""`spacy-bertft.BertEncoder.v1`: documents → states."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Optional

import numpy as np
import torch
from spacy.attrs import IDX, LENGTH
from spacy.tokens import Doc
from thinc.api import Model

from ..checkpoints import find_max_positions, read_checkpoint
from ..errors import SettingError
from ..pieces import PieceBatch, TokenBatch, Windows, align, cut_buckets, plan_windows
from ..pieces.batch import Ints
from ..training.layers import FrozenLayers, count_frozen, find_depth, find_lr_scale
from .bert import BertModule, build_bert, describe_bert, load_bert
from .encoded import EncodedDocs, EncodedGradient
from .forks import adapt_to_fork
from .precision import Precision, check_precision, find_dtype
from .shim import TorchShim

LONGEST_DEFAULT_WINDOW = 512


@dataclass(frozen=True)
class EncoderSettings:
    """The settings of an encoder, as in its config section; see `build_bert_encoder`."""

    name: str
    window: int | None
    stride: int | None
    max_pieces: int
    precision: Precision
    frozen_layers: FrozenLayers
    layer_lr_decay: float


def build_bert_encoder(
    name: str,
    window: Optional[int] = None,  # noqa: UP045 (confection reads this at run time)
    stride: Optional[int] = None,  # noqa: UP045
    max_pieces: int = 1024,
    precision: str = "auto",
    frozen_layers: FrozenLayers = "none",
    layer_lr_decay: float = 1.0,
) -> Model[list[Doc], EncodedDocs]:
    """Build an encoder with weights of its own. Nothing is read before `initialize` or `from_disk`.

    Args:
        name: Folder or hub id of the checkpoint to start from. A trained pipeline does not need it any more.
        window: Most pieces of a window, special pieces included. By default as many as the model can number, at
            most 512.
        stride: Pieces from one window of a long text to the next, three quarters of a window by default.
        max_pieces: Most pieces, padding included, of one forward pass.
        precision: `"auto"` computes in bfloat16 where the hardware multiplies it natively, else in float32; `"fp32"`
            and `"bf16"` insist.
        frozen_layers: What does not learn: `"none"`, `"embeddings"`, a number of layers from the bottom (with the
            embeddings), `"all_but_last"` layer, or `"all"`.
        layer_lr_decay: Factor on the learning rate from each layer to the one below.

    Raises:
        SettingError: A setting is outside what is allowed.
    """
    check_precision(precision)
    for setting, value in (("window", window), ("stride", stride), ("max_pieces", max_pieces)):
        if value is not None and value < 1:
            raise SettingError(setting, value, "a positive number of pieces")
    if not 0 < layer_lr_decay <= 1:
        raise SettingError("layer_lr_decay", layer_lr_decay, "a factor above 0, at most 1")
    settings = EncoderSettings(
        name, window, stride, max_pieces, precision, frozen_layers, layer_lr_decay  # type: ignore[arg-type]
    )
    shim = TorchShim(partial(_build_module, settings), partial(_find_lr_scale, settings))
    return Model(
        "bert_encoder",
        partial(_forward, settings),
        init=partial(_init, settings),
        shims=[shim],
        dims={"nO": None},
    )


def _init(settings: EncoderSettings, model: Model[list[Doc], EncodedDocs], X: Any = None, Y: Any = None) -> None:
    checkpoint = read_checkpoint(settings.name)
    shim: TorchShim = model.shims[0]
    module = shim.attach(describe_bert(checkpoint))
    load_bert(module, checkpoint)
    model.set_dim("nO", module.width, force=True)


def _build_module(settings: EncoderSettings, spec: dict[str, Any]) -> BertModule:
    module = build_bert(spec)
    _find_window(settings, module, spec["config"])
    module.freeze(count_frozen(settings.frozen_layers, module.n_layers))
    return module


def _find_lr_scale(settings: EncoderSettings, module: BertModule, name: str) -> float:
    depth = find_depth(name, module.n_layers)
    return find_lr_scale(depth, module.n_layers, settings.layer_lr_decay)


def _find_window(settings: EncoderSettings, module: BertModule, config: dict[str, Any]) -> tuple[int, int]:
    """Return window and stride in pieces, special pieces left out."""
    longest = find_max_positions(config)
    size = settings.window or min(longest or LONGEST_DEFAULT_WINDOW, LONGEST_DEFAULT_WINDOW)
    if longest is not None and size > longest:
        raise SettingError("window", size, f"at most {longest}, which is as many pieces as {settings.name} can number")
    size -= module.tokenizer.n_special
    if size < 1:
        raise SettingError("window", settings.window, f"more than {module.tokenizer.n_special} special pieces")
    stride = settings.stride or max(1, size * 3 // 4)
    if stride > size:
        raise SettingError("stride", stride, f"at most {size}, or pieces between two windows would be lost")
    return size, stride


@dataclass(frozen=True)
class EncodingPlan:
    """What is known of a batch before torch sees it.

    Attributes:
        pieces: The pieces of all documents.
        windows: The windows over them.
        token_index: `(A,)` the tokens that have a piece, counted through the batch.
        token_piece: `(A,)` the piece that stands for each of them.
        lengths: `(B,)` such tokens per document.
    """

    pieces: PieceBatch
    windows: Windows
    token_index: Ints
    token_piece: Ints
    lengths: Ints


def _plan(docs: list[Doc], module: BertModule, size: int, stride: int) -> EncodingPlan:
    pieces = module.tokenizer.encode([doc.text for doc in docs])
    tokens = read_tokens(docs)
    piece_by_token = align(pieces, tokens).piece_by_token
    token_index = np.flatnonzero(piece_by_token >= 0)
    doc_by_token = np.repeat(np.arange(len(docs)), tokens.lengths)
    return EncodingPlan(
        pieces=pieces,
        windows=plan_windows(pieces.lengths, size, stride),
        token_index=token_index,
        token_piece=piece_by_token[token_index],
        lengths=np.bincount(doc_by_token[token_index], minlength=len(docs)),
    )


def read_tokens(docs: list[Doc]) -> TokenBatch:
    """Read the character offsets of all tokens of a batch."""
    arrays = [doc.to_array([IDX, LENGTH]).reshape(-1, 2).astype(np.intp) for doc in docs]
    offsets = np.concatenate(arrays) if arrays else np.zeros((0, 2), dtype=np.intp)
    lengths = np.array([len(array) for array in arrays], dtype=np.intp)
    return TokenBatch(char_start=offsets[:, 0], char_end=offsets.sum(axis=1), lengths=lengths)


def _forward(
    settings: EncoderSettings, model: Model[list[Doc], EncodedDocs], docs: list[Doc], is_train: bool
) -> tuple[EncodedDocs, Callable[[EncodedGradient], list[Doc]]]:
    adapt_to_fork()
    shim: TorchShim = model.shims[0]
    module: BertModule = shim.module
    plan = _plan(docs, module, *_find_window(settings, module, shim.spec["config"]))
    dtype = find_dtype(settings.precision, module.device)
    learns = is_train and any(parameter.requires_grad for parameter in module.parameters())
    if not learns:
        with torch.inference_mode():
            return _encode(shim.get_inference_module(dtype), plan, settings.max_pieces), _ignore_gradient
    module.train()
    with torch.autocast(module.device.type, dtype=torch.bfloat16, enabled=dtype == torch.bfloat16):
        encoded = _encode(module, plan, settings.max_pieces)

    def backprop(gradient: EncodedGradient) -> list[Doc]:
        pairs = [
            (encoded.token_vectors, gradient.token_vectors),
            (encoded.doc_vectors, gradient.doc_vectors),
        ]
        used = [(output, d_output) for output, d_output in pairs if d_output is not None and output.requires_grad]
        torch.autograd.backward([output for output, _ in used], [d_output for _, d_output in used])
        return []

    return encoded, backprop


def _ignore_gradient(gradient: EncodedGradient) -> list[Doc]:
    return []


def _encode(module: BertModule, plan: EncodingPlan, max_pieces: int) -> EncodedDocs:
    """Run the windows bucket by bucket, and put the states that are wanted back in order."""
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
