"""What there is of PyTorch and of its devices on this machine."""

from __future__ import annotations

import importlib.util
from typing import Any

from pellucid.errors import MissingExtraError, OptionError


def is_installed() -> bool:
    """Whether the ``torch`` extra is there; imports nothing."""
    return all(importlib.util.find_spec(name) is not None for name in ("torch", "transformers"))


def checked_device(device: str) -> str:
    """A device that is there.

    Raises:
        OptionError: PyTorch knows no such device, or this machine has none.
        MissingExtraError: the extra ``torch`` is not installed.
    """
    torch = _imported()
    try:
        wanted = torch.device(device)
    except RuntimeError as error:
        raise OptionError(f"device={device!r} is not one of 'cpu', 'cuda', 'cuda:1', …, 'mps'.") from error
    if wanted.type == "cpu":
        return "cpu"
    if wanted.type == "cuda":
        count = torch.cuda.device_count() if torch.cuda.is_available() else 0
        if not count:
            raise OptionError(
                f"device={device!r}: PyTorch {torch.__version__} sees no CUDA device. Look whether `nvidia-smi` does, "
                f"and whether this PyTorch was built with CUDA; or take device='cpu'."
            )
        if wanted.index is not None and wanted.index >= count:
            raise OptionError(f"device={device!r}: this machine has {count}, the last of them 'cuda:{count - 1}'.")
        return device
    if wanted.type == "mps" and torch.backends.mps.is_available():
        return device
    raise OptionError(f"device={device!r} is not there for PyTorch {torch.__version__}. Take device='cpu'.")


def _imported() -> Any:
    try:
        import torch
    except ImportError as error:
        raise MissingExtraError(error.name or "torch", "torch") from error
    return torch
