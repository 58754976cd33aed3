"""How the texts of a step lie: end to end, or side by side."""

from __future__ import annotations

import functools
from dataclasses import dataclass

import torch

from pellucid.types import Int8, Int32, TokenBatch


@dataclass(frozen=True, eq=False)
class DeviceBatch:
    """Some texts of at least one token each, on a device.

    Attributes:
        batch: the texts, in memory.
        device: as PyTorch names it.
        ids: ``int64[T]``, end to end.
        offsets: ``int32[B + 1]``.
        lengths: ``int64[B]``.
        rows: of each token, which text it is of: ``int64[T]``.
        places: of each token, where in its text it stands, from 0: ``int64[T]``.
        longest: the most tokens of a text.
        even: whether all texts have as many.
    """

    batch: TokenBatch
    device: str
    ids: torch.Tensor
    offsets: torch.Tensor
    lengths: torch.Tensor
    rows: torch.Tensor
    places: torch.Tensor
    longest: int
    even: bool

    @classmethod
    def of(cls, batch: TokenBatch, device: str) -> DeviceBatch:
        """Send the texts on their way; nothing waits for a GPU here."""
        offsets = sent(batch.offsets, device)
        lengths = offsets.diff().long()
        count = torch.arange(len(batch), device=device)
        rows = torch.repeat_interleave(count, lengths, output_size=len(batch.ids))
        places = torch.arange(len(batch.ids), device=device) - offsets[rows]
        longest, shortest = int(batch.lengths.max()), int(batch.lengths.min())
        ids = sent(batch.ids, device).long()
        return cls(batch, device, ids, offsets, lengths, rows, places, longest, longest == shortest)

    def side_by_side(self, x: torch.Tensor) -> torch.Tensor:
        """``[T, …]`` to ``[B, longest, …]``, with zeros beyond the end of a text."""
        shape = (len(self.batch), self.longest, *x.shape[1:])
        if self.even:
            return x.reshape(shape)
        padded = x.new_zeros(shape)
        padded[self.rows, self.places] = x
        return padded

    def end_to_end(self, x: torch.Tensor) -> torch.Tensor:
        """``[B, longest, …]`` to ``[T, …]``: without what lies beyond the end of a text."""
        return x.flatten(0, 1) if self.even else x[self.rows, self.places]

    @functools.cached_property
    def inside(self) -> torch.Tensor:
        """What of ``[B, longest]`` is a token: ``bool``."""
        return torch.arange(self.longest, device=self.device) < self.lengths[:, None]


def sent(array: Int8 | Int32, device: str) -> torch.Tensor:
    """An array on a device. From pinned memory, a copy to a GPU goes on by itself, beside what the GPU is at."""
    there = torch.from_numpy(array)
    if torch.device(device).type == "cuda":
        return there.pin_memory().to(device, non_blocking=True)
    return there.to(device)
