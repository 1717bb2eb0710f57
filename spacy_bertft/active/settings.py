"""What counts in a choice of texts."""

from __future__ import annotations

from dataclasses import dataclass

from spacy_bertft.errors import SettingError


@dataclass(frozen=True)
class SuggestSettings:
    """What counts in a choice of texts; see `suggest`.

    Attributes:
        n_texts: How many texts to choose.
        diversity: From 0, the most uncertain texts, to 1, texts as different as possible.
        candidates: How many of the most uncertain texts the choice is made among, in multiples of `n_texts`.

    Raises:
        SettingError: A setting is outside what is allowed.
    """

    n_texts: int = 100
    diversity: float = 0.5
    candidates: int = 10

    @property
    def n_candidates(self) -> int:
        """Among how many of the most uncertain texts the choice is made."""
        return self.n_texts * self.candidates

    def __post_init__(self) -> None:
        for name, value in (("n_texts", self.n_texts), ("candidates", self.candidates)):
            if value < 1:
                raise SettingError(name, value, "a number from 1 on")
        if not 0 <= self.diversity <= 1:
            raise SettingError("diversity", self.diversity, "a number from 0 to 1")
