"""Pooling where the token vectors are, so that only one vector a text comes back. It is held to the one pooling."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from pellucid.engines.torch.steps import DeviceBatch


def pooled(states: torch.Tensor, step: DeviceBatch, modes: Sequence[str], skip: int) -> torch.Tensor:
    """The modes of :mod:`pellucid.layers.pooling`.

    Args:
        states: the token vectors, ``[T, hidden]``.
        step: the texts that they are of.
        modes: keys of :data:`pellucid.layers.pooling.MODES`.
        skip: how many tokens at the start of each text are left out. A text of which nothing is left gives zeros.

    Returns:
        ``float32[B, len(modes) * hidden]``.
    """
    states = step.side_by_side(states.float())
    places = torch.arange(step.longest, device=states.device)
    inside = step.inside & (places >= skip)
    counts = inside.sum(dim=1, keepdim=True)
    weights = inside.to(states.dtype)
    total = torch.einsum("nl,nlh->nh", weights, states)
    later = weights * (places + 1)
    rows = torch.arange(len(states), device=states.device)
    made = {
        "cls": lambda: states[:, min(skip, step.longest - 1)],
        "max": lambda: states.masked_fill(~inside[:, :, None], -torch.inf).amax(dim=1),
        "mean": lambda: total / counts,
        "mean_sqrt_len_tokens": lambda: total / counts.to(states.dtype).sqrt(),
        "weightedmean": lambda: torch.einsum("nl,nlh->nh", later, states) / later.sum(dim=1, keepdim=True),
        "lasttoken": lambda: states[rows, step.lengths - 1],
    }
    return torch.cat([made[mode]().masked_fill(counts == 0, 0.0) for mode in modes], dim=1)
