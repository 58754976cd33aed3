"""Large arrays a block at a time, so that memory stays bounded however many vectors there are."""

from __future__ import annotations

from collections.abc import Iterator

from pellucid.types import Float32

MAX_NUMBERS = 4 << 20
"""A block of results has at most this many numbers: enough for a fast matrix product, and 16 MiB in float32."""
COSINE_ROWS = 512
"""A block of cosines has at most this many rows."""


def blocks(count: int, size: int) -> Iterator[slice]:
    """Cut ``count`` rows into slices of at most ``size``."""
    return (slice(start, min(start + size, count)) for start in range(0, count, size))


def cosine_blocks(a: Float32, b: Float32) -> Iterator[tuple[slice, slice, Float32]]:
    """The cosines of all pairs of unit vectors.

    Args:
        a: ``float32[n, d]``.
        b: ``float32[m, d]``.

    Returns:
        For each block, its rows of ``a``, its rows of ``b``, and their cosines, ``float32[r, s]``. Rounding may take a
        cosine a little beyond -1 and 1. The blocks of the first rows of ``a`` come first.
    """
    for rows in blocks(len(a), COSINE_ROWS):
        for columns in blocks(len(b), MAX_NUMBERS // COSINE_ROWS):
            yield rows, columns, a[rows] @ b[columns].T
