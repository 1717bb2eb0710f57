"""`spacy-bertft.LoRA.v1`: the settings of a low-rank adapter."""

# No `from __future__ import annotations`: confection reads signatures at run time.

from dataclasses import dataclass
from typing import Any, Literal, Optional

from spacy_bertft.errors import SettingError

SaveAdapter = Literal["apart", "merged"]


@dataclass(frozen=True)
class Lora:
    """The settings of an adapter; see `configure_lora`."""

    rank: int
    alpha: float
    dropout: float
    targets: Optional[list[str]]  # noqa: UP045
    save: SaveAdapter

    @property
    def spec(self) -> dict[str, Any]:
        """What the weights of the adapter depend on."""
        return {"rank": self.rank, "alpha": self.alpha, "dropout": self.dropout, "targets": self.targets}


def configure_lora(
    rank: int = 8,
    alpha: float = 16.0,
    dropout: float = 0.0,
    targets: Optional[list[str]] = None,  # noqa: UP045
    save: SaveAdapter = "apart",
) -> Lora:
    """Configure an adapter for an encoder, whose own weights then stay as they are. Needs the extra `peft`.

    Args:
        rank: Rank of the two matrices beside each weight matrix.
        alpha: Their product is scaled by `alpha / rank`.
        dropout: Rate of dropout before them.
        targets: Ends of the names of the linear layers that get them, such as `["query", "value"]`; by default all
            within the layers of the encoder.
        save: `"apart"` writes them in peft's format into a folder `adapter` beside the encoder; `"merged"` writes an
            encoder with the product added to its weights, which needs no peft.

    Raises:
        SettingError: A setting is outside what is allowed.

    Source: Hu et al. (2022), section 4.1.
    """
    if rank < 1:
        raise SettingError("adapter.rank", rank, "a positive number")
    if not 0 <= dropout < 1:
        raise SettingError("adapter.dropout", dropout, "a rate from 0 up to, but not 1")
    if save not in ("apart", "merged"):
        raise SettingError("adapter.save", save, "apart or merged")
    return Lora(rank, float(alpha), dropout, targets, save)
