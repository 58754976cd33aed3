"""Measures the three kinds of vectors of BGE-M3 in turns: in one pass, in three, and by its formulas in PyTorch.

Run it with a Python that has Pellucid, sentence-transformers and PyTorch, on an otherwise idle machine::

    .venv-reference/bin/python benchmarks/together.py

The model has the shape of BAAI/bge-m3 (XLM-RoBERTa, 24 layers of 1,024 numbers) with a small vocabulary and random
weights, so its vectors mean nothing, but both sides must give the same ones.
"""

from __future__ import annotations

import argparse
import datetime
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import machine
import numpy as np
from late_interaction import WORDS
from measure import log

HIDDEN, MAX_TOKENS = 1024, 512


def main() -> None:
    """Write the raw times to a file, and print the medians."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("--texts", type=int, default=16)
    parser.add_argument("--words", type=int, default=126, help="of each text; with two special tokens that is 128")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--output", type=Path, default=Path("benchmarks/results/latest-together.json"))
    args = parser.parse_args()
    rng = np.random.default_rng(0)
    texts = [" ".join(rng.choice(WORDS, args.words)) for _ in range(args.texts)]
    with tempfile.TemporaryDirectory() as folder:
        write_model(Path(folder))
        works = {**ours(Path(folder), texts, args.threads), "PyTorch, one pass": theirs(Path(folder), texts)}
        times: dict[str, list[float]] = {name: [] for name in works}
        results = {name: work() for name, work in works.items()}  # This warms up, too.
        check(results)
        for number in range(args.rounds):
            log(f"round {number + 1} of {args.rounds}")
            for name, work in works.items():
                start = time.perf_counter()
                work()
                times[name].append(time.perf_counter() - start)
    facts = {
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "commit": machine.commit(),
        "machine": machine.describe(),
        "options": {name: value for name, value in vars(args).items() if name != "output"},
    }
    args.output.write_text(json.dumps({**facts, "seconds": times}, indent=1) + "\n", encoding="utf-8")
    for name, seconds in times.items():
        print(f"{name:<24} {statistics.median(seconds):7.2f} s")


def ours(folder: Path, texts: list[str], threads: int) -> dict[str, Callable[[], tuple[Any, ...]]]:
    """Pellucid's ways to the three kinds of vectors."""
    from pellucid import Embedder, Encoder, MultiVectorEmbedder, SparseEmbedder

    works: dict[str, Callable[[], tuple[Any, ...]]] = {}
    for dtype in ("float32", "int8"):
        encoder = Encoder(folder, dtype=dtype, threads=threads)
        tasks = [Embedder(encoder), SparseEmbedder(encoder), MultiVectorEmbedder(encoder)]
        works[f"{dtype}, one pass"] = lambda encoder=encoder, tasks=tasks: encoder.together(texts, tasks)
        works[f"{dtype}, three passes"] = lambda tasks=tasks: tuple(task.embed_documents(texts) for task in tasks)
    return works


def theirs(folder: Path, texts: list[str]) -> Callable[[], tuple[Any, ...]]:
    """The formulas of FlagEmbedding, on one padded batch. All texts have the same length, so nothing is padded."""
    import torch
    from safetensors.torch import load_file
    from transformers import AutoModel, AutoTokenizer

    tokenizer, model = AutoTokenizer.from_pretrained(folder), AutoModel.from_pretrained(folder).eval()
    sparse, colbert = (load_file(folder / f"{head}_linear.safetensors") for head in ("sparse", "colbert"))

    def work() -> tuple[Any, ...]:
        features = tokenizer(texts, padding=True, truncation=True, max_length=MAX_TOKENS, return_tensors="pt")
        with torch.inference_mode():
            states = model(**features).last_hidden_state
            weights = torch.relu(torch.nn.functional.linear(states, **sparse))
            vectors = torch.nn.functional.linear(states[:, 1:], **colbert)
            normalize = torch.nn.functional.normalize
            return normalize(states[:, 0], dim=-1).numpy(), weights.numpy(), normalize(vectors, dim=-1).numpy()

    return work


def check(results: dict[str, tuple[Any, ...]]) -> None:
    """All float32 results must be the same. Raises AssertionError if they are not."""
    dense, weights, vectors = results["PyTorch, one pass"]
    for name in ("float32, one pass", "float32, three passes"):
        np.testing.assert_allclose(results[name][0], dense, rtol=0, atol=1e-5)
        np.testing.assert_allclose(results[name][2].vectors, vectors.reshape(-1, vectors.shape[-1]), rtol=0, atol=1e-5)
        np.testing.assert_allclose(results[name][1].values.max(), weights[:, 1:-1].max(), rtol=1e-4)


def write_model(folder: Path) -> None:
    """Save a model with random weights, and the two heads that read each token."""
    import torch
    from safetensors.torch import save_file
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Normalize, Pooling, Transformer
    from transformers import BertTokenizerFast, XLMRobertaConfig, XLMRobertaModel

    torch.manual_seed(0)
    base = folder / "base"
    base.mkdir()
    (base / "vocab.txt").write_text("\n".join(["[CLS]", "[PAD]", "[SEP]", "[UNK]", "[MASK]", *WORDS]) + "\n")
    config = XLMRobertaConfig(
        vocab_size=1000,
        hidden_size=HIDDEN,
        num_hidden_layers=24,
        num_attention_heads=16,
        intermediate_size=4 * HIDDEN,
        max_position_embeddings=MAX_TOKENS + 2,
        type_vocab_size=1,
        layer_norm_eps=1e-5,
    )
    XLMRobertaModel(config).save_pretrained(base)
    BertTokenizerFast(str(base / "vocab.txt"), model_max_length=MAX_TOKENS).save_pretrained(base)
    SentenceTransformer(modules=[Transformer(str(base)), Pooling(HIDDEN, "cls"), Normalize()]).save(str(folder))
    for head, width in (("sparse", 1), ("colbert", HIDDEN)):
        linear = torch.nn.Linear(HIDDEN, width)
        save_file(dict(linear.state_dict()), folder / f"{head}_linear.safetensors")


if __name__ == "__main__":
    main()
