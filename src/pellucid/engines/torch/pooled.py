"""Pooling on the device, so that only one vector per text is copied back.

The results must agree with :func:`pellucid.layers.pooling.pool`.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch

from pellucid.engines.torch.steps import DeviceBatch


def pool_on_device(states: torch.Tensor, step: DeviceBatch, modes: Sequence[str], skip: int) -> torch.Tensor:
    """Pool the token vectors of each text.

    Args:
        states: the token vectors, ``[T, hidden]``.
        step: the texts that they belong to.
        modes: keys of :data:`pellucid.layers.pooling.MODES`.
        skip: the number of tokens at the start of each text to leave out. A text with no tokens left gives zeros.

    Returns:
        ``float32[B, len(modes) * hidden]``.
    """
    states = step.side_by_side(states.float())
    positions = torch.arange(step.longest, device=states.device)
    is_pooled = step.is_token & (positions >= skip)
    counts = is_pooled.sum(dim=1, keepdim=True)
    weights = is_pooled.to(states.dtype)
    total = torch.einsum("nl,nlh->nh", weights, states)
    position_weights = weights * (positions + 1)
    texts = torch.arange(len(states), device=states.device)
    pool_by_mode = {
        "cls": lambda: states[:, min(skip, step.longest - 1)],
        "max": lambda: states.masked_fill(~is_pooled[:, :, None], -torch.inf).amax(dim=1),
        "mean": lambda: total / counts,
        "mean_sqrt_len_tokens": lambda: total / counts.to(states.dtype).sqrt(),
        "weightedmean": lambda: (
            torch.einsum("nl,nlh->nh", position_weights, states) / position_weights.sum(dim=1, keepdim=True)
        ),
        "lasttoken": lambda: states[texts, step.lengths - 1],
    }
    return torch.cat([pool_by_mode[mode]().masked_fill(counts == 0, 0.0) for mode in modes], dim=1)
