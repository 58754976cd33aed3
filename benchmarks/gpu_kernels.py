"""Compares each Triton kernel with the lines of PyTorch that define it: the results, and how long both take.

Run it in ``.venv-reference`` on a machine with a GPU: ``python benchmarks/gpu_kernels.py``. ``gpu.py`` calls it too. To
check that it works, run it anywhere on Linux, with ``TRITON_INTERPRET=1`` and ``--device cpu --tokens 50 --rounds 1``.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import machine
import numpy as np
import torch

from pellucid.engines.torch.attention import Distances, PaddedAttention
from pellucid.engines.torch.attention_kernels import KernelAttention
from pellucid.engines.torch.kernels import FusedOps
from pellucid.engines.torch.ops import DeviceNorm, EmbeddingTables, Ops
from pellucid.engines.torch.steps import DeviceBatch
from pellucid.model.spec import FeedForwardSpec
from pellucid.types import TokenBatch

Compute = Callable[[], torch.Tensor]
HIDDEN, INNER, HEADS, HEAD_SIZE, WORDS, POSITIONS, PLACES = 384, 1536, 12, 64, 30_522, 512, 512
SHORT, LONG = (10, 60), (200, 500)
"""The shortest and the longest text of a step."""


def step_of(tokens: int, lengths: tuple[int, int], device: str) -> DeviceBatch:
    """A step of about so many tokens, longest text first."""
    random = np.random.default_rng(0)
    drawn = np.sort(random.integers(*lengths, max(1, tokens * 2 // sum(lengths))))[::-1]
    return DeviceBatch.of(TokenBatch.from_sequences([random.integers(1, WORDS, n) for n in drawn]), device)


def cases(step: DeviceBatch, dtype: torch.dtype) -> Iterator[tuple[str, Compute, Compute]]:
    """Each op of a step: its name, the kernel, and PyTorch's lines. What works in place gets a copy in both."""
    device, tokens = step.device, len(step.ids)

    def draw(*shape: int) -> torch.Tensor:
        return torch.randn(shape, device=device).to(dtype)

    fused, plain = FusedOps(), Ops()
    x, y, norm = draw(tokens, HIDDEN), draw(tokens, HIDDEN), DeviceNorm((draw(HIDDEN), draw(HIDDEN)), 1e-12)
    tables = EmbeddingTables(draw(WORDS, HIDDEN), draw(POSITIONS, HIDDEN), draw(2, HIDDEN))
    embed = tables, norm, step.ids, step.positions, None
    yield "embed", lambda: fused.embed(*embed), lambda: plain.embed(*embed)
    yield "add and normalize", lambda: fused.add_norm(x, y, norm), lambda: plain.add_norm(x, y, norm)
    for gated in (False, True):
        spec, inner = FeedForwardSpec(INNER, "gelu", gated), draw(tokens, INNER * (1 + gated))
        name = "gelu, gated" if gated else "gelu"
        yield (
            name,
            lambda s=spec, i=inner: fused.activate(i.clone(), s),
            lambda s=spec, i=inner: plain.activate(i.clone(), s),
        )
    stacked, angles = draw(tokens, 3 * HEADS, HEAD_SIZE), torch.randn((POSITIONS, HEAD_SIZE // 2), device=device)

    def rotated(ops: Ops) -> torch.Tensor:
        copy = stacked.clone()
        ops.rotate(copy, 2 * HEADS, (angles.cos(), angles.sin()), step.positions)
        return copy

    yield "rotate", lambda: rotated(fused), lambda: rotated(plain)
    yield (
        "mean and normalize",
        lambda: fused.mean(x, step, 0, normalized=True),
        lambda: plain.mean(x, step, 0, normalized=True),
    )
    yield from attention_cases(step, draw)


def attention_cases(step: DeviceBatch, draw: Callable[..., torch.Tensor]) -> Iterator[tuple[str, Compute, Compute]]:
    """Attention with a window, with MPNet's bias, and with DeBERTa's positions. PyTorch's lines pad."""
    query, key, value = draw(len(step.ids), 3 * HEADS, HEAD_SIZE).split(HEADS, dim=1)
    numbers = torch.arange(2 * POSITIONS - 1, device=step.device) * PLACES // (2 * POSITIONS)
    bias = draw(HEADS, 2 * POSITIONS - 1)
    place_vectors = draw(HEADS, PLACES, HEAD_SIZE)
    kinds: dict[str, tuple[Distances, int | None, torch.Tensor | None]] = {
        "attention, window of 64": (Distances(POSITIONS, None, None), 64, None),
        "attention, bias": (Distances(POSITIONS, bias, None), None, None),
        "attention, relative positions": (Distances(POSITIONS, None, numbers), None, place_vectors),
    }
    for name, (distances, window, places) in kinds.items():
        attention = SimpleNamespace(window=window)
        layer: Any = SimpleNamespace(spec=SimpleNamespace(attention=attention), place_keys=places, place_queries=places)

        def compute(
            kind: Callable[[Distances], Any], distances: Distances = distances, layer: Any = layer
        ) -> torch.Tensor:
            return kind(distances)(step)(query, key, value, layer)

        yield name, lambda c=compute: c(KernelAttention), lambda c=compute: c(PaddedAttention)


def microseconds(compute: Compute, device: str, rounds: int) -> dict[str, float]:
    """The time of a call among many, and how much of it the device computes. The rest is the CPU starting kernels."""
    wait(device)
    start = time.perf_counter()
    for _ in range(rounds):
        compute()
    wait(device)
    times = {"call": 1e6 * (time.perf_counter() - start) / rounds}
    if torch.device(device).type == "cuda":
        with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CUDA]) as profile:
            for _ in range(rounds):
                compute()
            wait(device)
        times["device"] = sum(event.self_device_time_total for event in profile.key_averages()) / rounds
    return times


def wait(device: str) -> None:
    if torch.device(device).type == "cuda":
        torch.cuda.synchronize(device)


def units_apart(found: torch.Tensor, expected: torch.Tensor) -> float:
    """The largest difference, in units in the last place of the largest number."""
    unit = torch.finfo(found.dtype).eps * float(expected.abs().max())
    return float((found.double() - expected.double()).abs().max()) / unit


@torch.inference_mode()
def measure(device: str, dtype: str, tokens: int, rounds: int) -> dict[str, Any]:
    """Each kernel's microseconds, those of PyTorch's lines, how far they are apart, and the first call's seconds.

    What works in place is called on a copy. The time of the copy counts in both.
    """
    figures: dict[str, Any] = {}
    for workload, lengths in (("short", SHORT), ("long", LONG)):
        step = step_of(tokens, lengths, device)
        for name, kernel, lines in cases(step, getattr(torch, dtype)):
            start = time.perf_counter()
            found = kernel()
            wait(device)
            figures[f"{name}, {workload}"] = {
                "first_call_seconds": time.perf_counter() - start,
                "units_apart": units_apart(found, lines()),
                "fused": microseconds(kernel, device, rounds),
                "pytorch": microseconds(lines, device, rounds),
            }
            print(f"{name}, {workload}: {figures[f'{name}, {workload}']}", flush=True)
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--dtype", default="float16")
    parser.add_argument("--tokens", type=int, default=17_066)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--output", type=Path)
    args = parser.parse_args()
    figures = {"machine": machine.describe(), "commit": machine.commit(), "torch": torch.__version__}
    figures |= {"tokens": args.tokens, "kernels": measure(args.device, args.dtype, args.tokens, args.rounds)}
    machine.write_figures(figures, args.output)


if __name__ == "__main__":
    main()
