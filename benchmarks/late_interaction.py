"""Measures late interaction in turns: MaxSim of a query with many documents, and the vectors of documents and queries.

Run it with a Python that has Pellucid, sentence-transformers and PyTorch, on an otherwise idle machine::

    .venv-reference/bin/python benchmarks/late_interaction.py

The vectors of MaxSim are random and have length 1. The model has the shape of answerdotai/answerai-colbert-small-v1
(BERT, 12 layers of 384 numbers, 96 dimensions) and random weights, so its vectors mean nothing, but both sides must
give the same ones.
"""

from __future__ import annotations

import argparse
import datetime
import json
import statistics
import string
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import machine
import numpy as np
from measure import log

QUERY_TOKENS, DOCUMENT_TOKENS, WIDTH = 32, (60, 180), 128
WORDS = [
    *("the", "a", "of", "and", "in", "is", "that", "people", "city", "river"),
    *("music", "history", "science", "water", "small", "large", "year", "under", "about"),
]


def main() -> None:
    """Write the raw times to a file, and print the medians."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("--documents", type=int, default=4000, help="for MaxSim")
    parser.add_argument("--texts", type=int, default=64, help="documents to embed")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--output", type=Path, default=Path("benchmarks/results/latest-late-interaction.json"))
    args = parser.parse_args()
    import torch

    torch.set_num_threads(args.threads)
    with tempfile.TemporaryDirectory() as folder:
        write_model(Path(folder))
        works = maxsim_works(args.documents, args.threads) | embedding_works(Path(folder), args.texts, args.threads)
        times: dict[str, list[float]] = {name: [] for name in works}
        processor: dict[str, list[float]] = {name: [] for name in works}
        for number in range(args.rounds + 1):  # The first round warms up.
            log(f"round {number} of {args.rounds}")
            for name, work in works.items():
                start, busy = time.perf_counter(), time.process_time()
                work()
                if number:
                    times[name].append(time.perf_counter() - start)
                    processor[name].append(time.process_time() - busy)
    result: dict[str, Any] = {
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "commit": machine.commit(),
        "machine": machine.describe(),
        "options": {name: value for name, value in vars(args).items() if name != "output"},
        "seconds": times,
        "processor_seconds": processor,
    }
    args.output.write_text(json.dumps(result, indent=1) + "\n")
    for name, seconds in times.items():
        wall, busy = (statistics.median(each) * 1e3 for each in (seconds, processor[name]))
        print(f"{name:<40} {wall:10.2f} ms, at best {min(seconds) * 1e3:10.2f}; {busy:10.2f} ms of the processors")


def maxsim_works(documents: int, threads: int) -> dict[str, Callable[[], Any]]:
    """MaxSim of one query with many documents, in three ways. All must agree."""
    import torch
    from sentence_transformers.util import maxsim as their_maxsim

    from pellucid.engines.native import maxsim as core_maxsim
    from pellucid.types import MultiVectors
    from pellucid.vectors.maxsim import maxsim as numpy_maxsim

    rng = np.random.default_rng(0)
    lengths = rng.integers(*DOCUMENT_TOKENS, documents)
    vectors = unit(rng.standard_normal((int(lengths.sum()), WIDTH), dtype=np.float32))
    query = unit(rng.standard_normal((QUERY_TOKENS, WIDTH), dtype=np.float32))
    ours = MultiVectors(vectors, np.cumsum([0, *lengths], dtype=np.int32))
    theirs = [torch.from_numpy(document) for document in ours]
    their_query = [torch.from_numpy(query)]
    works = {
        "MaxSim, Pellucid": lambda: core_maxsim(query, ours, threads),
        "MaxSim, NumPy, a document at a time": lambda: numpy_maxsim(query, ours),
        "MaxSim, sentence-transformers": lambda: their_maxsim(their_query, theirs).numpy()[0],
    }
    expected, *others = (work() for work in works.values())
    for other in others:
        np.testing.assert_allclose(other, expected, rtol=0, atol=1e-4)
    return works


def embedding_works(folder: Path, texts: int, threads: int) -> dict[str, Callable[[], Any]]:
    """Documents to vectors, and a query to vectors."""
    from sentence_transformers import MultiVectorEncoder

    from pellucid import MultiVectorEmbedder

    rng = np.random.default_rng(1)
    documents = [" ".join(rng.choice(WORDS, int(rng.integers(*DOCUMENT_TOKENS)))) for _ in range(texts)]
    ours = MultiVectorEmbedder(folder, threads=threads, on_truncation="cut")
    eight = MultiVectorEmbedder(folder, threads=threads, on_truncation="cut", dtype="int8")
    theirs = MultiVectorEncoder(str(folder), device="cpu")
    for mine, other in zip(
        ours.embed_documents(documents), theirs.encode_document(documents, convert_to_numpy=True), strict=True
    ):
        np.testing.assert_allclose(mine, other, rtol=0, atol=1e-4)
    query = "history of the river city"
    np.testing.assert_allclose(
        ours.embed_query(query), theirs.encode_query(query, convert_to_numpy=True), rtol=0, atol=1e-4
    )
    return {
        f"{texts} documents, Pellucid": lambda: ours.embed_documents(documents),
        f"{texts} documents, Pellucid, int8": lambda: eight.embed_documents(documents),
        f"{texts} documents, sentence-transformers": lambda: theirs.encode_document(documents, convert_to_numpy=True),
        "a query, Pellucid": lambda: ours.embed_query(query),
        "a query, Pellucid, int8": lambda: eight.embed_query(query),
        "a query, sentence-transformers": lambda: theirs.encode_query(query, convert_to_numpy=True),
    }


def unit(vectors: np.ndarray) -> np.ndarray:
    """Vectors scaled to length 1."""
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def write_model(folder: Path) -> None:
    """Save a model with random weights, with query expansion to 32 tokens and without vectors of punctuation."""
    import torch
    from sentence_transformers import MultiVectorEncoder
    from sentence_transformers.base.modules import Dense, Normalize, Transformer
    from sentence_transformers.multi_vector_encoder.modules import MultiVectorMask
    from transformers import BertConfig, BertModel, BertTokenizerFast

    torch.manual_seed(0)
    specials = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    (folder / "vocab.txt").write_text("\n".join([*specials, *WORDS, *string.punctuation]) + "\n")
    config = BertConfig(
        vocab_size=30522, hidden_size=384, num_hidden_layers=12, num_attention_heads=12, intermediate_size=1536
    )
    BertModel(config).save_pretrained(folder / "bert")
    BertTokenizerFast(str(folder / "vocab.txt"), model_max_length=512).save_pretrained(folder / "bert")
    expansion = {"strategy": "fixed", "attend": False, "length": QUERY_TOKENS}
    transformer = Transformer(str(folder / "bert"), query_expansion=expansion, document_length=300)
    modules = [
        transformer,
        Dense(384, 96, bias=False, activation_function=torch.nn.Identity(), module_input_name="token_embeddings"),
        MultiVectorMask(skiplist_words=list(string.punctuation)),
        Normalize(module_input_name="token_embeddings"),
    ]
    MultiVectorEncoder(modules=modules, device="cpu").save(str(folder))


if __name__ == "__main__":
    main()
