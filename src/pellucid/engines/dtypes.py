"""The dtypes of the engine "native", and the choice that ``dtype="auto"`` makes."""

from __future__ import annotations

NATIVE_DTYPES = ("float32", "int16", "int8", "bfloat16")
AUTO = "auto"

_FASTEST = {
    "amx": "int16",
    "avx512_bf16": "int16",
    "avx512_vnni": "int16",
    "avx512": "int16",
    "avx2_vnni": "int16",
    "avx2": "int16",
    "neon_dot": "float32",
    "neon": "float32",
    "scalar": "float32",
}


def fastest_dtype(instruction_set: str) -> str:
    """The fastest dtype of the native engine whose vectors keep a cosine of 0.9999 or more with those of float32."""
    return _FASTEST.get(instruction_set, "float32")
