"""The engines by name, and which of them ``"auto"`` is.

Pellucid's own engines are registered as yours would be::

    from pellucid.engines.registry import EngineEntry, register

    register(EngineEntry("mine", dtypes=("float32",), module="mine.engine"))
    Embedder("all-MiniLM-L6-v2", engine="mine")

The module has a function ``create``; :class:`Create` says how it is called. It is imported when an engine is made.
"""

from __future__ import annotations

import importlib
import logging
import reprlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, cast

from pellucid.engines.base import Engine
from pellucid.errors import OptionError, UnsupportedModelError, install_hint
from pellucid.model.spec import EncoderSpec
from pellucid.model.weights import EncoderWeights

logger = logging.getLogger("pellucid")
MOST_THREADS = 1 << 14
"""More than any machine has."""


class Create(Protocol):
    """How an engine is made."""

    def __call__(
        self,
        spec: EncoderSpec,
        weights: Callable[[], EncoderWeights],
        folder: Path,
        *,
        dtype: str,
        device: str,
        threads: int | None,
    ) -> Engine:
        """Make an engine, ready to run.

        Args:
            spec: of the encoder.
            weights: reads its weights, if it is of one of Pellucid's families.
            folder: of its files, for what only transformers knows.
            dtype: one of the entry's.
            device: "cpu", or another if the entry has others.
            threads: how many to work with; None for as many as there are usable processors.

        Raises:
            OptionError: the engine cannot serve the device or the threads.
            UnsupportedModelError: it cannot run this encoder.
            MissingExtraError: what it needs is not installed.
        """


@dataclass(frozen=True)
class EngineEntry:
    """An engine that can be asked for.

    Attributes:
        name: as people ask for it.
        dtypes: the arithmetic that it serves.
        module: the module with its function ``create``.
        other_devices: whether it serves devices other than "cpu".
        any_architecture: whether it runs architectures that are none of Pellucid's families.
    """

    name: str
    dtypes: tuple[str, ...]
    module: str
    other_devices: bool = False
    any_architecture: bool = False


_ENTRIES: dict[str, EngineEntry] = {}


def register(entry: EngineEntry) -> None:
    """Let an engine be asked for by its name.

    Raises:
        OptionError: there is one of this name, or it is "auto".
    """
    if entry.name in ("auto", *_ENTRIES):
        raise OptionError(f"there is an engine {entry.name!r} already. Give yours another name.")
    _ENTRIES[entry.name] = entry


register(EngineEntry("native", ("float32", "int16", "int8"), "pellucid.engines.native"))
register(EngineEntry("reference", ("float32",), "pellucid.engines.reference"))
register(
    EngineEntry(
        "torch",
        ("float32", "float16", "bfloat16"),
        "pellucid.engines.torch.engine",
        other_devices=True,
        any_architecture=True,
    )
)


def names() -> tuple[str, ...]:
    """What may be asked for."""
    return ("auto", *_ENTRIES)


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
    """The engine of this name; "auto" is "native", the fastest on a CPU, or "torch" for what only that serves.

    The arguments and errors are those of :class:`Create`.

    Raises:
        OptionError: also if there is no engine of this name, or it cannot serve the dtype.
    """
    chosen = _chosen(name, spec, dtype, device)
    check_options(chosen, dtype=dtype, device=device, threads=threads)
    entry = _ENTRIES[chosen]
    if spec.only_torch and not entry.any_architecture:
        raise UnsupportedModelError(
            f"{spec.only_torch} engine='torch' runs whatever transformers knows. {install_hint('torch')}"
        )
    make = cast("Create", importlib.import_module(entry.module).create)
    engine = make(spec, weights, folder, dtype=dtype, device=device, threads=threads)
    if name == "auto" and chosen == "torch" and device == "cpu" and spec.only_torch:
        logger.warning("%s PyTorch does the arithmetic.", spec.only_torch)
    return engine


def check_options(name: str, *, dtype: str, device: str, threads: int | None) -> None:
    """Check an engine's options before any file is fetched or read; the errors of :func:`create`."""
    for option, value in (("engine", name), ("dtype", dtype), ("device", device)):
        if not isinstance(value, str):
            raise OptionError(f"{option} is of type {type(value).__name__}; it must be a str.")
    if name not in names():
        raise OptionError(f"engine={name!r} is not one of {', '.join(names())}.")
    elsewhere = device != "cpu"
    dtypes = _auto_dtypes(elsewhere=elsewhere) if name == "auto" else _ENTRIES[name].dtypes
    if dtype not in dtypes:
        where = f" on {device!r}" if elsewhere else ""
        raise OptionError(f"dtype={dtype!r} is not served by engine={name!r}{where}, only {', '.join(dtypes)}.")
    if elsewhere and name != "auto" and not _ENTRIES[name].other_devices:
        raise OptionError(f"device={device!r} is not served by engine={name!r}, only 'cpu'; engine='torch' has others.")
    if name == "torch" or (name == "auto" and _needs_torch(dtype, device)):
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
    if spec.only_torch and not _needs_torch(dtype, device):
        from pellucid.engines.torch.devices import is_installed

        return "torch" if is_installed() else "native"  # Which says what is missing.
    return "torch" if _needs_torch(dtype, device) else "native"


def _needs_torch(dtype: str, device: str) -> bool:
    return device != "cpu" or dtype not in _ENTRIES["native"].dtypes


def _auto_dtypes(*, elsewhere: bool) -> tuple[str, ...]:
    torch = _ENTRIES["torch"].dtypes
    return torch if elsewhere else tuple(dict.fromkeys((*_ENTRIES["native"].dtypes, *torch)))
