"""Whether PyTorch is installed, and which of its devices this machine has."""

from __future__ import annotations

import importlib.util
from typing import Any

from pellucid.errors import MissingExtraError, OptionError


def is_installed() -> bool:
    """True if the packages of the ``torch`` extra are installed. Imports nothing."""
    return all(importlib.util.find_spec(name) is not None for name in ("torch", "transformers"))


def check_devices(device: str) -> tuple[str, ...]:
    """Check that this machine has a device, or several.

    Args:
        device: PyTorch's name of a device; several different CUDA devices, "cuda:0,cuda:1"; or "cuda:*" for all of
            them.

    Returns:
        The name of each device.

    Raises:
        OptionError: PyTorch knows no such device, this machine does not have it, or it cannot be one of several.
        MissingExtraError: the extra ``torch`` is not installed.
    """
    torch = _import_torch()
    if device == "cuda:*":
        _check_device(torch, "cuda", device)
        return tuple(f"cuda:{index}" for index in range(torch.cuda.device_count()))
    names = device.split(",")
    checked = tuple(_check_device(torch, name, device) for name in names)
    if len(names) > 1:
        if others := [name for name in checked if torch.device(name).type != "cuda"]:
            raise OptionError(f"device={device!r}: {others[0]!r} cannot be one of several. CUDA devices can.", "device")
        if len({torch.device(name).index or 0 for name in checked}) < len(checked):
            raise OptionError(f"device={device!r} names a device twice.", "device")
    return checked


def _check_device(torch: Any, name: str, option: str) -> str:
    """Check one device of the option ``device``, and return its name."""
    shown = f"device={option!r}" if name == option else f"device={option!r}: {name!r}"
    try:
        requested = torch.device(name)
    except RuntimeError as error:
        raise OptionError(f"{shown} is not one of 'cpu', 'cuda', 'cuda:1', …, 'mps'.", "device") from error
    if requested.type == "cpu":
        return "cpu"
    if requested.type == "cuda":
        count = torch.cuda.device_count() if torch.cuda.is_available() else 0
        if not count:
            raise OptionError(
                f"device={option!r}: PyTorch {torch.__version__} sees no CUDA device. Check that `nvidia-smi` shows "
                f"one, and that this PyTorch was built with CUDA; or use device='cpu'.",
                "device",
            )
        if requested.index is not None and requested.index >= count:
            devices = (
                "1 CUDA device, 'cuda:0'" if count == 1 else f"{count} CUDA devices, 'cuda:0' to 'cuda:{count - 1}'"
            )
            raise OptionError(f"device={option!r}: this machine has {devices}.", "device")
        return name
    if requested.type == "mps" and torch.backends.mps.is_available():
        return name
    raise OptionError(
        f"{shown} is not available in PyTorch {torch.__version__} on this machine. Use device='cpu'.", "device"
    )


def _import_torch() -> Any:
    try:
        import torch
    except ImportError as error:
        raise MissingExtraError(error.name or "torch", "torch") from error
    return torch
