"""Whether PyTorch is installed, and which of its devices this machine has."""

from __future__ import annotations

import importlib.util
from typing import Any

from pellucid.errors import MissingExtraError, OptionError


def is_installed() -> bool:
    """True if the packages of the ``torch`` extra are installed. Imports nothing."""
    return all(importlib.util.find_spec(name) is not None for name in ("torch", "transformers"))


def check_device(device: str) -> str:
    """Check that this machine has a device, and return its name.

    Raises:
        OptionError: PyTorch knows no such device, or this machine does not have it.
        MissingExtraError: the extra ``torch`` is not installed.
    """
    torch = _import_torch()
    try:
        requested = torch.device(device)
    except RuntimeError as error:
        raise OptionError(f"device={device!r} is not one of 'cpu', 'cuda', 'cuda:1', …, 'mps'.", "device") from error
    if requested.type == "cpu":
        return "cpu"
    if requested.type == "cuda":
        count = torch.cuda.device_count() if torch.cuda.is_available() else 0
        if not count:
            raise OptionError(
                f"device={device!r}: PyTorch {torch.__version__} sees no CUDA device. Check that `nvidia-smi` shows "
                f"one, and that this PyTorch was built with CUDA; or use device='cpu'.",
                "device",
            )
        if requested.index is not None and requested.index >= count:
            devices = (
                "1 CUDA device, 'cuda:0'" if count == 1 else f"{count} CUDA devices, 'cuda:0' to 'cuda:{count - 1}'"
            )
            raise OptionError(f"device={device!r}: this machine has {devices}.", "device")
        return device
    if requested.type == "mps" and torch.backends.mps.is_available():
        return device
    raise OptionError(
        f"device={device!r} is not available in PyTorch {torch.__version__} on this machine. Use device='cpu'.",
        "device",
    )


def _import_torch() -> Any:
    try:
        import torch
    except ImportError as error:
        raise MissingExtraError(error.name or "torch", "torch") from error
    return torch
