"""Arrays as text for a page: rounded to a number of decimals, compressed, and encoded in base64."""

from __future__ import annotations

import base64
import zlib
from typing import Any, TypedDict

import numpy as np
import numpy.typing as npt


class Packed(TypedDict):
    """An array as text. The function ``unpack`` in ``page/elements.js`` reads it.

    Each number is multiplied by ``10 ** decimals`` and rounded to an integer. Its sign moves to the lowest bit (zigzag
    encoding), so that numbers near zero need few bytes. Then come the lowest bytes of all numbers, the second lowest
    bytes of all numbers, and so on: ``planes`` blocks in all. The blocks are compressed together (deflate) and encoded
    in base64.
    """

    shape: list[int]
    decimals: int
    planes: int
    data: str


def pack(array: npt.NDArray[Any], decimals: int) -> Packed:
    """Pack an array of finite numbers. Unpacked, each is within half of ``10 ** -decimals`` of the original.

    >>> pack(np.array([[0.25, -0.5]]), 2)
    {'shape': [1, 2], 'decimals': 2, 'planes': 1, 'data': 'eNo7AQAAlgCV'}
    """
    scaled = np.rint(array.reshape(-1).astype(np.float64) * 10.0**decimals).astype(np.int64)
    zigzag = np.where(scaled < 0, -2 * scaled - 1, 2 * scaled)
    planes = max(1, (int(zigzag.max(initial=0)).bit_length() + 7) // 8)
    content = b"".join((zigzag >> 8 * plane & 255).astype(np.uint8).tobytes() for plane in range(planes))
    data = base64.b64encode(zlib.compress(content)).decode()
    return {"shape": list(array.shape), "decimals": decimals, "planes": planes, "data": data}
