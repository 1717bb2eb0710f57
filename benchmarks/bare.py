"""The floor: an encoder of transformers fed by torch alone, in the best buckets, with nothing else done."""

from __future__ import annotations

import time
from collections.abc import Sequence

import torch
from pipelines import WINDOW
from spacy.tokens import Doc

from spacy_bertft.checkpoints import find_checkpoint_dir, read_tokenizer
from spacy_bertft.checkpoints.checkpoint import find_window_size, read_config
from spacy_bertft.models.encoder.forward import plan_encoding
from spacy_bertft.models.encoder.settings import EncoderSettings
from spacy_bertft.tokens.windows import choose_stride, cut_buckets

Bucket = dict[str, torch.Tensor]


class BareTorch:
    """Run the same pieces through the same weights.

    Args:
        encoder: A checkpoint.
        dtype: The number format.
    """

    def __init__(self, encoder: str, dtype: torch.dtype) -> None:
        from transformers import AutoModel

        folder = find_checkpoint_dir(encoder)
        self.tokenizer = read_tokenizer(encoder)
        self.window = find_window_size(encoder, read_config(folder), WINDOW, self.tokenizer.n_special)
        self.model = AutoModel.from_pretrained(folder).to(dtype).eval()
        self.model.pooler = None  # no tagger looks at it

    def cut(self, docs: Sequence[Doc]) -> list[Bucket]:
        """Cut documents into pieces, windows and buckets; all windows are sorted by length at once."""
        plan = plan_encoding(list(docs), self.tokenizer, self.window, choose_stride(self.window), has_tokens=False)
        buckets = cut_buckets(plan.layout.lengths, EncoderSettings.max_pieces)
        padded = [plan.layout.pad(bucket, 0) for bucket in buckets]
        return [
            {
                "input_ids": torch.from_numpy(each.ids),
                "attention_mask": torch.from_numpy(each.mask),
                "token_type_ids": torch.from_numpy(each.types),
            }
            for each in padded
        ]

    @torch.inference_mode()
    def run(self, buckets: Sequence[Bucket]) -> float:
        """Return the seconds of one pass."""
        start = time.perf_counter()
        for bucket in buckets:
            self.model(**bucket)
        return time.perf_counter() - start
