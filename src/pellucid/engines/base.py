"""The contract between Pellucid and what does the arithmetic.

An engine knows nothing of text, files or the network. It is made from an
:class:`~pellucid.model.spec.EncoderSpec` and :class:`~pellucid.model.weights.EncoderWeights`, and has one method.
"""

from __future__ import annotations

from typing import Protocol

from pellucid.errors import OptionError
from pellucid.model.spec import EncoderSpec
from pellucid.model.weights import EncoderWeights
from pellucid.types import Float32, TokenBatch

DTYPES = {"native": ("float32", "int16", "int8"), "reference": ("float32",)}
"""The engines, fastest first, and the arithmetic that each serves."""

ENGINES = ("auto", *DTYPES)


class Engine(Protocol):
    """Turns token ids into token vectors."""

    name: str

    def token_vectors(self, batch: TokenBatch) -> Float32:
        """The encoder's last hidden state.

        Args:
            batch: ids in ``[0, vocab_size)``; no text longer than the spec's ``max_tokens``.

        Returns:
            ``float32[T, hidden_size]``, row ``t`` for ``batch.ids[t]``. The rows of a text depend on that text alone:
            not on its neighbours, on their order, or on the number of threads.
        """


def create(
    name: str, spec: EncoderSpec, weights: EncoderWeights, *, dtype: str, device: str, threads: int | None
) -> Engine:
    """The engine of this name, ready to run. ``"auto"`` is the native one, the fastest there is on a CPU.

    Raises:
        OptionError: no engine of this name, or it cannot serve the dtype, the device or the threads.
    """
    check_options(name, dtype=dtype, device=device, threads=threads)
    if name == "reference":
        from pellucid.engines.reference import ReferenceEngine

        return ReferenceEngine(spec, weights, threads=threads)
    from pellucid.engines.native import NativeEngine

    return NativeEngine(spec, weights, dtype=dtype, threads=threads)


def check_options(name: str, *, dtype: str, device: str, threads: int | None) -> None:
    """Judge an engine's options before any file is fetched or read; the errors of :func:`create`."""
    if name not in ENGINES:
        raise OptionError(f"engine={name!r} is not one of {', '.join(ENGINES)}.")
    served = DTYPES["native" if name == "auto" else name]
    if dtype not in served:
        raise OptionError(f"dtype={dtype!r} is not served by engine={name!r}, only {', '.join(served)}.")
    if device != "cpu":
        raise OptionError(f"device={device!r} is not served by any engine of this version, only 'cpu'.")
    if threads is not None and (isinstance(threads, bool) or not isinstance(threads, int) or threads < 1):
        raise OptionError(f"threads={threads!r} must be a whole number of at least 1, or None for the default.")
