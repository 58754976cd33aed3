"""Compares reranking on a GPU with sentence-transformers, in half precision, in turns in one process.

Run it in ``.venv-reference`` on a machine with a GPU: ``python benchmarks/gpu_reranking.py --output results/….json``.
The models have random weights, in the shapes of cross-encoder/ms-marco-MiniLM-L6-v2 and of
mixedbread-ai/mxbai-rerank-xsmall-v1.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import machine
import numpy as np
import torch
from reranking import DOCUMENT_TOKENS, QUERIES, make_pairs, read_tokenizer
from sentence_transformers import CrossEncoder
from transformers import AutoModelForSequenceClassification, AutoTokenizer, BertConfig, DebertaV2Config

from pellucid import Reranker

Score = Callable[[list[tuple[str, str]]], Any]
SAMPLE = 500
"""How many pairs to compare with their float32 scores from the CPU."""
SHAPES = {
    "bert, 6 layers of 384": (
        BertConfig,
        {"num_hidden_layers": 6, "hidden_size": 384, "num_attention_heads": 12, "intermediate_size": 1536},
    ),
    "deberta-v2, 12 layers of 384": (
        DebertaV2Config,
        {
            "num_hidden_layers": 12,
            "hidden_size": 384,
            "num_attention_heads": 6,
            "intermediate_size": 1536,
            "relative_attention": True,
            "position_buckets": 256,
            "pos_att_type": ["p2c", "c2p"],
            "share_att_key": True,
            "norm_rel_ebd": "layer_norm",
            "position_biased_input": False,
            "pooler_hidden_size": 384,
            "pooler_hidden_act": "gelu",
            "pooler_dropout": 0,
            "type_vocab_size": 0,
        },
    ),
}


def write_model(shape: str, tokenizer: Path, folder: Path) -> None:
    torch.manual_seed(0)
    kind, sizes = SHAPES[shape]
    loaded = AutoTokenizer.from_pretrained(tokenizer, model_max_length=512)
    config = kind(vocab_size=len(loaded), num_labels=1, initializer_range=0.05, **sizes)
    config.sentence_transformers = {"activation_fn": "torch.nn.modules.linear.Identity"}
    AutoModelForSequenceClassification.from_config(config).save_pretrained(folder)
    loaded.save_pretrained(folder)


def sentence_transformers(folder: Path, device: str, dtype: str) -> Score:
    model = CrossEncoder(str(folder), device=device, model_kwargs={"dtype": getattr(torch, dtype)})
    return lambda pairs: model.predict(pairs, batch_size=256, show_progress_bar=False)


def measure(folder: Path, device: str, dtype: str, pairs: list[tuple[str, str]], rounds: int) -> dict[str, Any]:
    """Seconds of each contender in each round, and the largest difference to the scores in float32 on the CPU."""
    exact = Reranker(folder, on_truncation="cut").score_pairs(pairs[:SAMPLE])
    contenders = {
        "pellucid": Reranker(folder, device=device, dtype=dtype, engine="torch", on_truncation="cut").score_pairs,
        "sentence-transformers": sentence_transformers(folder, device, dtype),
    }
    figures: dict[str, Any] = {"spread": float(exact.std())}
    for name, score in contenders.items():
        difference = np.abs(np.asarray(score(pairs[:SAMPLE]), np.float32) - exact).max()
        figures[name] = {"largest_difference": float(difference), "seconds": []}
        score(pairs)  # The first call also warms up.
    for _ in range(rounds):
        for name, score in contenders.items():
            start = time.perf_counter()
            score(pairs)
            figures[name]["seconds"].append(time.perf_counter() - start)
    for name in contenders:
        figures[name]["pairs_per_second"] = len(pairs) / statistics.median(figures[name]["seconds"])
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("--tokenizer", type=Path, required=True, help="the folder of all-MiniLM-L6-v2")
    parser.add_argument("--pairs", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--dtype", default="float16")
    parser.add_argument("--output", type=Path)
    args = parser.parse_args()
    figures = {**machine.describe_run("random weights"), "torch": torch.__version__, "dtype": args.dtype}
    figures["device"] = torch.cuda.get_device_name() if args.device == "cuda" else args.device
    for shape in SHAPES:
        with tempfile.TemporaryDirectory() as folder:
            write_model(shape, args.tokenizer, Path(folder))
            pairs = make_pairs(read_tokenizer(Path(folder)), args.pairs, args.pairs // QUERIES, DOCUMENT_TOKENS)
            figures[shape] = measure(Path(folder), args.device, args.dtype, pairs, args.rounds)
    machine.write_figures(figures, args.output)


if __name__ == "__main__":
    main()
