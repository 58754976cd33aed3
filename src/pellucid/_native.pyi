"""The C++ core, as ``native/bindings.cpp`` binds it. Arrays are contiguous; shapes and ranges are checked there."""

from pellucid.types import Float32, Int32

def instruction_sets() -> list[str]:
    """The kernels that this machine can run, best first; the last is always ``"scalar"``."""

def multiply_add_peak(cpu: str, threads: int, seconds: float) -> float:
    """GFLOP/s of float32 multiply-adds out of registers."""

def product_peak(cpu: str, dtype: str, threads: int, seconds: float) -> float:
    """GFLOP/s of the packed matrix product, out of the caches."""

class Encoder:
    """An encoder with packed weights; see ``native/encoder.h``."""

    def __init__(
        self,
        *,
        cpu: str,
        dtype: str,
        heads: int,
        activation: str,
        layer_norm_eps: float,
        word: Float32,
        position: Float32,
        token_type: Float32 | None,
        norm_weight: Float32,
        norm_bias: Float32,
        relative_bias: Float32 | None,
    ) -> None: ...
    def add_layer(self, *arrays: Float32) -> None:
        """Pack a layer.

        Args:
            arrays: weight and bias of query, key, value, attention output, its norm, intermediate, output, its norm.
        """

    def token_vectors(self, ids: Int32, positions: Int32, offsets: Int32, out: Float32, threads: int) -> None:
        """Fill ``out``, ``float32[T, hidden]``. Raises what a signal handler raised, and then ``out`` is unfinished."""
