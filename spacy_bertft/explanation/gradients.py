"""How much each token weighs in a prediction: attention, attention rollout, integrated gradients.

All three run the weights as they were trained, in float32 and without the layers that are made for speed. Each window
of a long text is explained by itself, and the weights are added up as the windows' scores are.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from spacy.tokens import Doc

from spacy_bertft.errors import UnsupportedError
from spacy_bertft.explanation.readout import EntityTarget, Readout, find_encoder, read_category, read_entity
from spacy_bertft.models.encoder.forward import EncodingPlan, plan_encoding, read_tokens
from spacy_bertft.models.encoder.inference import copy_bert
from spacy_bertft.models.encoder.module import BertModule
from spacy_bertft.tokens.alignment import Ints, sum_by_token

Method = Literal["attention", "rollout", "gradients"]
METHODS: tuple[Method, ...] = ("attention", "rollout", "gradients")

Floats = NDArray[np.float64]


class TokenWeights(NamedTuple):
    """How much each token of a document weighs in a prediction.

    Attributes:
        weights: `(T,)` one for each token of the document.
        outside: The weight of pieces that belong to no token, such as `[CLS]` and `[SEP]`.
        score: The score that is explained, before any temperature.
        baseline_score: What the model scores without the words; None without gradients.
    """

    weights: Floats
    outside: float
    score: float
    baseline_score: float | None

    def rescale(self, factor: float, shift: float) -> TokenWeights:
        """Return what the weights are if scores are multiplied by a factor and shifted; shares stay as they are."""
        if self.baseline_score is None:
            return self._replace(score=factor * self.score + shift)
        score, baseline = (factor * each + shift for each in (self.score, self.baseline_score))
        return TokenWeights(factor * self.weights, factor * self.outside, score, baseline)


def weigh_tokens(model: Any, doc: Doc, target: int | EntityTarget, method: Method, n_steps: int) -> TokenWeights:
    """Weigh the tokens of a document.

    A piece counts to the token that it is in, one that reaches into several in equal parts.

    `"attention"` is that of the last layer, the mean over its heads, from the pieces whose states the head reads: from
    `[CLS]` where the text classifier pools the first piece, from all pieces where it pools all of them, from the first
    piece of each token of an entity. `"rollout"` follows the attention through all layers down. Both sum to one with
    the weight outside.

    `"gradients"` integrates the gradient of the score over a straight path from a baseline to the embeddings of the
    pieces. In the baseline every piece of a token is the padding piece; special pieces and positions are the same. The
    weights sum to the difference of the two scores, up to the error of the integration.

    Args:
        model: A text classifier or a token classifier.
        doc: The document.
        target: What is to be explained: an output of a text classifier, or the entity of a token classifier.
        method: How to weigh.
        n_steps: For gradients, at how many points of the path they are taken.

    Raises:
        DataError: An entity is to be explained of which no token has a piece.
        UnsupportedError: The encoder is not one of ours, or does not return its attention.

    Source: Abnar & Zuidema (2020), eq. 1 and section 3 for rollout; Sundararajan et al. (2017), eq. 1 and 3.
    """
    encoder = find_encoder(model)
    with torch.inference_mode(False):
        module: BertModule = encoder.shim.derive("eager copy", _make_eager_copy)
        is_entity = isinstance(target, EntityTarget)
        plan = plan_encoding([doc], module.tokenizer, *module.window, has_tokens=is_entity, has_texts=not is_entity)
        mix = encoder.mix_shim.module if encoder.mix_shim else torch.nn.Identity()
        run = torch.no_grad()(partial(_run, module, plan))
        if isinstance(target, EntityTarget):
            readouts = read_entity(model, target, plan, mix)
        else:
            readouts = read_category(model, target, plan, run, mix)
        with torch.no_grad():
            score = sum(float(each.score(run(each.window))) for each in readouts)
        if method == "gradients":
            explained = [_integrate(module, plan, each, n_steps, encoder.settings.max_pieces) for each in readouts]
        else:
            explained = [_attend(module, plan, each, is_rollout=method == "rollout") for each in readouts]
    by_piece, baseline_score, total = np.zeros(len(plan.pieces.ids)), 0.0, 0.0
    for readout, part in zip(readouts, explained, strict=True):
        piece = _list_pieces(plan, readout.window)
        by_piece[piece] += part[0][plan.layout.find_columns(piece, np.full(len(piece), readout.window))]
        total += float(part[0].sum())
        baseline_score += part[1]
    weights = sum_by_token(by_piece, plan.pieces, read_tokens([doc]))
    return TokenWeights(weights, total - float(weights.sum()), score, baseline_score if method == "gradients" else None)


_WindowWeights = tuple[Floats, float]  # `(P,)` weights, special pieces included, and the score of the baseline


def _make_eager_copy(module: BertModule) -> BertModule:
    copied = copy_bert(module, torch.float32)
    copied.bert.config._attn_implementation = "eager"  # the others do not give their weights
    return copied


def _list_pieces(plan: EncodingPlan, window: int) -> Ints:
    windows = plan.layout.windows
    return np.arange(windows.piece_start[window], windows.piece_end[window])


def _lay_out(module: BertModule, plan: EncodingPlan, window: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the ids and the segment ids of a window, `(1, P)`."""
    padded = plan.layout.pad(np.array([window]), module.pad_id)
    return torch.from_numpy(padded.ids).to(module.device), torch.from_numpy(padded.types).to(module.device)


def _run(module: BertModule, plan: EncodingPlan, window: int) -> torch.Tensor:
    ids, types = _lay_out(module, plan, window)
    return module.run_embedded(module.embed(ids), types)


@torch.no_grad()
def _attend(module: BertModule, plan: EncodingPlan, readout: Readout, *, is_rollout: bool) -> _WindowWeights:
    layers = module.read_attentions(*_lay_out(module, plan, readout.window))
    if not layers:
        raise UnsupportedError(
            f"An encoder of type '{module.bert.config.model_type}' does not return its attention. "
            "Use the method gradients."
        )
    by_layer = [layer[0].double().mean(dim=0).cpu().numpy() for layer in layers]
    reached = roll_out(by_layer) if is_rollout else by_layer[-1]
    return reached[readout.columns].mean(axis=0) * readout.share, 0.0


def roll_out(layers: Sequence[Floats]) -> Floats:
    """Follow attention through layers, bottom up.

    Args:
        layers: `(P, P)` attention of each layer, the mean over its heads; rows sum to one.

    Returns:
        `(P, P)` how much of each input, by column, reaches each output, by row.

    Source: Abnar & Zuidema (2020), section 3: half of what a layer gives is what it was given.

    Example:
        >>> roll_out([np.array([[0.5, 0.5], [0.0, 1.0]])] * 2).tolist()
        [[0.5625, 0.4375], [0.0, 1.0]]
    """
    reached = np.eye(len(layers[0]))
    for layer in layers:
        reached = (0.5 * layer + 0.5 * np.eye(len(layer))) @ reached
    return reached


def _integrate(
    module: BertModule, plan: EncodingPlan, readout: Readout, n_steps: int, max_pieces: int
) -> _WindowWeights:
    from captum.attr import IntegratedGradients

    ids, types = _lay_out(module, plan, readout.window)
    with torch.no_grad():
        vectors, baseline = module.embed(ids), module.embed(_hide(module, plan, readout.window, ids))

    def score(vectors: torch.Tensor) -> torch.Tensor:
        return readout.score(module.run_embedded(vectors, types.expand(len(vectors), -1)))

    with torch.enable_grad():
        batch_size = max(1, max_pieces // ids.shape[1])
        by_feature = IntegratedGradients(score).attribute(
            vectors, baseline, n_steps=n_steps, internal_batch_size=batch_size
        )
    with torch.no_grad():
        return by_feature[0].double().sum(dim=1).cpu().numpy(), float(score(baseline))


def _hide(module: BertModule, plan: EncodingPlan, window: int, ids: torch.Tensor) -> torch.Tensor:
    """Replace with padding the pieces of a window that belong to a token."""
    pieces, piece = plan.layout.pieces, _list_pieces(plan, window)
    piece = piece[pieces.char_end[piece] > pieces.char_start[piece]]
    hidden = ids.clone()
    hidden[0, plan.layout.find_columns(piece, np.full(len(piece), window))] = module.pad_id
    return hidden
