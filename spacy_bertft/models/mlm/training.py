"""Continued masked-language-model pretraining: from a checkpoint to its weights after some steps."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np
import torch
from thinc.api import warmup_linear
from tqdm import tqdm

from spacy_bertft.checkpoints import Checkpoint
from spacy_bertft.errors import DivergedError
from spacy_bertft.models.mlm.model import MaskedLanguageModel, export_masked_model, load_masked_model
from spacy_bertft.models.mlm.texts import IGNORED, MaskedTexts, MaskedWindows
from spacy_bertft.models.runtime.devices import Precision, check_gpu, find_training_dtype
from spacy_bertft.training.optimizer import ScaledParameter, configure_adamw

_WARMUP_SHARE = 0.1
_WEIGHT_DECAY = 0.01
# Share of the steps in which a new head learns alone: what it sends back at first would spoil a trained encoder.
_ALONE_SHARE = 0.2
# Steps over which the loss that is shown is averaged, about.
_N_SHOWN = 20


@dataclass(frozen=True, kw_only=True)
class MaskedSettings:
    """How a model is trained for masked language modeling.

    Attributes:
        epochs: How often each text is seen, with other pieces hidden each time.
        n_steps: How many steps there are instead; None to go by the epochs.
        batch_pieces: Most pieces of a step, padding included.
        learn_rate: The highest rate, after a tenth of the steps; then it falls to 0.
        precision: `auto`, `fp32` or `bf16`.
        gpu_id: Number of the GPU; −1 for the CPU.
        seed: Of the order of texts, of what is hidden, of dropout, and of a head that starts from nothing.
    """

    epochs: int
    n_steps: int | None
    batch_pieces: int
    learn_rate: float
    precision: Precision
    gpu_id: int
    seed: int


@dataclass(frozen=True, eq=False)
class Adapted:
    """A checkpoint that has learned.

    Attributes:
        checkpoint: The checkpoint.
        has_had_head: Whether it had a head for masked language modeling.
        n_steps: Steps that were made.
        loss_before: Mean loss of a hidden piece of the held-out texts, in nats; None where no text was held out.
        loss_after: The same afterwards, with the same pieces hidden.
    """

    checkpoint: Checkpoint
    has_had_head: bool
    n_steps: int
    loss_before: float | None
    loss_after: float | None


def adapt_checkpoint(
    checkpoint: Checkpoint, texts: MaskedTexts, held_out: MaskedTexts | None, settings: MaskedSettings
) -> Adapted:
    """Continue the masked-language-model pretraining of a checkpoint on texts.

    Torch's own random numbers are afterwards as they were before.

    Args:
        checkpoint: The checkpoint.
        texts: What it learns from; at least one window.
        held_out: What it is measured on, if it is.
        settings: How it learns.

    Raises:
        CheckpointError: It cannot be used.
        DivergedError: The loss or a weight is not finite.
        SettingError: The GPU cannot be used.
    """
    check_gpu(settings.gpu_id, needs_cupy=False)
    device = torch.device("cpu") if settings.gpu_id < 0 else torch.device("cuda", settings.gpu_id)
    rng = np.random.default_rng(settings.seed)
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        torch.manual_seed(settings.seed)
        model, has_head = load_masked_model(checkpoint)
        model.to(device)
        exam = [] if held_out is None else [held_out.mask(each, rng) for each in held_out.cut(settings.batch_pieces)]
        steps = texts.plan_steps(settings.batch_pieces, epochs=settings.epochs, n_steps=settings.n_steps, rng=rng)
        before = measure_loss(model, exam, settings)
        n_alone = 0 if has_head else round(_ALONE_SHARE * len(steps))
        learn(model, (texts.mask(each, rng) for each in steps), len(steps), settings, n_alone=n_alone)
        after = measure_loss(model, exam, settings)
    if not all(parameter.isfinite().all() for parameter in model.parameters()):
        raise DivergedError(settings.learn_rate)
    return Adapted(export_masked_model(model, checkpoint), has_head, len(steps), before, after)


def learn(
    model: MaskedLanguageModel,
    batches: Iterator[MaskedWindows],
    n_steps: int,
    settings: MaskedSettings,
    *,
    n_alone: int = 0,
) -> None:
    """Make a step for each batch.

    Args:
        model: What learns.
        batches: What it learns from.
        n_steps: How many batches there are.
        settings: How it learns.
        n_alone: In how many of the first steps the head learns alone.

    Source: Kumar et al. (2022) for the head that learns first.

    Raises:
        DivergedError: A gradient is not finite.
    """
    # The first rate of a schedule is 0, at which nothing would be learned.
    rates: Any = islice(warmup_linear(settings.learn_rate, round(_WARMUP_SHARE * n_steps), n_steps + 1), 1, None)
    optimizer = configure_adamw(rates, weight_decay=_WEIGHT_DECAY)
    parameters = [ScaledParameter(parameter, 1.0, name) for name, parameter in model.named_parameters()]
    model.train()
    shown = None
    with tqdm(batches, desc="Adapting", unit=" steps", total=n_steps, disable=None) as bar:
        for step, batch in enumerate(bar):
            model.encoder.requires_grad_(step >= n_alone)
            loss = _compute_loss(model, batch, settings)
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step_torch(id(model), parameters)
            optimizer.step_schedules()  # type: ignore[no-untyped-call]
            shown = loss.item() if shown is None else shown + (loss.item() - shown) / _N_SHOWN
            bar.set_postfix(loss=f"{shown:.3f}", refresh=False)


@torch.no_grad()
def measure_loss(
    model: MaskedLanguageModel, batches: Sequence[MaskedWindows], settings: MaskedSettings
) -> float | None:
    """Return the mean loss of a hidden piece, in nats; None where there is no batch.

    Raises:
        DivergedError: It is not finite.
    """
    if not batches:
        return None
    model.eval()
    losses = [_compute_loss(model, batch, settings).item() for batch in batches]
    loss = float(np.average(losses, weights=[(batch.labels != IGNORED).sum() for batch in batches]))
    if not math.isfinite(loss):
        raise DivergedError(settings.learn_rate)
    return loss


def _compute_loss(model: MaskedLanguageModel, batch: MaskedWindows, settings: MaskedSettings) -> torch.Tensor:
    device = model.device
    ids, mask, labels = (torch.from_numpy(array).to(device) for array in (batch.ids, batch.mask, batch.labels))
    wanted = labels != IGNORED
    dtype = find_training_dtype(settings.precision, device)
    with torch.autocast(device.type, dtype=torch.bfloat16, enabled=dtype == torch.bfloat16):
        scores = model(ids, mask, wanted)
    return torch.nn.functional.cross_entropy(scores.float(), labels[wanted])
