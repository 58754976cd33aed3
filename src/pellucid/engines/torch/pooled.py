"""Pooling on the device, so that only one vector per text is copied back.

The results must agree with :func:`pellucid.layers.pooling.pool`.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch

from pellucid.engines.torch.ops import Ops
from pellucid.engines.torch.steps import DeviceBatch


def pool_on_device(states: torch.Tensor, step: DeviceBatch, modes: Sequence[str], skip: int, ops: Ops) -> torch.Tensor:
    """Pool the token vectors of each text.

    Args:
        states: the token vectors, ``[T, hidden]``.
        step: the texts that they belong to.
        modes: keys of :data:`pellucid.layers.pooling.MODES`.
        skip: the number of tokens at the start of each text to leave out. A text with no tokens left gives zeros.
        ops: what computes the mean.

    Returns:
        ``float32[B, len(modes) * hidden]``.
    """
    counts = (step.lengths - skip).clamp_min(0)[:, None]
    pooled = [
        ops.mean(states, step, skip) if mode == "mean" else _pool(states, step, mode, skip, counts) for mode in modes
    ]
    return torch.cat([each.masked_fill(counts == 0, 0.0) for each in pooled], dim=1)


def _pool(states: torch.Tensor, step: DeviceBatch, mode: str, skip: int, counts: torch.Tensor) -> torch.Tensor:
    """Pool in one mode: ``float32[B, hidden]``. Any numbers for a text of which no token is left."""
    lasts = step.offsets[1:].long() - 1
    if mode == "lasttoken":
        return states[lasts].float()
    if mode == "cls":
        return states[torch.minimum(step.offsets[:-1].long() + skip, lasts)].float()
    rows = step.side_by_side(states.float())
    positions = torch.arange(step.longest, device=states.device)
    is_pooled = step.is_token & (positions >= skip)
    if mode == "max":
        return rows.masked_fill(~is_pooled[:, :, None], -torch.inf).amax(dim=1)
    weights = is_pooled * (positions + 1.0) if mode == "weightedmean" else is_pooled.float()
    total = torch.einsum("nl,nlh->nh", weights, rows)
    divisors = {
        "mean_sqrt_len_tokens": counts.float().sqrt(),
        "weightedmean": weights.sum(dim=1, keepdim=True),
    }
    return total / divisors[mode]
