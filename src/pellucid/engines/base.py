"""The contract of an engine, which does the arithmetic of an encoder. This file is all that anyone may ask of one.

An engine knows nothing of text, files of texts, or the network. :mod:`pellucid.engines.registry` makes one by its name.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TypeVar

from pellucid.layers.finish import Finish
from pellucid.types import Float32, TokenBatch

Result = TypeVar("Result")

TOKENS_PER_CALL = 8192
"""Tokens in one call: large enough to hide the cost of a call, small enough that the token vectors that it returns
(8192 × 768 floats are 25 MB) bound the memory, whatever the input."""


class Engine(ABC):
    """Turns token ids into token vectors.

    Attributes:
        name: as :mod:`pellucid.engines.registry` knows it.
        dtype: of the arithmetic: "float32", "int8", ….
        device: "cpu", or where the model is, as PyTorch names it.
        tokens_per_call: how many tokens it is best given in one call.
    """

    name: str
    dtype: str = "float32"
    device: str = "cpu"
    tokens_per_call: int = TOKENS_PER_CALL

    @abstractmethod
    def token_vectors(self, batch: TokenBatch) -> Float32:
        """The encoder's last hidden state.

        Args:
            batch: ids in ``[0, vocab_size)``; no text longer than the spec's ``max_tokens``. A text may have no tokens,
                where the tokenizer adds no special ones, and then has no rows.

        Returns:
            ``float32[T, hidden_size]``, row ``t`` for ``batch.ids[t]``. The rows of a text depend on that text alone:
            not on its neighbours, on their order, or on the number of threads. (Of "torch", but for rounding.)
        """

    def run(self, batch: TokenBatch, finish: Finish[Result]) -> Result:
        """The token vectors of some texts, and what is made of them.

        An engine whose token vectors are far away, in a GPU, may do a finish there. It is held to these lines.

        Args:
            batch: as for :meth:`token_vectors`.
            finish: what is made of each text's token vectors.
        """
        # Token vectors have no name, so that those of one call are gone before the next are made.
        return finish(self.token_vectors(batch), batch.offsets)
