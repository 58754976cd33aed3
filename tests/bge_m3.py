"""Writes tiny models like BGE-M3 with random weights: a dense vector, and two heads that read each token."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from safetensors.numpy import save_file

from tests import tiny
from tests.tiny_families import HIDDEN, normal

WIDTH = 10
"""The length of a token's vector."""
TEXTS = [*tiny.TEXTS, "the cat the cat the cat", "<s> the </s> cat <unk> 😀"]
"""Texts of various lengths, with repeated tokens, and with special tokens inside."""


def write_model(folder: Path, *, heads: tuple[str, ...] = ("sparse_linear", "colbert_linear")) -> Path:
    """Write a model with these heads, and return its folder."""
    tiny.write_model(folder, "xlm-roberta", pooling={"pooling_mode_cls_token": True})
    for head, weights in head_tensors().items():
        if head in heads:
            save_file(weights, folder / f"{head}.safetensors")
    return folder


def head_tensors() -> dict[str, dict[str, np.ndarray]]:
    """The tensors of both heads."""
    rng = np.random.RandomState(3)
    return {
        head: {"weight": normal(rng, width, HIDDEN), "bias": normal(rng, width)}
        for head, width in (("sparse_linear", 1), ("colbert_linear", WIDTH))
    }
