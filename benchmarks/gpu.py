"""Compares Pellucid's torch engine with sentence-transformers on a GPU, in half precision, in turns in one process.

Run it in ``.venv-reference`` on a machine with a GPU: ``python benchmarks/gpu.py --output results/….json``. With
``--device cpu --texts 200``, it runs on any machine, to check that the program works.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import machine
import numpy.typing as npt
import texts
import torch

from pellucid import Embedder

Embed = Callable[[list[str]], npt.NDArray[Any]]
SAMPLE = 2000
"""How many texts to compare with their float32 vectors from the CPU."""


def pellucid(model: str, device: str, dtype: str) -> Embed:
    return Embedder(model, device=device, dtype=dtype, engine="torch", on_truncation="cut").embed_documents


def sentence_transformers(model: str, device: str, dtype: str, attention: str) -> Embed:
    """As its efficiency guide advises: half precision, large batches, and this implementation of attention."""
    from sentence_transformers import SentenceTransformer

    options = {"dtype": getattr(torch, dtype), "attn_implementation": attention}
    loaded = SentenceTransformer(model, device=device, model_kwargs=options, local_files_only=True)
    return lambda batch: loaded.encode(batch, batch_size=256, show_progress_bar=False)


def load_contenders(folder: str, device: str, dtype: str) -> dict[str, Embed]:
    """The contenders that load here. FlashAttention must be installed, and not every model supports it."""
    embedders = {"pellucid": pellucid(folder, device, dtype)}
    for attention in ("sdpa", "flash_attention_2"):
        try:
            embedders[f"sentence-transformers, {attention}"] = sentence_transformers(folder, device, dtype, attention)
        except (ImportError, ValueError) as error:
            print(f"sentence-transformers, {attention}: {machine.without_folders(str(error)).splitlines()[0]}")
    return embedders


def seconds(embed: Embed, batch: list[str]) -> float:
    start = time.perf_counter()
    embed(batch)
    return time.perf_counter() - start


def busy_fraction(embed: Embed, batch: list[str]) -> float:
    """The fraction of a call's time in which the GPU was busy, from PyTorch's profiler. Kernels run one at a time."""
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CUDA]) as profile:
        elapsed = seconds(embed, batch)
    return sum(event.self_device_time_total for event in profile.key_averages()) / 1e6 / elapsed


def measure(embedders: dict[str, Embed], batch: list[str], exact: npt.NDArray[Any], rounds: int) -> dict[str, Any]:
    """Measure all contenders, in turns.

    Args:
        embedders: the contenders.
        batch: the texts.
        exact: the float32 vectors of the first texts, to compare with.
        rounds: how many times each contender embeds all texts.

    Returns:
        each contender's seconds per round, its lowest cosine with the exact vectors, its time relative to Pellucid's,
        and how busy it keeps the GPU.
    """
    figures: dict[str, Any] = {}
    for name, embed in embedders.items():
        vectors = embed(batch[: len(exact)])  # The first call also warms up.
        figures[name] = {"lowest_cosine": float((vectors * exact).sum(axis=1).min()), "seconds": []}
    for _ in range(rounds):
        for name, embed in embedders.items():
            figures[name]["seconds"].append(seconds(embed, batch))
    ours = statistics.median(figures["pellucid"]["seconds"])
    for name, embed in embedders.items():
        figures[name]["times_ours"] = statistics.median(figures[name]["seconds"]) / ours
        if torch.cuda.is_available():
            figures[name]["gpu_busy"] = busy_fraction(embed, batch)
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--dtype", default="float16")
    parser.add_argument("--models", nargs="+", default=["all-MiniLM-L6-v2", "all-mpnet-base-v2"])
    parser.add_argument("--texts", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--output", type=Path)
    args = parser.parse_args()
    name = torch.cuda.get_device_name(args.device) if args.device.startswith("cuda") else args.device
    figures: dict[str, Any] = {"machine": machine.describe(), "commit": machine.commit(), "device": name}
    figures |= {"torch": torch.__version__, "dtype": args.dtype, "texts": args.texts}
    for model in args.models:
        reference = Embedder(model, on_truncation="cut")
        embedders = load_contenders(str(reference.files.folder), args.device, args.dtype)
        for workload, batch in (("short", texts.many(args.texts)), ("long", texts.long(args.texts))):
            exact = reference.embed_documents(batch[:SAMPLE])
            print(f"{model}, {workload} …", flush=True)
            figures[f"{model}, {workload}"] = measure(embedders, batch, exact, args.rounds)
    machine.write_figures(figures, args.output)


if __name__ == "__main__":
    main()
