"""What ``sentence_transformers.util`` has for vectors, on arrays.

These are similarities, MaxSim, search, pairs, groups and quantization.
"""

from __future__ import annotations

from typing import Any

from pellucid.sentence_transformers.maxsim import maxsim, maxsim_pairwise, mean_maxsim, mean_maxsim_pairwise
from pellucid.sentence_transformers.quantization import quantize_embeddings
from pellucid.sentence_transformers.retrieval import (
    community_detection,
    information_retrieval,
    paraphrase_mining,
    paraphrase_mining_embeddings,
    semantic_search,
)
from pellucid.sentence_transformers.similarity import (
    SimilarityFunction,
    cos_sim,
    dot_score,
    euclidean_sim,
    manhattan_sim,
    pairwise_angle_sim,
    pairwise_cos_sim,
    pairwise_dot_score,
    pairwise_euclidean_sim,
    pairwise_manhattan_sim,
    pytorch_cos_sim,
    unit,
)
from pellucid.sentence_transformers.tensors import as_array, like

__all__ = [
    "SimilarityFunction",
    "batch_to_device",
    "community_detection",
    "cos_sim",
    "dot_score",
    "euclidean_sim",
    "information_retrieval",
    "manhattan_sim",
    "maxsim",
    "maxsim_pairwise",
    "mean_maxsim",
    "mean_maxsim_pairwise",
    "normalize_embeddings",
    "pairwise_angle_sim",
    "pairwise_cos_sim",
    "pairwise_dot_score",
    "pairwise_euclidean_sim",
    "pairwise_manhattan_sim",
    "paraphrase_mining",
    "paraphrase_mining_embeddings",
    "pytorch_cos_sim",
    "quantize_embeddings",
    "semantic_search",
    "truncate_embeddings",
]


def normalize_embeddings(embeddings: Any) -> Any:
    """Vectors, ``[n, d]`` or ``[d]``, scaled to unit length. An array, or a tensor if you give one."""
    return like(unit(as_array(embeddings)), embeddings)


def truncate_embeddings(embeddings: Any, truncate_dim: int | None) -> Any:
    """The leading dimensions of vectors, ``[n, d]`` or ``[d]``. None keeps all."""
    return embeddings[..., :truncate_dim]


def batch_to_device(batch: dict[str, Any], target_device: Any) -> dict[str, Any]:
    """Move the tensors of a dict to a device. Arrays stay as they are."""
    for name, value in batch.items():
        if hasattr(value, "to"):
            batch[name] = value.to(target_device)
    return batch
