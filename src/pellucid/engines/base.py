"""The contract between Pellucid and what does the arithmetic.

An engine knows nothing of text, files or the network. It is made from an
:class:`~pellucid.model.spec.EncoderSpec` and :class:`~pellucid.model.weights.EncoderWeights`, and has one method.
"""

from __future__ import annotations

import logging
import reprlib
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from pellucid.errors import OptionError, UnsupportedModelError, install_hint
from pellucid.layers.pooling import Pooling, pool
from pellucid.model.spec import EncoderSpec
from pellucid.model.weights import EncoderWeights
from pellucid.types import Float32, TokenBatch

logger = logging.getLogger("pellucid")
DTYPES = {
    "native": ("float32", "int16", "int8"),
    "reference": ("float32",),
    "torch": ("float32", "float16", "bfloat16"),
}
"""The engines, and the arithmetic that each serves."""

ENGINES = ("auto", *DTYPES)
MOST_THREADS = 1 << 14
"""More than any machine has."""


class Engine(Protocol):
    """Turns token ids into token vectors."""

    name: str

    def token_vectors(self, batch: TokenBatch) -> Float32:
        """The encoder's last hidden state.

        Args:
            batch: ids in ``[0, vocab_size)``; no text longer than the spec's ``max_tokens``. A text may have no tokens,
                where the tokenizer adds no special ones, and then has no rows.

        Returns:
            ``float32[T, hidden_size]``, row ``t`` for ``batch.ids[t]``. The rows of a text depend on that text alone:
            not on its neighbours, on their order, or on the number of threads. (Of "torch", but for rounding.)
        """


def create(
    name: str,
    spec: EncoderSpec,
    weights: Callable[[], EncoderWeights],
    folder: Path,
    *,
    dtype: str,
    device: str,
    threads: int | None,
) -> Engine:
    """The engine of this name, ready to run.

    Args:
        name: "auto" is the native one, the fastest there is on a CPU; "torch" for what only that serves.
        spec: of the encoder.
        weights: gives its weights, if it is of one of the project's families.
        folder: of its files, for what only transformers knows.
        dtype: as :class:`~pellucid.embedder.Embedder` takes it.
        device: likewise.
        threads: likewise.

    Raises:
        OptionError: no engine of this name, or it cannot serve the dtype, the device or the threads.
        UnsupportedModelError: the engine cannot run this encoder.
        MissingExtraError: only "torch" can, and it is not installed.
    """
    chosen = _chosen(name, spec, dtype, device)
    check_options(chosen, dtype=dtype, device=device, threads=threads)
    if chosen == "torch":
        from pellucid.engines.torch.engine import TorchEngine

        engine = TorchEngine(spec, weights, folder, dtype=dtype, device=device, threads=threads)
        if name == "auto" and device == "cpu" and spec.only_torch:
            logger.warning("%s PyTorch does the arithmetic.", spec.only_torch)
        return engine
    if spec.only_torch:
        raise UnsupportedModelError(
            f"{spec.only_torch} engine='torch' runs whatever transformers knows. {install_hint('torch')}"
        )
    if chosen == "reference":
        from pellucid.engines.reference import ReferenceEngine

        return ReferenceEngine(spec, weights(), threads=threads)
    from pellucid.engines.native import NativeEngine

    return NativeEngine(spec, weights(), dtype=dtype, threads=threads)


def encode_pooled(engine: Engine, batch: TokenBatch, pooling: Pooling, prompt_tokens: int) -> Float32:
    """Token ids to pooled vectors, ``float32[B, len(modes) * hidden]``.

    Pooling exists once, in :mod:`pellucid.layers.pooling`. An engine whose token vectors are far away, in a GPU, may
    have an ``encode_pooled`` of its own, which is held to it.
    """
    own = getattr(engine, "encode_pooled", None)
    if own is not None:
        pooled: Float32 = own(batch, pooling, prompt_tokens)
        return pooled
    # Token vectors have no name, so that those of one call are gone before the next are made.
    return pool(engine.token_vectors(batch), batch.offsets, pooling, prompt_tokens)


def check_options(name: str, *, dtype: str, device: str, threads: int | None) -> None:
    """Judge an engine's options before any file is fetched or read; the errors of :func:`create`."""
    for option, value in (("engine", name), ("dtype", dtype), ("device", device)):
        if not isinstance(value, str):
            raise OptionError(f"{option} is of type {type(value).__name__}; it must be a str.")
    if name not in ENGINES:
        raise OptionError(f"engine={name!r} is not one of {', '.join(ENGINES)}.")
    elsewhere = device != "cpu"
    by_name = {"auto": DTYPES["torch"] if elsewhere else (*DTYPES["native"], *DTYPES["torch"][1:]), **DTYPES}
    if dtype not in by_name[name]:
        where = f" on {device!r}" if elsewhere else ""
        raise OptionError(f"dtype={dtype!r} is not served by engine={name!r}{where}, only {', '.join(by_name[name])}.")
    if elsewhere and name not in ("auto", "torch"):
        raise OptionError(f"device={device!r} is not served by engine={name!r}, only 'cpu'; engine='torch' has others.")
    if name == "torch" or (name == "auto" and (elsewhere or dtype in DTYPES["torch"][1:])):
        from pellucid.engines.torch.devices import checked_device

        checked_device(device)
    whole = isinstance(threads, int) and not isinstance(threads, bool)
    if threads is not None and not (whole and 1 <= threads <= MOST_THREADS):
        raise OptionError(
            f"threads={reprlib.repr(threads)} must be a whole number from 1 to {MOST_THREADS:,}, or None for the "
            f"default."
        )


def _chosen(name: str, spec: EncoderSpec, dtype: str, device: str) -> str:
    """What "auto" is."""
    if name != "auto":
        return name
    only_torch = device != "cpu" or dtype in DTYPES["torch"][1:]
    if spec.only_torch and not only_torch:
        from pellucid.engines.torch.devices import is_installed

        return "torch" if is_installed() else "native"  # Which says what is missing.
    return "torch" if only_torch else "native"
