"""Several GPUs in one process: each has the whole model, and gets its share of the texts."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import numpy as np

from pellucid.engines.base import Engine
from pellucid.layers.finish import EachToken, Finish
from pellucid.types import Float32, Int32, Int64, TokenBatch

Result = TypeVar("Result")


class SeveralDevices(Engine):
    """Runs texts on several engines at the same time. The engines have the same model, each on its own device.

    Args:
        engines: at least one engine.
        min_tokens: a call with fewer tokens runs on one engine alone. The engines take turns.
    """

    name = "torch"

    def __init__(self, engines: Sequence[Engine], min_tokens: int) -> None:
        self.engines = tuple(engines)
        self.dtype = engines[0].dtype
        self.device = ",".join(engine.device for engine in engines)
        self.tokens_per_call = sum(engine.tokens_per_call for engine in engines)
        self._min_tokens = min_tokens
        self._next = itertools.cycle(self.engines)

    def __repr__(self) -> str:
        return f"SeveralDevices({', '.join(map(repr, self.engines))})"

    def token_vectors(self, batch: TokenBatch) -> Float32:
        """See :meth:`pellucid.engines.base.Engine.token_vectors`."""
        return self.run(batch, EachToken()).vectors

    def run(self, batch: TokenBatch, finish: Finish[Result]) -> Result:
        """See :meth:`pellucid.engines.base.Engine.run`."""
        if len(batch.ids) < self._min_tokens or len(batch) == 1:
            return next(self._next).run(batch, finish)
        shares = deal(batch.lengths, len(self.engines))
        with ThreadPoolExecutor(len(shares)) as pool:
            running = [
                pool.submit(engine.run, batch.select(share), finish)
                for engine, share in zip(self.engines, shares, strict=False)
            ]
            results = [each.result() for each in running]
        return finish.merge(zip(shares, results, strict=True), len(batch))

    def run_each(self, requests: Sequence[tuple[TokenBatch, Finish[Any]]]) -> list[Any]:
        """See :meth:`pellucid.engines.base.Engine.run_each`. These are the few texts of a server's call: one engine."""
        return next(self._next).run_each(requests)


def deal(lengths: Int32, hands: int) -> list[Int64]:
    """Deal texts like cards, longest text first, so that all hands have about as many tokens.

    Args:
        lengths: the number of tokens of each text, ``int32[B]``.
        hands: how many hands there are, at least 1.

    Returns:
        The indices of the texts in each hand, in rising order. No hand is empty, so there may be fewer.

    >>> [hand.tolist() for hand in deal(np.array([1, 9, 5, 8, 2], dtype=np.int32), 2)]
    [[1, 2, 4], [0, 3]]
    """
    order = np.argsort(-lengths.astype(np.int64), kind="stable")
    return [np.sort(order[hand::hands]) for hand in range(min(hands, len(order)))]
