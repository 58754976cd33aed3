"""Tests the torch engine on a GPU, and compares it with sentence-transformers, in half precision, in turns.

Run it in ``.venv-reference`` on a machine with a GPU: ``python benchmarks/gpu.py --output results/….json``. That takes
about three minutes. With ``--device cpu --texts 200 --long-texts 20``, it runs on any machine, to check that it works.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast
from unittest import mock

import machine
import numpy.typing as npt
import texts
import torch

from pellucid import Embedder
from pellucid.engines.torch import engine as torch_engine
from pellucid.engines.torch.ops import Ops

if TYPE_CHECKING:
    from pellucid.engines.torch.engine import TorchEngine

Embed = Callable[[list[str]], npt.NDArray[Any]]
SAMPLE = 200
"""How many texts to compare with their float32 vectors from the CPU."""
QUERIES = 50
"""How many times a query is embedded in a round."""
STEP_SIZES = (8_192, 16_384, 32_768, 65_536, 131_072)
"""How many tokens a step has at most, to see whether the engine's own choice is the best."""
TESTS = Path(__file__).parent.parent / "tests" / "reference" / "test_torch_gpu.py"


def run_tests() -> str:
    """Run the tests that need a GPU, and return the last line that pytest prints, such as "40 passed in 20.1s"."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(TESTS)]
    output = subprocess.run(command, cwd=TESTS.parents[2], capture_output=True, text=True, check=False).stdout
    print(output, flush=True)
    return (output.strip().splitlines() or ["pytest printed nothing"])[-1]


def pellucid(model: str, device: str, dtype: str) -> Embedder:
    return Embedder(model, device=device, dtype=dtype, engine="torch", on_truncation="cut")


def without_triton(model: str, device: str, dtype: str) -> Embedder:
    """The same without our kernels."""
    with mock.patch.object(torch_engine, "ops_for", return_value=Ops()):
        return pellucid(model, device, dtype)


def sentence_transformers(model: str, device: str, dtype: str, attention: str) -> Embed:
    """As its efficiency guide advises: half precision, large batches, and this implementation of attention."""
    from sentence_transformers import SentenceTransformer

    options = {"dtype": getattr(torch, dtype), "attn_implementation": attention}
    loaded = SentenceTransformer(model, device=device, model_kwargs=options, local_files_only=True)
    return lambda batch: loaded.encode(batch, batch_size=256, show_progress_bar=False)


def load_contenders(folder: str, device: str, dtype: str) -> dict[str, Embed]:
    """The contenders that load here. FlashAttention must be installed, and not every model supports it."""
    embedders: dict[str, Embed] = {"pellucid": pellucid(folder, device, dtype).embed_documents}
    if device.startswith("cuda"):
        embedders["pellucid, without Triton"] = without_triton(folder, device, dtype).embed_documents
    if device == "cuda" and torch.cuda.device_count() > 1:
        embedders["pellucid, all GPUs"] = pellucid(folder, "cuda:*", dtype).embed_documents
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
        each contender's seconds per round, its lowest cosine with the exact vectors, its texts per second, its time
        relative to Pellucid's, and how busy it keeps the GPU.
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
        median = statistics.median(figures[name]["seconds"])
        figures[name] |= {"texts_per_second": len(batch) / median, "times_ours": median / ours}
        if torch.cuda.is_available():
            figures[name]["gpu_busy"] = busy_fraction(embed, batch)
    return figures


def measure_queries(embedders: dict[str, Embed], rounds: int) -> dict[str, float]:
    """The milliseconds that each contender takes for a query, in turns. The shortest time of each round counts."""
    found: dict[str, list[float]] = {name: [] for name in embedders}
    for _ in range(rounds):
        for name, embed in embedders.items():
            found[name].append(min(seconds(embed, texts.query()) for _ in range(QUERIES)))
    return {name: 1000 * statistics.median(times) for name, times in found.items()}


def measure_step_sizes(embedder: Embedder, batch: list[str], rounds: int) -> dict[str, Any]:
    """Texts per second for steps of several sizes, in turns, and the size that the engine chooses itself."""
    engine = cast("TorchEngine", embedder.engine)
    chosen = engine.tokens_per_step
    found: dict[int, list[float]] = {size: [] for size in STEP_SIZES}
    for _ in range(rounds + 1):  # The first round warms up.
        for size in STEP_SIZES:
            engine.tokens_per_step = size
            found[size].append(seconds(embedder.embed_documents, batch))
    engine.tokens_per_step = chosen
    speeds = {str(size): len(batch) / statistics.median(times[1:]) for size, times in found.items()}
    return {"chosen": chosen, "texts_per_second": speeds}


def measure_kernels(device: str, dtype: str) -> dict[str, Any] | str:
    """The figures of ``gpu_kernels.py``; or why there are none."""
    try:
        import gpu_kernels
    except ImportError as error:
        return f"no Triton: {error}"
    return gpu_kernels.measure(device, dtype, tokens=17_066, rounds=20)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--dtype", default="float16")
    parser.add_argument("--models", nargs="+", default=["all-MiniLM-L6-v2", "all-mpnet-base-v2"])
    parser.add_argument("--texts", type=int, default=20_000)
    parser.add_argument("--long-texts", type=int, default=4_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--output", type=Path)
    args = parser.parse_args()
    on_gpu = args.device.startswith("cuda")
    figures: dict[str, Any] = {"machine": machine.describe(), "commit": machine.commit()}
    figures |= {"device": torch.cuda.get_device_name(args.device) if on_gpu else args.device}
    figures |= {"gpus": torch.cuda.device_count(), "torch": torch.__version__, "dtype": args.dtype}
    figures |= {"tests": run_tests(), "texts": args.texts, "long_texts": args.long_texts}
    if on_gpu:
        figures["kernels"] = measure_kernels(args.device, args.dtype)
    for model in args.models:
        reference = Embedder(model, on_truncation="cut")
        folder = str(reference.files.folder)
        embedders = load_contenders(folder, args.device, args.dtype)
        short, long = texts.many(args.texts), texts.long(args.long_texts)
        for workload, batch in (("short", short), ("long", long)):
            exact = reference.embed_documents(batch[:SAMPLE])
            print(f"{model}, {workload} …", flush=True)
            figures[f"{model}, {workload}"] = measure(embedders, batch, exact, args.rounds)
        figures[f"{model}, milliseconds for a query"] = measure_queries(embedders, args.rounds)
        print(f"{model}, step sizes …", flush=True)
        figures[f"{model}, step sizes"] = measure_step_sizes(
            pellucid(folder, args.device, args.dtype), short, args.rounds
        )
    machine.write_figures(figures, args.output)


if __name__ == "__main__":
    main()
