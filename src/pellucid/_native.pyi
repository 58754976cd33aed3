"""The C++ core, as ``native/bindings.cpp`` binds it. Arrays are contiguous; shapes and ranges are checked there."""

from pellucid.types import Float32, Int8, Int32

_Linear = tuple[Float32, Float32]
_Norm = tuple[Float32, Float32, float]
_Norms = tuple[_Norm | None, _Norm | None, _Norm | None]
_Turns = tuple[Float32, Float32]

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
        word: Float32,
        position: Float32 | None,
        token_type: Float32 | None,
        norm: _Norm | None,
        relative_bias: Float32 | None,
    ) -> None: ...
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
        window: int,
        turns: int,
    ) -> None:
        """Pack a layer: weights and biases, and norms before, after and of the sum. ``turns`` is an index, or -1."""

    def add_final_norm(self, norm: _Norm) -> None:
        """Pack what follows the last layer."""

    def token_vectors(
        self,
        ids: Int32,
        positions: Int32,
        offsets: Int32,
        segments: Int8 | None,
        turns: list[_Turns],
        out: Float32,
        threads: int,
        in_main_thread: bool,
    ) -> None:
        """Fill ``out``, ``float32[T, hidden]``. Raises what a signal handler raised, and then ``out`` is unfinished;
        handlers run in Python's main thread alone, so only a call from there is ended by one.
        """
