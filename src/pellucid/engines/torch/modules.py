"""The modules that follow pooling, on the device, so that only final vectors are copied back.

They compute in float32. Their results must agree with those of the modules in :mod:`pellucid.layers`.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterable

import torch
import torch.nn.functional as F  # noqa: N812

from pellucid.engines.torch.ops import ACTIVATIONS, normalize
from pellucid.layers.dense import Dense
from pellucid.layers.finish import Module, Truncate
from pellucid.layers.norms import LayerNorm, Normalize
from pellucid.types import Float32

DeviceModule = Callable[[torch.Tensor], torch.Tensor]
"""Turns ``float32[B, d]`` on the device into ``float32[B, d']``."""


class DeviceModules:
    """The device's copies of modules. One is made at the first use of its module, and lives as long as that.

    Args:
        device: PyTorch's name of the device.
    """

    def __init__(self, device: str) -> None:
        self._device = device
        self._copies: weakref.WeakKeyDictionary[Module, DeviceModule] = weakref.WeakKeyDictionary()

    def copy(self, modules: Iterable[Module]) -> list[DeviceModule] | None:
        """The modules on the device, in order. None if a module is of a kind that only the CPU has."""
        copies = []
        for module in modules:
            made = self._copies.get(module) or copy_module(module, self._device)
            if made is None:
                return None
            self._copies[module] = made  # Two threads may both make a copy. The later one stays.
            copies.append(made)
        return copies


def apply_modules(modules: Iterable[DeviceModule], vectors: torch.Tensor) -> torch.Tensor:
    """Pass vectors through modules, in order."""
    for module in modules:
        vectors = module(vectors)
    return vectors


def copy_module(module: Module, device: str) -> DeviceModule | None:
    """Copy a module to a device. None if it is of a kind that only the CPU has."""

    def copy(array: Float32 | None) -> torch.Tensor | None:
        return None if array is None else torch.tensor(array, device=device)

    if isinstance(module, Dense):
        return _dense(module, *map(copy, (module.weight, module.bias, module.residual)))
    if isinstance(module, LayerNorm):
        weight, bias, eps = copy(module.weight), copy(module.bias), module.eps
        return lambda x: F.layer_norm(x, x.shape[-1:], weight, bias, eps)
    if isinstance(module, Normalize):
        return normalize
    if isinstance(module, Truncate):
        size = module.size
        return lambda x: x[:, :size].contiguous()  # A view would keep all dimensions in memory.
    return None


def _dense(
    module: Dense, weight: torch.Tensor, bias: torch.Tensor | None, residual: torch.Tensor | None
) -> DeviceModule:
    activation, use_residual = ACTIVATIONS[module.activation], module.use_residual

    def dense(x: torch.Tensor) -> torch.Tensor:
        result = activation(F.linear(x, weight, bias))
        if not use_residual:
            return result
        return result + (x if residual is None else F.linear(x, residual))

    return dense
