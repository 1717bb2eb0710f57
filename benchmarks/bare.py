"""The floor: an encoder of transformers fed by torch alone, in the best buckets, with nothing else done."""

from __future__ import annotations

import time
from collections.abc import Sequence

import torch
from spacy.tokens import Doc

from spacy_bertft.checkpoints import find_checkpoint_dir
from spacy_bertft.models.plan import plan_encoding
from spacy_bertft.pieces import PieceTokenizer, cut_buckets

WINDOW, STRIDE, MAX_PIECES = 510, 446, 1024

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
        self.tokenizer = PieceTokenizer((folder / "tokenizer.json").read_text(encoding="utf-8"))
        self.model = AutoModel.from_pretrained(folder).to(dtype).eval()
        self.model.pooler = None  # no tagger looks at it

    def cut(self, docs: Sequence[Doc]) -> list[Bucket]:
        """Cut documents into pieces, windows and buckets; all windows are sorted by length at once."""
        plan = plan_encoding(list(docs), self.tokenizer, WINDOW, STRIDE, has_tokens=False)
        padded = [plan.layout.pad(bucket, 0) for bucket in cut_buckets(plan.layout.lengths, MAX_PIECES)]
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
