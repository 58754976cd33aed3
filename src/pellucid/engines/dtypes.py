"""The dtypes of the engine "native", and the choice that ``dtype="auto"`` makes."""

from __future__ import annotations

from typing import Literal, get_args

NativeDtype = Literal["float32", "int16", "int8", "int4", "bfloat16"]
NATIVE_DTYPES: tuple[NativeDtype, ...] = get_args(NativeDtype)
AUTO = "auto"

# int16 keeps a cosine of 0.9999 with float32. bfloat16 does not with all-mpnet-base-v2, and int8 and int4 keep less:
# docs/models.md has the measurements. int16 is 1.7 times as fast as float32 with VNNI, and 1.5 times without. On Arm, a
# model of the processors says that it is twice as fast with matrix products of bytes, and as fast as float32 without.
# Without vectors, it is slower.
_FASTEST: dict[str, NativeDtype] = {
    "amx": "int16",
    "avx512_bf16": "int16",
    "avx512_vnni": "int16",
    "avx512": "int16",
    "avx2_vnni": "int16",
    "avx2": "int16",
    "neon_i8mm": "int16",
    "neon_dot": "float32",
    "neon": "float32",
    "scalar": "float32",
}


def fastest_dtype(instruction_set: str) -> NativeDtype:
    """The fastest dtype of the native engine whose vectors keep a cosine of 0.9999 or more with those of float32.

    Raises:
        KeyError: there is no such instruction set.
    """
    return _FASTEST[instruction_set]
