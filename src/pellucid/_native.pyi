"""The C++ core as Python sees it. ``native/bindings.cpp`` implements this, and checks shapes and ranges.

All arrays are C-contiguous.
"""

from typing import Any, ClassVar

import numpy.typing as npt

from pellucid.types import Float32, Int8, Int32

_Stored = npt.NDArray[Any]  # float32, float16, bfloat16 (as uint16) or int8
_Linear = tuple[_Stored, Float32]  # weight [out, in] and bias [out]
_Norm = tuple[Float32, Float32 | None, float]  # weight [size], bias [size] and epsilon; no bias: root mean square
_Norms = tuple[_Norm | None, _Norm | None, _Norm | None]  # before the sublayer, after it, and of the sum
_Turns = tuple[Float32, Float32]  # cosines and sines, [positions, head_size / 2]

def instruction_sets() -> list[str]:
    """The instruction sets that this machine and the core both support, best first. The last is always "scalar"."""

def multiply_add_peak(cpu: str, threads: int, seconds: float) -> float:
    """Measure the highest speed of float32 multiply-adds in registers, in GFLOP/s."""

def product_peak(cpu: str, dtype: str, threads: int, seconds: float) -> float:
    """Measure the highest speed of the packed matrix product, with all its data in the caches, in GFLOP/s."""

class Encoder:
    """An encoder with packed weights. ``native/encoder.h`` documents it."""

    def __init__(
        self,
        *,
        cpu: str,
        dtype: str,
        word: _Stored,
        position: Float32 | None,
        token_type: Float32 | None,
        norm: _Norm | None,
        projection: _Linear | None,
        relative_bias: Float32 | None,
        places: Int32 | None,
        place_count: int,
        scale: float,
    ) -> None:
        """``scale`` is what the rows of ``word`` are multiplied by."""

    def add_layer(
        self,
        *,
        query: _Linear,
        key: _Linear,
        value: _Linear,
        attention_output: _Linear,
        attention_norms: _Norms,
        gate: _Linear | None,
        intermediate: _Linear,
        output: _Linear,
        feed_forward_norms: _Norms,
        heads: int,
        kv_heads: int,
        head_size: int,
        activation: str,
        before: int,
        after: int,
        turns: int,
        query_norm: _Norm | None,
        key_norm: _Norm | None,
        scale: float | None,
        place_keys: Float32 | None,
        place_queries: Float32 | None,
    ) -> None:
        """Add a layer, and pack its weights.

        ``before`` and ``after`` are how many tokens a token looks at in each direction, at most ``2 ** 30``. ``scale``
        is that of attention scores; None for ``1 / √head_size``. ``turns`` is an index into the ``turns`` of
        :meth:`token_vectors`, or -1 if the layer has no rotations.
        """

    def add_layer_again(self, number: int) -> None:
        """Add a layer that has the weights of an earlier one. ``number`` counts the layers of :meth:`add_layer`."""

    def add_final_norm(self, norm: _Norm) -> None:
        """Add the norm that follows the last layer."""

    def token_vectors(
        self,
        ids: Int32,
        positions: Int32,
        offsets: Int32,
        segments: Int8 | None,
        wanted: Int32 | None,
        turns: list[_Turns],
        out: Float32,
        threads: int,
        in_main_thread: bool,
        attended: Int32 | None = None,
        poolings: list[str] = ...,
        skipped: Int32 | None = None,
    ) -> None:
        """Compute the token vectors and write them to ``out``, ``float32[T, hidden]``.

        With ``wanted``, the position of one token of each text, only the vectors of those tokens are computed and
        written, ``float32[texts, hidden]``. ``attended`` is that of :class:`pellucid.types.TokenBatch`.

        With ``poolings``, keys of :data:`pellucid.layers.pooling.MODES`, the vectors of each text are pooled, and the
        results are put side by side, ``float32[texts, len(poolings) * hidden]``. The first ``skipped[i]`` tokens of
        text ``i`` are left out.

        If a Python signal handler raises during the call, as for Ctrl-C, the call ends early and raises that error, and
        ``out`` is incomplete. Signal handlers run only in Python's main thread, so only a call from that thread ends
        early.
        """

class TokenTable:
    """The table of a static model. ``native/static.h`` documents it. It reads the arrays where they are."""

    def __init__(
        self,
        *,
        rows: _Stored,
        mapping: Int32 | None,
        weights: Float32 | None,
    ) -> None: ...
    def means(self, ids: Int32, offsets: Int32, out: Float32, threads: int, in_main_thread: bool) -> None:
        """Write the mean of each text's rows to ``out``, ``float32[texts, d]``.

        Ctrl-C ends the call early as in :meth:`Encoder.token_vectors`.
        """

class Vocabulary:
    """The head of a masked language model with packed weights. ``native/vocabulary.h`` documents it."""

    def __init__(
        self,
        *,
        cpu: str,
        dtype: str,
        transform: _Linear,
        activation: str,
        norm: _Norm | None,
        decoder: _Linear,
    ) -> None: ...
    def scores(
        self,
        vectors: Float32,
        offsets: Int32,
        together: str,
        out: Float32,
        threads: int,
        in_main_thread: bool,
    ) -> None:
        """Compute the scores of texts, ``out: float32[B, vocabulary]``."""

def maxsim(
    cpu: str,
    query: Float32,
    vectors: Float32,
    offsets: Int32,
    out: Float32,
    threads: int,
    in_main_thread: bool,
) -> None:
    """Compute the MaxSim of a query, ``float32[t, d]``, with each document: ``out: float32[n]``."""

class WordTable:
    """Words and their ids. ``native/words.h`` documents it."""

    padding: ClassVar[int]

    def __init__(
        self,
        *,
        kind: str,
        spaces: str,
        drop: str,
        marks_take_line_ends: bool,
        characters: list[tuple[int, int]],
        added: list[str],
        normalized: list[str],
        max_bytes: int,
    ) -> None: ...
    def __len__(self) -> int: ...
    def look_up(self, data: str, texts: list[str], threads: int = 1) -> Lookup:
        """Look up texts, with at most so many threads. ``data`` is all of them joined, and ``padding`` characters."""

class Lookup:
    """Texts on their way through the table."""

    @property
    def unknown_words(self) -> list[str]:
        """Words that the table does not know."""

    @property
    def unknown_pieces(self) -> list[str]:
        """Long words and whole texts, which the table does not keep."""

    @property
    def is_known(self) -> bool:
        """True if nothing is unknown."""

    def learn(self, counts: Int32, suspects: list[int], ids: Int32) -> None:
        """Add what the library says about the unknown words and pieces.

        Args:
            counts: how many ids each has, the words first.
            suspects: the numbers of those that may be the start of an added token. Their texts are unknown afterwards.
            ids: all their ids, one after another.
        """

    def ids(self) -> tuple[Int32, Int32]:
        """The ids and the offsets of a ``TokenBatch``, without special tokens. Nothing may be unknown."""
