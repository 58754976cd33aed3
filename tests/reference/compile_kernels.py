"""Compiles and starts each Triton kernel as for a GPU, without one: ``python compile_kernels.py CAPABILITY DTYPE``.

A driver that computes nothing takes the place of CUDA's. Prints how many kernels have been compiled after each step.
"""

from __future__ import annotations

import sys
from types import SimpleNamespace

import torch
from triton.backends.compiler import GPUTarget
from triton.runtime import driver

from pellucid.engines.torch.attention import Distances
from pellucid.engines.torch.attention_kernels import KernelAttention
from pellucid.engines.torch.kernels import FusedOps
from pellucid.engines.torch.ops import DeviceNorm, EmbeddingTables
from pellucid.engines.torch.steps import DeviceBatch
from pellucid.model.spec import FeedForwardSpec
from pellucid.types import TokenBatch

HEADS, HEAD_SIZE, HIDDEN, INNER, POSITIONS, PLACES, WARP, SHARED_BYTES = 2, 32, 64, 96, 128, 16, 32, 100 << 10
SEGMENTS = torch.zeros(500, dtype=torch.int64)


class NoDriver:
    """What Triton asks of the driver of a GPU."""

    def __init__(self, capability):
        self.capability, self.loaded = capability, 0
        self.utils = SimpleNamespace(
            load_binary=self.load, get_device_properties=lambda _: {"max_shared_mem": SHARED_BYTES}
        )

    def load(self, *_):
        self.loaded += 1
        return 1, 2, 32, 0, 1024  # Handles of the module and the kernel; registers, spills, threads.

    def launcher_cls(self, *_):
        return lambda *_: None

    def get_current_target(self):
        return GPUTarget("cuda", self.capability, WARP)

    def get_current_device(self):
        return 0

    def get_current_stream(self, _device=None):
        return 0


def start_all(step, dtype):
    """Start all kernels for a step."""

    def zeros(*shape):
        return torch.zeros(shape, dtype=dtype)

    ops, tokens, norm = FusedOps(), len(step.ids), DeviceNorm((zeros(HIDDEN), zeros(HIDDEN)), 1e-12)
    x, heads, turns = (
        zeros(tokens, HIDDEN),
        zeros(tokens, 3 * HEADS, HEAD_SIZE),
        torch.zeros((POSITIONS, HEAD_SIZE // 2)),
    )
    word, position, token_type = (zeros(rows, HIDDEN) for rows in (100, POSITIONS, 2))
    ops.embed(EmbeddingTables(word, position, token_type), norm, step.ids, step.positions, None)
    ops.embed(EmbeddingTables(word, position, token_type), norm, step.ids, step.positions, SEGMENTS[:tokens])
    ops.embed(EmbeddingTables(word, None, None), DeviceNorm(None), step.ids, step.positions, None)
    ops.add_norm(x, x, norm)
    for activation in ("gelu", "gelu_tanh", "relu", "silu"):
        ops.activate(zeros(tokens, INNER), FeedForwardSpec(INNER, activation, gated=False))
        ops.activate(zeros(tokens, 2 * INNER), FeedForwardSpec(INNER, activation, gated=True))
    ops.rotate(heads, 2 * HEADS, (turns, turns), step.positions)
    for skip in (0, 1, 3):
        ops.mean(x, step, skip)
        ops.mean(x, step, skip, normalized=True)
    bias, numbers, places = (
        zeros(HEADS, 2 * POSITIONS),
        torch.zeros(2 * POSITIONS, dtype=torch.int64),
        zeros(HEADS, PLACES, HEAD_SIZE),
    )
    for distances, reach, of_layer in (
        (Distances(POSITIONS, None, None), (64, 64), None),
        (Distances(POSITIONS, None, None), (None, 0), None),
        (Distances(POSITIONS, bias, None), (None, None), None),
        (Distances(POSITIONS, None, numbers), (None, None), places),
    ):
        attention = SimpleNamespace(before=reach[0], after=reach[1], scale=None)
        layer = SimpleNamespace(spec=SimpleNamespace(attention=attention), place_keys=of_layer, place_queries=of_layer)
        KernelAttention(distances)(step)(*heads.split(HEADS, dim=1), layer)


def main():
    gpu = NoDriver(int(sys.argv[1]))
    driver.set_active(gpu)
    for lengths in ([70, 9], [64], [65, 1, 40, 3]):
        texts = TokenBatch.from_sequences([[1] * 7, *([1] * length for length in lengths)])
        start_all(DeviceBatch.of(texts, "cpu").part(1, len(texts)), getattr(torch, sys.argv[2]))
        print(gpu.loaded)


if __name__ == "__main__":
    main()
