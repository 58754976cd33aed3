"""The contract of an engine. An engine does the arithmetic of an encoder: token ids in, token vectors out.

This file is everything that the rest of Pellucid knows of an engine. An engine knows nothing of text, files or the
network. :mod:`pellucid.engines.registry` creates engines by name.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, TypeVar

import numpy as np

from pellucid.layers.finish import Finish
from pellucid.types import Float32, Int32, MultiVectors, TokenBatch
from pellucid.vectors.maxsim import maxsim

Result = TypeVar("Result")

TOKENS_PER_CALL = 8192
"""The most tokens in one call, unless an engine says otherwise. That is large enough to hide the cost of a call, and
small enough to bound the memory of a call whatever the input: 8192 token vectors of 768 floats are 25 MB."""


class Engine(ABC):
    """Turns token ids into token vectors. Several threads may call one engine at the same time.

    Attributes:
        name: the engine's name in ``pellucid.engines.registry``.
        dtype: the number type of the arithmetic: "float32", "int8", ….
        device: where the arithmetic happens: "cpu", or PyTorch's name of a device.
        tokens_per_call: the most tokens to give the engine in one call; a single longer text is one call too.
        sorts_texts: True if calls are faster when their texts have similar lengths. Otherwise texts keep their order,
            which saves sorting them.
        reads_attended: True if the engine heeds ``TokenBatch.attended``. Only then may a batch have it.
    """

    name: str
    dtype: str = "float32"
    device: str = "cpu"
    tokens_per_call: int = TOKENS_PER_CALL
    sorts_texts: bool = True
    reads_attended: bool = False

    def __repr__(self) -> str:
        return f"{type(self).__name__}(dtype={self.dtype!r}, device={self.device!r})"

    @abstractmethod
    def token_vectors(self, batch: TokenBatch) -> Float32:
        """Compute the encoder's last hidden state.

        Args:
            batch: the texts. Ids are in ``[0, vocab_size)``, and no text is longer than the spec's ``max_tokens``. A
                text may have no tokens, if the tokenizer adds no special ones; then it has no rows either.

        Returns:
            ``float32[T, hidden_size]``; row ``t`` belongs to ``batch.ids[t]``. The rows of a text depend on that text
            alone, to the bit: not on its neighbours, their order, or the number of threads. Only the engine "torch" is
            less strict: its rows may differ by rounding.
        """

    def wanted_vectors(self, batch: TokenBatch, wanted: Int32) -> Float32:
        """Compute the vector of one token of each text.

        An engine that computes nothing else in its last layer overrides this.

        Args:
            batch: the texts, as for :meth:`token_vectors`. Each has at least one token.
            wanted: ``int32[B]``, the position of that token in each text.

        Returns:
            ``float32[B, hidden_size]``, with the same bits as the rows of :meth:`token_vectors`.
        """
        vectors: Float32 = self.token_vectors(batch)[batch.offsets[:-1] + wanted]
        return vectors

    def run(self, batch: TokenBatch, finish: Finish[Result]) -> Result:
        """Compute the token vectors, and turn each text's vectors into its result.

        An engine may compute the finish where its token vectors are, as on a GPU. Its results must agree with this
        method's, up to rounding.

        Args:
            batch: the texts, as for :meth:`token_vectors`.
            finish: turns each text's token vectors into its result.
        """
        # The token vectors get no name here, so that they are freed before the next call makes new ones.
        if (wanted := finish.wanted(batch.lengths)) is not None:
            return self.apply(finish, self.wanted_vectors(batch, wanted), batch.pick(wanted))
        return self.apply(finish, self.token_vectors(batch), batch)

    def apply(self, finish: Finish[Result], vectors: Float32, tokens: TokenBatch) -> Result:
        """Turn token vectors into results. An engine that has a faster way for some finish overrides this.

        Args:
            finish: turns each text's token vectors into its result.
            vectors: ``float32[T, hidden_size]``.
            tokens: the texts that they belong to.
        """
        return finish(vectors, tokens)

    def maxsim(self, query: Float32, documents: MultiVectors) -> Float32:
        """Score documents for a query: ``float32[n]``; see :func:`pellucid.vectors.maxsim.maxsim`.

        A document's score depends on that document and the query alone, to the bit.
        """
        return maxsim(query, documents)

    def run_each(self, requests: Sequence[tuple[TokenBatch, Finish[Any]]]) -> list[Any]:
        """Run several requests in one call, each with its own finish.

        An engine that overrides :meth:`run` may make one call for each finish instead.

        Args:
            requests: the texts of each request, and the finish that makes their results.

        Returns:
            The result of each request.
        """
        batches = [batch for batch, _ in requests]
        joined = TokenBatch.join(batches)
        wanted = [tokens for batch, finish in requests if (tokens := finish.wanted(batch.lengths)) is not None]
        if len(wanted) == len(requests):
            vectors = self.wanted_vectors(joined, np.concatenate(wanted))
            batches = [batch.pick(positions) for batch, positions in zip(batches, wanted, strict=True)]
        else:
            vectors = self.token_vectors(joined)
        ends = np.cumsum([len(batch.ids) for batch in batches])[:-1]
        return [
            self.apply(finish, part, batch)
            for part, batch, (_, finish) in zip(np.split(vectors, ends), batches, requests, strict=True)
        ]
