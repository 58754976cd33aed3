"""The C++ core, as ``native/bindings.cpp`` binds it. Arrays are contiguous; shapes and ranges are checked there."""

from pellucid.types import Float32, Int32

_Pair = tuple[Float32, Float32]

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
        norm_first: bool,
        word: Float32,
        position: Float32 | None,
        token_type: Float32 | None,
        norm: _Pair,
        relative_bias: Float32 | None,
    ) -> None: ...
    def add_layer(
        self,
        *,
        query: _Pair,
        key: _Pair,
        value: _Pair,
        attention_output: _Pair,
        attention_norm: _Pair,
        gate: _Pair | None,
        intermediate: _Pair,
        output: _Pair,
        feed_forward_norm: _Pair,
        window: int,
        turns: int,
    ) -> None:
        """Pack a layer, of weights and biases. Each norm follows a sum; ``turns`` is an index, or -1."""

    def token_vectors(
        self,
        ids: Int32,
        positions: Int32,
        offsets: Int32,
        turns: list[_Pair],
        out: Float32,
        threads: int,
        in_main_thread: bool,
    ) -> None:
        """Fill ``out``, ``float32[T, hidden]``. Raises what a signal handler raised, and then ``out`` is unfinished;
        handlers run in Python's main thread alone, so only a call from there is ended by one.
        """
