"""Arrays in a page: rounded to decimals, as bytes that compress well, as text."""

from __future__ import annotations

import base64
import zlib
from typing import Any, TypedDict

import numpy as np
import numpy.typing as npt


class Packed(TypedDict):
    """An array as text; ``unpack`` in ``page/elements.js`` is the way back.

    Each number, times ``10 ** decimals`` and rounded, is an integer; its sign goes to the lowest bit (zigzag), so that
    small numbers have small bytes. First come the lowest bytes of all numbers, then the next ones, ``planes`` in all.
    The bytes are deflated, and written in base64.
    """

    shape: list[int]
    decimals: int
    planes: int
    data: str


def pack(array: npt.NDArray[Any], decimals: int) -> Packed:
    """Pack an array of finite numbers, which come back within half of ``10 ** -decimals``.

    >>> pack(np.array([[0.25, -0.5]]), 2)
    {'shape': [1, 2], 'decimals': 2, 'planes': 1, 'data': 'eNo7AQAAlgCV'}
    """
    scaled = np.rint(array.reshape(-1).astype(np.float64) * 10.0**decimals).astype(np.int64)
    integers = np.where(scaled < 0, -2 * scaled - 1, 2 * scaled)
    planes = max(1, (int(integers.max(initial=0)).bit_length() + 7) // 8)
    content = b"".join((integers >> 8 * plane & 255).astype(np.uint8).tobytes() for plane in range(planes))
    data = base64.b64encode(zlib.compress(content)).decode()
    return {"shape": list(array.shape), "decimals": decimals, "planes": planes, "data": data}
