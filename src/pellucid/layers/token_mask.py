"""Which tokens of a text have a vector, in late interaction (Khattab and Zaharia, "ColBERT", 2020)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pellucid.reprs import short_repr
from pellucid.types import TokenBatch


@dataclass(frozen=True)
class TokenMask:
    """Tells which tokens of texts have a vector.

    Attributes:
        skipped: the ids of tokens that have none, such as punctuation.
        only: the only ids of tokens that have one; None for all.
        first: how many tokens at the start of each text have none.
        attended: True if the tokens that the others do not look at have none.
    """

    skipped: tuple[int, ...] = ()
    only: tuple[int, ...] | None = None
    first: int = 0
    attended: bool = False

    __repr__ = short_repr

    def kept(self, tokens: TokenBatch) -> npt.NDArray[np.bool_]:
        """Which tokens have a vector, ``bool[T]``."""
        kept = ~np.isin(tokens.ids, self.skipped)
        if self.only is not None:
            kept &= np.isin(tokens.ids, self.only)
        places = np.arange(len(tokens.ids)) - np.repeat(tokens.offsets[:-1], tokens.lengths)
        kept &= places >= self.first
        if self.attended and tokens.attended is not None:
            kept &= places < np.repeat(tokens.attended, tokens.lengths)
        return kept
