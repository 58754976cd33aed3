"""The engine "native" for static models: the mean of each text's rows in a table, in C++.

A static model has no layers, so nothing but memory limits it. The table stays as it is in its file: float32, float16,
bfloat16 or int8, mapped and never copied. The rows of a text are added up where they lie. No array of token vectors is
made, unless a finish needs one.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any, TypeVar, cast

import numpy as np

from pellucid.engines.base import Engine
from pellucid.engines.threads import MAX_THREADS, usable_processors
from pellucid.errors import OptionError
from pellucid.layers.finish import Finish, Pool
from pellucid.model.spec import EncoderSpec
from pellucid.model.stored import TokenTable
from pellucid.types import Float32, TokenBatch

Result = TypeVar("Result")


class StaticEngine(Engine):
    """A static model in C++. Its results are within rounding of the reference.

    Attributes:
        threads: the most threads that a call may use; by default, all available CPU cores.

    Raises:
        OptionError: ``dtype`` is not "float32", or ``threads`` exceeds the limit of 16,384.
    """

    name = "native"
    tokens_per_call = 1 << 18
    sorts_texts = False

    def __init__(
        self, spec: EncoderSpec, table: TokenTable, *, dtype: str = "float32", threads: int | None = None
    ) -> None:
        from pellucid import _native

        if dtype != "float32":
            raise OptionError(
                f"dtype={dtype!r} does nothing for a static model, which adds up the rows of its table and multiplies "
                f"nothing. Leave dtype out: a table that is stored as float16 or int8 is read as it is.",
                "dtype",
            )
        self.threads = threads or usable_processors()
        if self.threads > MAX_THREADS:
            raise OptionError(
                f"threads={threads} exceeds the limit of {MAX_THREADS:,} of engine='native'. Choose fewer.", "threads"
            )
        self.spec = spec
        self._table = table
        self._core = _native.TokenTable(rows=table.rows, mapping=table.mapping, weights=table.weights)

    def token_vectors(self, batch: TokenBatch) -> Float32:
        """The rows of the tokens, ``float32[T, hidden]``; see :class:`~pellucid.engines.base.Engine`."""
        return self._table[batch.ids]

    def run(self, batch: TokenBatch, finish: Finish[Result]) -> Result:
        """Pool where the rows are, if ``finish`` takes the mean of all tokens, as every static model does."""
        any_finish: object = finish  # Type checkers cannot narrow a Finish[Result] to a Pool.
        if isinstance(any_finish, Pool) and any_finish.pooling.modes == ("mean",) and not any_finish.skipped_tokens:
            return cast("Result", any_finish.after_pooling(self._means(batch)))
        return super().run(batch, finish)

    def run_each(self, requests: Sequence[tuple[TokenBatch, Finish[Any]]]) -> list[Any]:
        """Run each request by itself: joining them saves nothing."""
        return [self.run(batch, finish) for batch, finish in requests]

    def _means(self, batch: TokenBatch) -> Float32:
        means = np.empty((len(batch), self.spec.hidden_size), dtype=np.float32)
        in_main_thread = threading.current_thread() is threading.main_thread()  # Only that thread receives Ctrl-C.
        self._core.means(batch.ids, batch.offsets, means, self.threads, in_main_thread)
        return means
