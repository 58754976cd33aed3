"""The ops of :mod:`~pellucid.engines.torch.ops` as Triton kernels, one for each, which read and write memory once.

All of them compute in float32 and round once, to the dtype of their result. A kernel that goes through rows takes
several at a time: a tile of ``ROWS`` x ``WIDTH`` numbers, where ``WIDTH`` is the power of two that holds a row.

Triton compiles a kernel again for numbers that are, or are not, divisible by 16, and for other alignments. Arguments
that differ from step to step are exempt (``do_not_specialize``), so later steps of a model compile nothing.

With the environment variable ``TRITON_INTERPRET=1``, Triton runs them on the CPU; that is how they are tested.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl

from pellucid.engines.torch.ops import Affine, DeviceNorm, EmbeddingTables, Ops
from pellucid.engines.torch.steps import DeviceBatch
from pellucid.model.spec import FeedForwardSpec

_TILE = 2048
"""About how many numbers a program holds at a time: sixteen for each of 128 threads."""
_BLOCK = 1024
"""How many numbers of a row a program activates."""
_FUSED_ACTIVATIONS = ("gelu", "gelu_tanh", "relu", "silu")


class FusedOps(Ops):
    """Each method computes what that of :class:`~pellucid.engines.torch.ops.Ops` does, in one kernel."""

    is_fused = True

    @classmethod
    def tried_on(cls, device: str) -> FusedOps:
        """The ops, after a first small kernel on a device, which shows whether Triton works there.

        Raises:
            ImportError, OSError, RuntimeError, subprocess.SubprocessError: it does not.
        """
        ops, row = cls(), torch.ones((1, 16), device=device)
        try:
            with torch.cuda.device_of(row):
                ops.add_norm(row, row, DeviceNorm((row[0], row[0]), 1e-12))
        except triton.TritonError as error:
            raise RuntimeError(str(error)) from error
        return ops

    def embed(
        self,
        tables: EmbeddingTables,
        norm: DeviceNorm,
        ids: torch.Tensor,
        positions: torch.Tensor,
        segments: torch.Tensor | None,
    ) -> torch.Tensor:
        """See :meth:`Ops.embed`."""
        if norm.kind == "rms":
            return super().embed(tables, norm, ids, positions, segments)
        size = tables.word.shape[1]
        result = tables.word.new_empty((len(ids), size))
        weight, bias = norm.affine or (None, None)
        rows, width = _tile(size)
        _embed[(triton.cdiv(len(ids), rows),)](
            result, tables.word, tables.position, tables.token_type, ids, positions, segments, weight, bias, norm.eps,
            len(ids), size, ROWS=rows, WIDTH=width,
        )  # fmt: skip
        return result

    def add_norm(self, x: torch.Tensor, y: torch.Tensor, norm: DeviceNorm) -> torch.Tensor:
        """See :meth:`Ops.add_norm`."""
        if norm.affine is None or norm.kind == "rms":
            return super().add_norm(x, y, norm)
        result = torch.empty_like(x)
        rows, width = _tile(x.shape[1])
        _add_norm[(triton.cdiv(len(x), rows),)](result, x, y, *norm.affine, norm.eps, *x.shape, ROWS=rows, WIDTH=width)
        return result

    def activate(self, inner: torch.Tensor, spec: FeedForwardSpec) -> torch.Tensor:
        """See :meth:`Ops.activate`. What is not gated is overwritten, so that it takes half of the GPU's cache."""
        if spec.activation not in _FUSED_ACTIVATIONS:
            return super().activate(inner, spec)
        result = inner.new_empty((len(inner), spec.size)) if spec.gated else inner
        rows, columns = result.shape if spec.gated else (1, result.numel())
        blocks = triton.cdiv(columns, _BLOCK)
        _activate[(rows * blocks,)](
            result, inner, columns, blocks, GATED=spec.gated, ACTIVATION=spec.activation, BLOCK=_BLOCK
        )
        return result

    def rotate(self, heads: torch.Tensor, count: int, turns: Affine, positions: torch.Tensor) -> None:
        """See :meth:`Ops.rotate`."""
        tokens, all_heads, head_size = heads.shape
        pairs = count * head_size // 2
        _rotate[(tokens,)](
            heads, *turns, positions, all_heads * head_size, pairs, HALF=head_size // 2, WIDTH=_width(pairs)
        )

    def mean(self, states: torch.Tensor, step: DeviceBatch, skip: int, *, normalized: bool = False) -> torch.Tensor:
        """See :meth:`Ops.mean`. The bits of a text's mean do not depend on the other texts."""
        size = states.shape[1]
        result = torch.empty((len(step.batch), size), dtype=torch.float32, device=states.device)
        rows, width = _tile(size)
        _mean[(len(result),)](
            result, states.contiguous(), step.offsets, skip, size, NORMALIZED=normalized, ROWS=rows, WIDTH=width
        )
        return result


def _width(numbers: int) -> int:
    """The power of two that holds so many numbers, and at least a warp's 32."""
    return max(32, int(triton.next_power_of_2(numbers)))


def _tile(size: int) -> tuple[int, int]:
    """How many rows of so many numbers a program takes at a time, and the power of two that holds a row."""
    width = _width(size)
    return max(1, _TILE // width), width


@triton.jit
def _normalize_rows(x, is_number, weight, bias, eps, columns, size):
    """Layer normalization of each row of a tile."""
    mean = tl.sum(x, axis=1) / size
    centered = tl.where(is_number, x - mean[:, None], 0.0)
    deviation = tl.sqrt(tl.sum(centered * centered, axis=1) / size + eps)
    scale = tl.load(weight + columns, mask=columns < size, other=0.0).to(tl.float32)
    shift = tl.load(bias + columns, mask=columns < size, other=0.0).to(tl.float32)
    return centered / deviation[:, None] * scale[None, :] + shift[None, :]


@triton.jit(do_not_specialize=["count"])
def _add_norm(result, x, y, weight, bias, eps, count, size, ROWS: tl.constexpr, WIDTH: tl.constexpr):
    rows = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    columns = tl.arange(0, WIDTH)
    is_number = (rows < count)[:, None] & (columns < size)[None, :]
    places = rows.to(tl.int64)[:, None] * size + columns[None, :]
    total = tl.load(x + places, mask=is_number, other=0.0).to(tl.float32)
    total += tl.load(y + places, mask=is_number, other=0.0).to(tl.float32)
    tl.store(result + places, _normalize_rows(total, is_number, weight, bias, eps, columns, size), mask=is_number)


@triton.jit
def _rows_of(table, indices, size, columns, is_number):
    """Rows of an embedding table, as a tile."""
    return tl.load(table + indices[:, None] * size + columns[None, :], mask=is_number, other=0.0).to(tl.float32)


@triton.jit(do_not_specialize=["ids", "position_ids", "segments", "count"])
def _embed(
    result, words, positions, token_types, ids, position_ids, segments, weight, bias, eps, count, size,
    ROWS: tl.constexpr, WIDTH: tl.constexpr,
):  # fmt: skip
    rows = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    columns = tl.arange(0, WIDTH)
    is_row = rows < count
    is_number = is_row[:, None] & (columns < size)[None, :]
    total = _rows_of(words, tl.load(ids + rows, mask=is_row, other=0), size, columns, is_number)
    if positions is not None:
        total += _rows_of(positions, tl.load(position_ids + rows, mask=is_row, other=0), size, columns, is_number)
    if token_types is not None:
        if segments is None:
            total += tl.load(token_types + columns, mask=columns < size, other=0.0).to(tl.float32)[None, :]
        else:
            total += _rows_of(token_types, tl.load(segments + rows, mask=is_row, other=0), size, columns, is_number)
    if weight is not None:
        total = _normalize_rows(tl.where(is_number, total, 0.0), is_number, weight, bias, eps, columns, size)
    tl.store(result + rows.to(tl.int64)[:, None] * size + columns[None, :], total, mask=is_number)


@triton.jit(do_not_specialize=["blocks"])
def _activate(result, inner, columns, blocks, GATED: tl.constexpr, ACTIVATION: tl.constexpr, BLOCK: tl.constexpr):
    """Each program activates a block of a row. Without a gate, all rows are one."""
    row = (tl.program_id(0) // blocks).to(tl.int64)
    column = (tl.program_id(0) % blocks).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    is_number = column < columns
    source = inner + row * columns * (2 if GATED else 1) + column
    x = tl.load(source, mask=is_number, other=0.0).to(tl.float32)
    if ACTIVATION == "gelu":
        y = 0.5 * x * (1.0 + tl.erf(x * 0.7071067811865476))
    elif ACTIVATION == "gelu_tanh":  # 1 + tanh(z) = 2 sigmoid(2z), and sqrt(8 / pi) = 1.5957…
        y = x * tl.sigmoid(1.5957691216057308 * (x + 0.044715 * x * x * x))
    elif ACTIVATION == "relu":
        y = tl.maximum(x, 0.0, propagate_nan=tl.PropagateNan.ALL)
    else:
        tl.static_assert(ACTIVATION == "silu")
        y = x * tl.sigmoid(x)
    if GATED:
        y *= tl.load(source + columns, mask=is_number, other=0.0).to(tl.float32)
    tl.store(result + row * columns + column, y, mask=is_number)


@triton.jit(do_not_specialize=["positions"])
def _rotate(heads, cos, sin, positions, stride, pairs, HALF: tl.constexpr, WIDTH: tl.constexpr):
    """Each program rotates the heads of one token."""
    token = tl.program_id(0).to(tl.int64)
    pair = tl.arange(0, WIDTH)
    is_pair = pair < pairs
    turn = tl.load(positions + token) * HALF + pair % HALF
    c = tl.load(cos + turn, mask=is_pair, other=0.0)
    s = tl.load(sin + turn, mask=is_pair, other=0.0)
    place = heads + token * stride + pair // HALF * (2 * HALF) + pair % HALF
    first = tl.load(place, mask=is_pair, other=0.0).to(tl.float32)
    second = tl.load(place + HALF, mask=is_pair, other=0.0).to(tl.float32)
    tl.store(place, first * c - second * s, mask=is_pair)
    tl.store(place + HALF, second * c + first * s, mask=is_pair)


@triton.jit(do_not_specialize=["skip"])
def _mean(result, states, offsets, skip, size, NORMALIZED: tl.constexpr, ROWS: tl.constexpr, WIDTH: tl.constexpr):
    """Each program pools one text, several tokens at a time."""
    text = tl.program_id(0).to(tl.int64)
    start = tl.load(offsets + text).to(tl.int64) + skip
    stop = tl.load(offsets + text + 1).to(tl.int64)
    columns = tl.arange(0, WIDTH)
    total = tl.zeros((ROWS, WIDTH), tl.float32)
    for first in range(start, stop, ROWS):
        rows = first + tl.arange(0, ROWS)
        is_number = (rows < stop)[:, None] & (columns < size)[None, :]
        total += tl.load(states + rows[:, None] * size + columns[None, :], mask=is_number, other=0.0).to(tl.float32)
    mean = tl.sum(total, axis=0) / tl.maximum(stop - start, 1).to(tl.float32)
    if NORMALIZED:  # A norm that does not fit float32 is infinite. Then the row becomes NaN.
        norm = tl.sqrt(tl.sum(mean * mean, axis=0))
        mean /= tl.where(norm < float("inf"), tl.maximum(norm, 1e-12), float("nan"))
    tl.store(result + text * size + columns, mean, mask=columns < size)
