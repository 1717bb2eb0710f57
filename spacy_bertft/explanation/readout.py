"""What a prediction is read from: which states of which windows, and what the head makes of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import torch

from spacy_bertft.errors import DataError, UnsupportedError
from spacy_bertft.models.encoder.build import BertEncoder
from spacy_bertft.models.encoder.forward import EncodingPlan
from spacy_bertft.models.encoder.module import pool_windows
from spacy_bertft.models.heads.head import HeadModel
from spacy_bertft.models.heads.layers import TokenHead
from spacy_bertft.models.heads.text import TextModel
from spacy_bertft.models.heads.token import TokenModel
from spacy_bertft.tokens.alignment import Ints

Mix = Callable[[torch.Tensor], torch.Tensor]


class EntityTarget(NamedTuple):
    """The scores of the tags of an entity, added up.

    Attributes:
        token_start: Its first token.
        token_end: One past its last token.
        spell: Gives the outputs of the model that spell an entity, by the number of its tokens that have a piece.
    """

    token_start: int
    token_end: int
    spell: Callable[[int], Sequence[int]]


class Readout(NamedTuple):
    """The part of a prediction that comes from one window.

    Attributes:
        window: The window.
        columns: `(R,)` where the states stand that the head reads.
        share: How much of all that is read is in this window, from 0 to 1.
        score: What the head makes of features, `(n, P, F)` → `(n,)`. The score of a prediction is the sum over windows.
    """

    window: int
    columns: Ints
    share: float
    score: Callable[[torch.Tensor], torch.Tensor]


def find_encoder(model: HeadModel[Any]) -> BertEncoder:
    """Return the encoder under a head, its own or the one of a `bert_encoder`.

    Raises:
        UnsupportedError: It is another one, such as a `transformer` of spacy-transformers.
        MissingEncoderError: The head listens to none.
    """
    encoder = model.find_source()
    if not isinstance(encoder, BertEncoder):
        model.encoder.check_link()
        raise UnsupportedError(
            f"An encoder of the kind '{model.encoder.name}' cannot be explained. Expected spacy-bertft.BertEncoder.v1, "
            "the head's own or that of a bert_encoder; a transformer of spacy-transformers is none."
        )
    return encoder


@torch.no_grad()
def read_category(
    model: TextModel, column: int, plan: EncodingPlan, run: Callable[[int], torch.Tensor], mix: Mix
) -> list[Readout]:
    """Find what the score of a label is read off.

    The windows of a long text count as they do in the text classifier. Of their maximum, this is the window that has
    it.

    Args:
        model: A text classifier.
        column: The output of the label.
        plan: The windows of one document.
        run: Gives the features of a window, `(1, P, F)`.
        mix: Makes states of features.
    """
    head = model.module
    windows, lengths = plan.text_window.tolist(), plan.layout.lengths[plan.text_window]

    def score(share: float, features: torch.Tensor) -> torch.Tensor:
        mask = torch.ones(features.shape[:2], dtype=torch.long, device=features.device)
        logits: torch.Tensor = head(mix(pool_windows(features, mask, model.vector)), 0.0)
        return logits[:, column] * share

    shares = lengths / lengths.sum()
    if model.windows != "mean" and len(lengths) > 1:
        scores = [float(score(1.0, run(window))) for window in windows] if model.windows == "max" else []
        shares = np.zeros(len(lengths))
        shares[int(np.argmax(scores)) if scores else 0] = 1.0
    is_one_read = model.vector == "first"
    return [
        Readout(window, np.arange(1 if is_one_read else length), share, partial(score, share))
        for window, length, share in zip(windows, lengths.tolist(), shares.tolist(), strict=True)
        if share
    ]


def read_entity(model: TokenModel, target: EntityTarget, plan: EncodingPlan, mix: Mix) -> list[Readout]:
    """Find what the scores of the tags of an entity are read off: the first piece of each of its tokens.

    Args:
        model: A token classifier.
        target: The entity.
        plan: The windows of one document.
        mix: Makes states of features.

    Raises:
        DataError: None of its tokens has a piece.
    """
    head: TokenHead = model.module
    bounds = np.searchsorted(plan.token_index, [target.token_start, target.token_end])
    piece = plan.token_piece[bounds[0] : bounds[1]]
    if not len(piece):
        raise DataError(
            f"The tokens {target.token_start} to {target.token_end} have no subword token, so the model says nothing "
            "of them. Expected a span with words in it."
        )
    tags = np.array(target.spell(len(piece)), dtype=np.intp)
    owner = plan.layout.windows.find_owners(piece)
    columns = plan.layout.find_columns(piece, owner)

    def score(columns: Ints, tags: Ints, features: torch.Tensor) -> torch.Tensor:
        n_texts, rows = len(features), torch.from_numpy(columns).to(features.device)
        logits = head(mix(features[:, rows].flatten(0, 1)), 0.0).view(n_texts, len(columns), -1)
        picked: torch.Tensor = logits[:, np.arange(len(tags)), tags].sum(dim=1)
        return picked

    return [
        Readout(window, columns[here], float(here.mean()), partial(score, columns[here], tags[here]))
        for window in np.unique(owner).tolist()
        for here in [owner == window]
    ]
