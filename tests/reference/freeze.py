"""Writes what sentence-transformers gives for a tiny model of each family, for ``make test``, which has no PyTorch.

``tests/data/tiny.npz`` has ids and vectors, ``tests/data/tiny_scores.npz`` the ids and logits of pairs,
``tests/data/tiny_causal_scores.npz`` the scores of decoders for pairs, ``tests/data/tiny_sparse.npz`` the weights of
SPLADE, ``tests/data/tiny_multi_vectors.npz`` the vectors of tokens and their MaxSim, ``tests/data/tiny_bge_m3.npz`` the
three kinds of vectors of BGE-M3, and ``tests/data/static.npz`` the vectors of static models, by sentence-transformers
and by model2vec. ``tests/data/golden_splade.npz`` has the weights of the real SPLADE model of :mod:`tests.real_splade`,
for some of the golden texts. ``tests/data/tiny_t5.npz`` has the ids and vectors of :mod:`tests.t5_models`, and
``tests/data/decoders.npz`` those of :mod:`tests.tiny_decoders`, for documents and for queries. Run this again only when
the tiny models change::

    .venv-reference/bin/python -m tests.reference.freeze
"""

from __future__ import annotations

import itertools
import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from tests import bge_m3, causal_rerankers, multi_vector_models, static_models, t5_models, tiny, tiny_decoders
from tests.real_splade import EVERY, splade_folder
from tests.reference.bge_m3 import live
from tests.reference.conftest import (
    cross_encoder,
    encode_alone,
    load_reference,
    multi_vector_encoder,
    sparse_encoder,
)
from tests.tiny_families import FAMILIES, VOCABULARY_HEADS

_DATA = Path(__file__).parents[1] / "data"
LABELS = (1, 2, 3)
SPLADE = (("max", "relu"), ("sum", "relu"), ("max", "log1p_relu"), ("sum", "log1p_relu"))
MULTI_VECTOR: dict[str, dict[str, Any]] = {
    "bert": {"family": "bert", "expansion": multi_vector_models.FIXED, "document_length": 20},
    "modernbert": {"family": "modernbert", "expansion": multi_vector_models.FIXED | {"attend": True}},
    "roberta": {"family": "roberta", "skipped": (), "query_length": 9, "dense": (10, 6)},
    "pooled": {"family": "distilbert", "pooling": {"pool_factor": 2.5, "normalize_embeddings": True}},
}
"""The tiny models of late interaction whose vectors are stored."""


def main() -> None:
    """Write each tiny model, and store what sentence-transformers makes of :mod:`tests.tiny`'s texts and pairs."""
    arrays = {}
    for family in FAMILIES:
        with tempfile.TemporaryDirectory() as folder:
            reference = load_reference(tiny.write_model(Path(folder), family))
            ids = reference.tokenizer(tiny.TEXTS, truncation=True, max_length=tiny.MAX_TOKENS)["input_ids"]
            arrays |= _packed(family, ids)
            arrays[f"{family}/vectors"] = encode_alone(reference, tiny.TEXTS)
    np.savez_compressed(_DATA / "tiny.npz", **arrays)
    arrays = {}
    for family in FAMILIES:
        for labels in LABELS:
            with tempfile.TemporaryDirectory() as folder:
                reference = cross_encoder(tiny.write_scoring_model(Path(folder), family, labels))
                arrays[f"{family}/{labels}/scores"] = reference.predict(tiny.PAIRS, batch_size=1)
        pairs = [list(texts) for texts in zip(*tiny.PAIRS, strict=True)]
        ids = reference.tokenizer(*pairs, truncation="longest_first", max_length=tiny.MAX_TOKENS)["input_ids"]
        arrays |= _packed(family, ids)
    np.savez_compressed(_DATA / "tiny_scores.npz", **arrays)
    freeze_causal_rerankers()
    arrays = {}
    for name, options in MULTI_VECTOR.items():
        with tempfile.TemporaryDirectory() as folder:
            reference = multi_vector_encoder(multi_vector_models.write_model(Path(folder), **options))
            queries, documents = (
                getattr(reference, method)(multi_vector_models.TEXTS, batch_size=1, convert_to_numpy=True)
                for method in ("encode_query", "encode_document")
            )
        for kind, vectors in (("queries", queries), ("documents", documents)):
            arrays[f"{name}/{kind}/lengths"] = np.array([len(each) for each in vectors], dtype=np.int32)
            arrays[f"{name}/{kind}/vectors"] = np.concatenate(vectors)
        arrays[f"{name}/scores"] = reference.similarity(queries, documents).numpy()
    np.savez_compressed(_DATA / "tiny_multi_vectors.npz", **arrays)
    with tempfile.TemporaryDirectory() as folder:
        found = live(bge_m3.write_model(Path(folder)), bge_m3.TEXTS)
    np.savez_compressed(
        _DATA / "tiny_bge_m3.npz",
        dense=np.stack([dense for dense, _, _ in found]),
        lengths=np.array([len(vectors) for _, _, vectors in found], dtype=np.int32),
        vectors=np.concatenate([vectors for _, _, vectors in found]),
        terms=np.array([len(weights) for _, weights, _ in found], dtype=np.int32),
        indices=np.concatenate([sorted(weights) for _, weights, _ in found]).astype(np.int32),
        values=np.concatenate([[weights[n] for n in sorted(weights)] for _, weights, _ in found]).astype(np.float32),
    )
    arrays = {}
    for family, (mode, activation) in itertools.product(VOCABULARY_HEADS, SPLADE):
        with tempfile.TemporaryDirectory() as folder:
            tiny.write_splade_model(Path(folder), family, pooling_strategy=mode, activation_function=activation)
            weights = sparse_encoder(folder).encode(tiny.TEXTS, batch_size=1, convert_to_sparse_tensor=False)
            arrays[f"{family}/{mode}/{activation}"] = weights.numpy()
    np.savez_compressed(_DATA / "tiny_sparse.npz", **arrays)
    np.savez_compressed(_DATA / "static.npz", **_static_vectors())
    freeze_t5()
    freeze_decoders()
    freeze_splade()


def freeze_t5() -> None:
    """Store the ids and vectors of the tiny T5 encoders."""
    arrays = {}
    for feed_forward in t5_models.FEED_FORWARDS:
        with tempfile.TemporaryDirectory() as folder:
            reference = load_reference(t5_models.write_model(Path(folder), feed_forward))
            ids = reference.tokenizer(tiny.TEXTS, truncation=True, max_length=tiny.MAX_TOKENS)["input_ids"]
            arrays |= _packed(feed_forward, ids)
            arrays[f"{feed_forward}/vectors"] = encode_alone(reference, tiny.TEXTS)
    np.savez_compressed(_DATA / "tiny_t5.npz", **arrays)


def freeze_causal_rerankers() -> None:
    """Store the scores of rerankers that are decoders, with each prompt that they have, and with one of our own."""
    arrays = {}
    for name, layout in causal_rerankers.LAYOUTS.items():
        with tempfile.TemporaryDirectory() as folder:
            reference = cross_encoder(causal_rerankers.write_reranker(Path(folder), name))
            for prompt, options in causal_rerankers.prompts_of(layout).items():
                scores = reference.predict(causal_rerankers.PAIRS, batch_size=1, **options)
                arrays[f"{name}/{prompt}"] = scores
    np.savez_compressed(_DATA / "tiny_causal_scores.npz", **arrays)


def freeze_decoders() -> None:
    """Store the ids and the vectors of tiny decoders."""
    arrays = {}
    for name in tiny_decoders.DECODERS:
        with tempfile.TemporaryDirectory() as folder:
            reference = load_reference(tiny_decoders.write_decoder(Path(folder), name))
            ids = reference.tokenizer(tiny_decoders.TEXTS, truncation=True)["input_ids"]
            arrays |= _packed(name, ids)
            for kind, encode in (("vectors", reference.encode_document), ("queries", reference.encode_query)):
                arrays[f"{name}/{kind}"] = encode(tiny_decoders.TEXTS, batch_size=1)
    np.savez_compressed(_DATA / "decoders.npz", **arrays)


def freeze_splade() -> None:
    """Store the weights of the real SPLADE model that are not 0, text by text.

    They are computed in double precision. In float32, a small weight is the sum of large numbers that cancel out, and
    sentence-transformers itself is 4.6e-6 from these.
    """
    texts = json.loads((_DATA / "golden_texts.json").read_text(encoding="utf-8"))[::EVERY]
    weights = encode_alone(sparse_encoder(splade_folder()).double(), texts, convert_to_sparse_tensor=False).numpy()
    rows, columns = weights.nonzero()
    lengths = np.bincount(rows, minlength=len(texts)).astype(np.int32)
    np.savez_compressed(
        _DATA / "golden_splade.npz",
        indices=columns.astype(np.int32),
        values=weights[rows, columns].astype(np.float32),
        lengths=lengths,
    )


def _static_vectors() -> dict[str, np.ndarray]:
    from model2vec import StaticModel

    arrays = {}
    with tempfile.TemporaryDirectory() as temporary:
        for name in static_models.SENTENCE_TRANSFORMERS_CASES:
            folder = static_models.write_sentence_transformers_case(Path(temporary) / f"{name} for one", name)
            vectors = encode_alone(load_reference(folder), static_models.TEXTS)
            arrays[f"sentence-transformers/{name}"] = vectors
        for name in static_models.MODEL2VEC_CASES:
            model = StaticModel.from_pretrained(static_models.write_model2vec_case(Path(temporary) / name, name))
            arrays[f"model2vec/{name}"] = np.stack([model.encode([text])[0] for text in static_models.TEXTS])
    return arrays


def _packed(family: str, ids: list[list[int]]) -> dict[str, np.ndarray]:
    return {f"{family}/lengths": np.array([len(each) for each in ids]), f"{family}/ids": np.concatenate(ids)}


if __name__ == "__main__":
    main()
