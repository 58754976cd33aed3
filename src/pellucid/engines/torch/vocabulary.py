"""The scores of a whole vocabulary on the device, so that only the few weights that are not zero are copied back.

The results must agree with :class:`pellucid.layers.vocabulary.VocabularyPool`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch.nn import functional

from pellucid.engines.torch.ops import ACTIVATIONS
from pellucid.engines.torch.steps import DeviceBatch
from pellucid.layers.vocabulary import Together, VocabularyHead, VocabularyPool
from pellucid.sparse_vectors import SparseVectors
from pellucid.types import Float32

_CPU_SCORES, _GPU_SCORES = 1 << 23, 1 << 28
"""How many scores are in the device's memory at a time."""


class DeviceHead:
    """The head of a masked language model on a device, in float32.

    Args:
        head: the head.
        device: PyTorch's name of the device.
    """

    def __init__(self, head: VocabularyHead, device: str) -> None:
        def copy(array: Float32 | None) -> Any:
            return None if array is None else torch.tensor(array, device=device)

        self._activation = ACTIVATIONS[head.transform.activation]
        self._transform = copy(head.transform.weight), copy(head.transform.bias)
        self._norm = None if head.norm is None else (copy(head.norm.weight), copy(head.norm.bias), head.norm.eps)
        self._decoder = copy(head.decoder.weight), copy(head.decoder.bias)
        self._size = max(1, (_CPU_SCORES if device == "cpu" else _GPU_SCORES) // len(head.decoder.weight))

    def weights(self, states: torch.Tensor, step: DeviceBatch, pool: VocabularyPool) -> SparseVectors:
        """The weights of the texts of a step, from their token vectors, ``[T, hidden]``."""
        parts = []
        offsets = step.batch.offsets
        for first in range(0, len(step.batch), self._size):
            last = min(len(step.batch), first + self._size)
            tokens = slice(int(offsets[first]), int(offsets[last]))
            scores = self._scores(states[tokens].float(), step.texts[tokens] - first, last - first, pool.together)
            places = scores.nonzero()
            counts = torch.bincount(places[:, 0], minlength=last - first)
            found = SparseVectors(
                places[:, 1].int().cpu().numpy(),
                scores[places[:, 0], places[:, 1]].cpu().numpy(),
                np.concatenate([[0], counts.cumsum(0).cpu().numpy()]).astype(np.int32),
                scores.shape[1],
            )
            parts.append(pool.of_scores(found))
        return SparseVectors.concatenate(parts)

    def _scores(self, states: torch.Tensor, texts: torch.Tensor, count: int, together: Together) -> torch.Tensor:
        weight, bias = self._decoder
        scores = states.new_zeros((count, len(weight)))
        for start in range(0, len(states), self._size):
            part = slice(start, start + self._size)
            hidden = self._activation(functional.linear(states[part], *self._transform))
            if self._norm is not None:
                norm_weight, norm_bias, eps = self._norm
                hidden = functional.layer_norm(hidden, hidden.shape[-1:], norm_weight, norm_bias, eps)
            found = functional.linear(hidden, weight, bias)
            if together == "largest":
                scores.index_reduce_(0, texts[part], found, "amax")  # Negative scores count as 0.
                continue
            found = found.relu_().log1p_()
            scores.index_add_(0, texts[part], found if together == "sum_of_logs" else found.log1p_())
        return scores
