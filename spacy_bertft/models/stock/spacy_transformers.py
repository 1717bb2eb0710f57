"""What binds us to spacy-transformers, the only file that imports it (extra `spacy-transformers`)."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from spacy.language import Language
from spacy.tokens import Doc, Span
from spacy_transformers.data_classes import FullTransformerBatch, TransformerData, WordpieceBatch
from spacy_transformers.layers.listener import TransformerListener
from spacy_transformers.layers.listener import forward as stock_listen
from spacy_transformers.pipeline_component import Transformer
from thinc.api import torch2xp, xp2torch
from thinc.types import Ragged
from transformers.modeling_outputs import BaseModelOutput

from spacy_bertft.checkpoints import Checkpoint
from spacy_bertft.checkpoints.checkpoint import clean_config
from spacy_bertft.errors import NotInitializedError, UnsupportedError
from spacy_bertft.models.encoder.build import PretrainedModel, backprop_encoded
from spacy_bertft.models.encoder.forward import read_tokens
from spacy_bertft.models.encoder.listener import SharedEncoder
from spacy_bertft.models.encoder.module import BertModule, pool_windows
from spacy_bertft.models.encoder.settings import EncoderSettings
from spacy_bertft.models.encoder.shared import Backprop, SharedStates
from spacy_bertft.models.encoder.states import CHOICES, EncodedDocs, EncodedGradient, Output, join_docs
from spacy_bertft.models.stock.model import GetSpans, SpanGrid, encode_grid, plan_grid
from spacy_bertft.tokens import PieceTokenizer, TokenBatch
from spacy_bertft.tokens.alignment import find_overlaps, group_tokens


class StockListener(SharedEncoder, TransformerListener):  # type: ignore[misc]
    """A shared encoder that a stock `transformer` takes for one of its own listeners.

    A token is represented by the first piece that the stock alignment gives it, a window is one of the stock spans.

    Attributes:
        is_lost: Whether it listened to a `bert_encoder` that has left the pipeline. A stock `transformer` does not say
            to what layers it is linked, so that one may be missing is otherwise seen only when it is needed.
    """

    _batch_id: int | None
    _outputs: Any
    _backprop: Any

    def __init__(self, upstream_name: str, grad_factor: float = 1.0) -> None:
        SharedEncoder.__init__(self, upstream_name, grad_factor)
        self._batch_id = self._outputs = self._backprop = None
        self.is_lost = False

    def connect(self, states: SharedStates) -> None:
        """Listen to the encoder of a `bert_encoder`, and to no other one."""
        super().connect(states)
        self.is_lost = False

    def disconnect(self) -> None:
        """Listen to no `bert_encoder`."""
        self.is_lost = self.is_lost or self.states is not None
        super().disconnect()

    def check_link(self, nlp: Language | None = None) -> None:
        """Raise unless there is an encoder to listen to, as far as that is known; see `SharedEncoder.check_link`."""
        if self.states is None and nlp is not None:
            name = self.upstream_name
            self._check_upstream(nlp, lambda pipe: isinstance(pipe, Transformer) and name in ("*", pipe.name))
            self.is_lost = False
        elif self.states is not None or self.is_lost:
            super().check_link(nlp)

    def find_width(self) -> int:
        """Return the width of the states, which a stock `transformer` has set."""
        if self.states is None and self.has_dim("nO"):
            return self.get_dim("nO")
        return super().find_width()

    def listen(self, docs: list[Doc], is_train: bool) -> tuple[EncodedDocs, Backprop]:
        """Return the states of a batch, and where to send their gradient."""
        if self.states is not None or self.is_lost:
            return super().listen(docs, is_train)
        if {"contexts", *CHOICES} & {*self.outputs}:
            raise UnsupportedError(
                f"{self.component_name} cannot answer questions or choose endings over a stock transformer. Expected a "
                "bert_encoder."
            )
        if not is_train or self._batch_id is None:
            self._check_transformed(docs)
        datas, backprop_datas = stock_listen(self, docs, is_train)
        states = [_read_states(data, is_train) for data in datas]
        encoded = _encode(docs, datas, states, self.outputs or ["tokens"], self.get_dim("nO"))

        def backprop(gradient: EncodedGradient) -> list[Doc]:
            backprop_encoded(encoded, gradient)
            # Like the stock listeners, leave out documents without tokens.
            learned = [(data, each) for data, each in zip(datas, states, strict=True) if each is not None]
            backprop_datas([_wrap(data, each, self.attrs["grad_factor"]) for data, each in learned])
            return []

        return encoded, backprop

    def _check_transformed(self, docs: list[Doc]) -> None:
        """Raise unless documents have states; the stock layer takes zeros for those that are missing."""
        if not Doc.has_extension("trf_data") or any(len(doc) and doc._.trf_data is None for doc in docs):
            raise NotInitializedError(
                f"{self.component_name or 'A shared encoder'}: no transformer has run over the documents. Expected "
                "one before it in the pipeline that is enabled, and named in annotating_components if components "
                "annotate in training."
            )


def _read_states(data: TransformerData, is_train: bool) -> torch.Tensor | None:
    """Return the states of a document, `(W, P, H)`; None where it has no token."""
    if "last_hidden_state" not in data.model_output:
        return None
    states: torch.Tensor = xp2torch(data.model_output.last_hidden_state).detach()
    return states.requires_grad_(is_train) if states.numel() else None


def _wrap(data: TransformerData, states: torch.Tensor, grad_factor: float) -> TransformerData:
    """Put the gradient of states into what the stock component takes it from."""
    gradient = torch.zeros_like(states) if states.grad is None else states.grad * grad_factor
    output = BaseModelOutput(last_hidden_state=cast(Any, torch2xp(gradient)))
    return TransformerData(wordpieces=data.wordpieces, model_output=output, align=data.align)


def _encode(
    docs: list[Doc], datas: list[TransformerData], states: list[torch.Tensor | None], outputs: list[Output], width: int
) -> EncodedDocs:
    parts = [_encode_one(data, each, outputs, width) for data, each in zip(datas, states, strict=True)]
    if not parts:
        none, nothing = torch.zeros(0, width), np.zeros(0, dtype=np.intp)
        return EncodedDocs(dict.fromkeys(["tokens", *outputs], none), nothing, nothing, nothing, nothing, nothing)
    return join_docs(parts, docs)


def _encode_one(data: TransformerData, states: torch.Tensor | None, outputs: list[Output], width: int) -> EncodedDocs:
    if states is None:
        # A document without tokens has a window all the same, as with an encoder of ours.
        states, mask = torch.zeros(1, 1, width), torch.ones(1, 1, dtype=torch.long)
        token = end = piece = np.zeros(0, dtype=np.intp)
    else:
        pieces = np.asarray(data.wordpieces.attention_mask)[:, : states.shape[1]]
        mask = torch.as_tensor(pieces, device=states.device).long()
        token, end, piece = _find_first_pieces(data) if "tokens" in outputs else np.zeros((3, 0), dtype=np.intp)
    tokens = states.flatten(0, 1).index_select(0, torch.from_numpy(piece).to(states.device))
    wanted: list[Output] = ["tokens", *outputs]
    vectors = {output: tokens if output == "tokens" else pool_windows(states, mask, output) for output in wanted}
    return EncodedDocs(
        vectors=vectors,
        token_index=token,
        token_end=end,
        lengths=np.array([len(token)], dtype=np.intp),
        window_doc=np.zeros(len(states), dtype=np.intp),
        window_lengths=mask.sum(dim=1).cpu().numpy().astype(np.intp),
    )


def _find_first_pieces(data: TransformerData) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.intp]]:
    """Return the rows of a document as `group_tokens` does; pieces are counted through its windows."""
    lengths = np.asarray(data.align.lengths, dtype=np.intp)
    first = (np.cumsum(lengths) - lengths)[lengths > 0]
    piece_by_token = np.full(len(lengths), -1, dtype=np.intp)
    piece_by_token[lengths > 0] = np.asarray(data.align.dataXd).reshape(-1).astype(np.intp)[first]
    return group_tokens(piece_by_token)


class StockTransformer(PretrainedModel[FullTransformerBatch]):
    """The model of a stock `transformer`; see `build_transformer_model`."""

    def __init__(self, settings: EncoderSettings, get_spans: GetSpans) -> None:
        looked_up: Any = {"get_spans": get_spans, "replace_listener": _refuse_copy}  # by the stock component
        PretrainedModel.__init__(self, "transformer", _transform, settings, **looked_up)


def take_weights(model: StockTransformer, stock: Any) -> None:
    """Give a model of ours the configuration, the tokenizer and the weights of a trained stock one.

    Args:
        model: A model of ours.
        stock: A `spacy-transformers.TransformerModel` of any version.

    Raises:
        UnsupportedError: Its tokenizer is a slow one.
        CheckpointError: Its family is not one that we build.
    """
    tokenizer = stock.tokenizer
    if not getattr(tokenizer, "is_fast", False):
        raise UnsupportedError(f"{type(tokenizer).__name__} is a slow tokenizer. Expected a fast one.")
    checkpoint = Checkpoint(
        name="the stock transformer",
        config=clean_config(json.loads(stock.transformer.config.to_json_string(use_diff=False))),
        tokenizer=PieceTokenizer(tokenizer.backend_tokenizer.to_str()),
        weights=stock.transformer.state_dict(),
    )
    model.load_checkpoint(checkpoint)


def _refuse_copy(model: Any) -> Any:
    raise UnsupportedError(
        "spacy-bertft.TransformerModel.v1 cannot be copied into a component that listens to it. Leave the listener."
    )


def _transform(
    model: StockTransformer, docs: list[Doc], is_train: bool
) -> tuple[FullTransformerBatch, Callable[[FullTransformerBatch], list[Doc]]]:
    module: BertModule = model.module
    spans = [[span for span in each if len(span)] for each in model.attrs["get_spans"](docs)]
    flat = [span for each in spans for span in each]
    if not flat:
        return FullTransformerBatch.empty(len(docs)), lambda d_output: docs
    pieces = module.tokenizer.encode([span.text for span in flat], keep_whitespace=True)
    grid = plan_grid(pieces, module.tokenizer, *module.window, module.pad_id)
    states = model.run(is_train, partial(encode_grid, grid=grid, max_pieces=model.settings.max_pieces))
    batch = _make_batch(spans, grid, states, module)

    def backprop(d_output: FullTransformerBatch) -> list[Doc]:
        [d_states] = d_output.model_output.to_tuple()
        if states.requires_grad:
            torch.autograd.backward(states, d_states.to(states))
        return docs

    return batch, backprop


def _make_batch(
    spans: list[list[Span]], grid: SpanGrid, states: torch.Tensor, module: BertModule
) -> FullTransformerBatch:
    mask = (np.arange(grid.width) < grid.lengths[:, None]).astype(np.float32)
    wordpieces = WordpieceBatch(
        strings=module.tokenizer.names[grid.ids].tolist(),
        input_ids=cast(Any, grid.ids),
        attention_mask=cast(Any, mask),
        lengths=grid.lengths.tolist(),
        token_type_ids=cast(Any, np.zeros_like(grid.ids)) if module.has_types else None,
    )
    data, lengths = _align_spans([span for each in spans for span in each], grid, len(module.tokenizer.prefix_ids))
    batch = FullTransformerBatch(
        spans=spans,
        wordpieces=wordpieces,
        model_output=BaseModelOutput(last_hidden_state=cast(Any, states)),
        align=Ragged(cast(Any, data), cast(Any, lengths)),
    )
    batch.cached_doc_data = _split(batch)
    return batch


def _align_spans(spans: list[Span], grid: SpanGrid, n_prefix: int) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Align as the stock model does: to every token all pieces that reach into it, in every span that has it.

    Returns:
        The pieces, counted through the grid, and how many there are of each token of each document that has spans.
    """
    docs = {id(span.doc): span.doc for span in spans}
    known = read_tokens(list(docs.values()))
    first = dict(zip(docs, np.cumsum(known.lengths) - known.lengths, strict=True))
    lengths = np.array([len(span) for span in spans], dtype=np.intp)
    start = np.array([first[id(span.doc)] + span.start for span in spans], dtype=np.intp)
    position = np.repeat(start - (np.cumsum(lengths) - lengths), lengths) + np.arange(lengths.sum())
    offset = np.repeat(known.char_start[start], lengths)  # pieces are counted from the first character of their span
    tokens = TokenBatch(known.char_start[position] - offset, known.char_end[position] - offset, lengths)
    token, piece = find_overlaps(grid.pieces, tokens)
    row = np.repeat(np.arange(len(spans)), grid.pieces.lengths)
    rank = np.arange(len(row)) - (np.cumsum(grid.pieces.lengths) - grid.pieces.lengths)[row]
    cell = row * grid.width + n_prefix + rank
    owner = position[token]
    order = np.argsort(owner, kind="stable")
    return cell[piece[order]].astype(np.int32), np.bincount(owner, minlength=len(known.char_start)).astype(np.int32)


def _split(batch: FullTransformerBatch) -> list[TransformerData]:
    """Part a batch by document, as `FullTransformerBatch.split_by_doc` does, without looking at every token."""
    states = torch2xp(cast(Any, batch.model_output).last_hidden_state.detach())
    lengths, data = np.asarray(batch.align.lengths), np.asarray(batch.align.dataXd)
    ends = np.concatenate([[0], np.cumsum(lengths)])
    parts = []
    first_span = first_token = 0
    width = batch.wordpieces.input_ids.shape[1]
    for spans in batch.spans:
        if not spans:
            parts.append(TransformerData.empty())
            continue
        start, end = first_token + spans[0].start, first_token + spans[-1].end
        here = slice(first_span, first_span + len(spans))
        align = Ragged(cast(Any, data[ends[start] : ends[end]] - first_span * width), cast(Any, lengths[start:end]))
        output = BaseModelOutput(last_hidden_state=cast(Any, states)[here])
        parts.append(TransformerData(wordpieces=batch.wordpieces[here], model_output=output, align=align))
        first_span, first_token = here.stop, first_token + len(spans[0].doc)
    return parts
