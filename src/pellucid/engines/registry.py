"""The engines by name, and the choice that ``"auto"`` makes.

You can register an engine of your own, in the same way as Pellucid registers its engines::

    from pellucid.engines.registry import EngineEntry, register

    register(EngineEntry("mine", dtypes=("float32",), module="mine.engine"))
    Embedder("all-MiniLM-L6-v2", engine="mine")

The module must have a function ``create`` with the signature of :class:`Create`. The module is imported only when its
engine is created.
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
from pellucid.engines.dtypes import AUTO, NATIVE_DTYPES, fastest_dtype
from pellucid.engines.threads import MAX_THREADS
from pellucid.errors import MissingExtraError, OptionError, UnsupportedModelError, install_hint
from pellucid.model.spec import EncoderSpec
from pellucid.model.weights import EncoderWeights

logger = logging.getLogger("pellucid")


class Create(Protocol):
    """The signature of an engine module's function ``create``."""

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
        """Create an engine that is ready to run.

        Args:
            spec: the encoder's spec.
            weights: a function that reads the encoder's weights, for the families that Pellucid supports itself.
            folder: the folder of the encoder's files, for architectures that only transformers supports.
            dtype: one of the entry's dtypes.
            device: "cpu", or any other device if the entry has ``other_devices``.
            threads: the number of threads; None for all available CPU cores.

        Raises:
            OptionError: the engine does not support the device or the number of threads.
            UnsupportedModelError: the engine cannot run this encoder.
            MissingExtraError: a package that the engine needs is not installed.
        """


@dataclass(frozen=True)
class EngineEntry:
    """An engine that users can choose.

    Attributes:
        name: the value of the option ``engine`` that chooses it.
        dtypes: the dtypes that it supports.
        module: the name of the module with its function ``create``.
        other_devices: True if it supports devices other than "cpu".
        any_architecture: True if it can run architectures outside Pellucid's own families.
    """

    name: str
    dtypes: tuple[str, ...]
    module: str
    other_devices: bool = False
    any_architecture: bool = False


_ENTRIES: dict[str, EngineEntry] = {}


def register(entry: EngineEntry) -> None:
    """Add an engine, so that users can choose it by its name.

    Raises:
        OptionError: the name is already taken, or is "auto".
    """
    if entry.name in ("auto", *_ENTRIES):
        raise OptionError(f"the engine name {entry.name!r} is already taken. Choose another name.")
    _ENTRIES[entry.name] = entry


register(EngineEntry("native", NATIVE_DTYPES, "pellucid.engines.native"))
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
    """The valid values of the option ``engine``."""
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
    """Create the engine of this name.

    "auto" means "native", the fastest engine on a CPU, or "torch" where only that engine supports the options or the
    model. ``dtype="auto"`` means the fastest dtype whose vectors keep a cosine of 0.9999 or more with those of float32;
    the engine's ``dtype`` says which one that is. The other arguments, and the errors, are those of :class:`Create`.

    Raises:
        OptionError: also if there is no engine of this name, or it does not support the dtype.
    """
    chosen = _resolve_auto(spec, dtype, device) if name == "auto" else name
    check_options(chosen, dtype=dtype, device=device, threads=threads)
    entry = _ENTRIES[chosen]
    if spec.only_torch and not entry.any_architecture:
        raise UnsupportedModelError(
            f"{spec.only_torch} engine='torch' runs every model that transformers supports. {install_hint('torch')}"
        )
    if spec.is_static and chosen == "torch":
        raise UnsupportedModelError(
            "engine='torch' has nothing to do in a static model, which has no layers. Leave out engine, device and "
            "dtype: engine='native' runs it on the CPU."
        )
    create_engine = cast("Create", importlib.import_module(entry.module).create)
    own_dtype = _automatic_dtype(chosen, spec, device) if dtype == AUTO else dtype
    engine = create_engine(spec, weights, folder, dtype=own_dtype, device=device, threads=threads)
    if name == "auto" and chosen == "torch" and device == "cpu" and spec.only_torch:
        logger.warning("%s It runs in PyTorch instead.", spec.only_torch)
    return engine


def check_options(name: str, *, dtype: str, device: str, threads: int | None) -> None:
    """Check an engine's options, before any file is downloaded or read.

    Raises:
        OptionError, MissingExtraError: as :func:`create` would.
    """
    for option, value in (("engine", name), ("dtype", dtype), ("device", device)):
        if not isinstance(value, str):
            raise OptionError(f"{option} is of type {type(value).__name__}; it must be a str.")
    if name not in names():
        raise OptionError(f"engine={name!r} is not one of {', '.join(names())}.")
    dtypes = _auto_dtypes(device) if name == "auto" else _ENTRIES[name].dtypes
    if dtype not in (*dtypes, AUTO):
        where = f" on {device!r}" if device != "cpu" else ""
        raise OptionError(
            f"dtype={dtype!r} is not supported by engine={name!r}{where}. Choose one of {', '.join((*dtypes, AUTO))}.",
            "dtype",
        )
    if device != "cpu" and name != "auto" and not _ENTRIES[name].other_devices:
        raise OptionError(
            f"device={device!r} is not supported by engine={name!r}, which runs only on 'cpu'. Choose engine='torch'.",
            "device",
        )
    if name == "torch" or (name == "auto" and _needs_torch(dtype, device)):
        from pellucid.engines.torch.devices import check_devices, is_installed

        if name == "auto" and device == "cpu" and not is_installed():
            instead = "on a CPU, choose dtype='int16', which is nearly exact, or dtype='int8', the fastest"
            raise MissingExtraError("torch", "torch", what=f"{instead}; dtype={dtype!r}")
        check_devices(device)
    is_integer = isinstance(threads, int) and not isinstance(threads, bool)
    if threads is not None and not (is_integer and 1 <= threads <= MAX_THREADS):
        raise OptionError(
            f"threads={reprlib.repr(threads)} must be a whole number from 1 to {MAX_THREADS:,}, "
            f"or None for the default.",
            "threads",
        )


def _resolve_auto(spec: EncoderSpec, dtype: str, device: str) -> str:
    """The engine that "auto" means for this model and these options."""
    if _needs_torch(dtype, device):
        return "torch"
    if spec.only_torch:
        from pellucid.engines.torch.devices import is_installed

        return "torch" if is_installed() else "native"  # create() then says what to install.
    return "native"


def _needs_torch(dtype: str, device: str) -> bool:
    return device != "cpu" or dtype not in (*_ENTRIES["native"].dtypes, AUTO)


def _automatic_dtype(engine: str, spec: EncoderSpec, device: str) -> str:
    """The dtype that ``dtype="auto"`` means for an engine."""
    if engine == "native" and not spec.is_static:
        from pellucid.engines.native import instruction_set

        return fastest_dtype(instruction_set())
    # On a GPU, float16 keeps 0.999999 of BERT and MPNet. Other architectures may have numbers too large for it.
    if engine == "torch" and device.startswith("cuda") and not spec.only_torch:
        return "float16"
    return _ENTRIES[engine].dtypes[0]


def _auto_dtypes(device: str) -> tuple[str, ...]:
    """The dtypes that "auto" supports on this device, each once."""
    torch_dtypes = _ENTRIES["torch"].dtypes
    return torch_dtypes if device != "cpu" else tuple(dict.fromkeys((*_ENTRIES["native"].dtypes, *torch_dtypes)))
