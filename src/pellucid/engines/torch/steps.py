"""The texts of a step on a device, and their two layouts: end to end, or side by side with padding."""

from __future__ import annotations

import functools
from dataclasses import dataclass

import torch

from pellucid.types import Int8, Int32, TokenBatch


@dataclass(frozen=True, eq=False)
class DeviceBatch:
    """The texts of a step, on a device. Each text has at least one token.

    Attributes:
        batch: the same texts, in main memory.
        device: PyTorch's name of the device.
        ids: the token ids, end to end: ``int64[T]``.
        offsets: ``int32[B + 1]``; text ``i`` owns ``ids[offsets[i]:offsets[i + 1]]``.
        lengths: the number of tokens of each text, ``int64[B]``.
        texts: the index of each token's text, ``int64[T]``.
        positions: the position of each token in its text, from 0: ``int64[T]``.
        longest: the number of tokens of the longest text.
        has_equal_lengths: True if all texts have the same number of tokens.
    """

    batch: TokenBatch
    device: str
    ids: torch.Tensor
    offsets: torch.Tensor
    lengths: torch.Tensor
    texts: torch.Tensor
    positions: torch.Tensor
    longest: int
    has_equal_lengths: bool

    @classmethod
    def of(cls, batch: TokenBatch, device: str) -> DeviceBatch:
        """Copy texts to a device. This does not wait for a GPU."""
        offsets = to_device(batch.offsets, device)
        lengths = offsets.diff().long()
        indices = torch.arange(len(batch), device=device)
        texts = torch.repeat_interleave(indices, lengths, output_size=len(batch.ids))
        positions = torch.arange(len(batch.ids), device=device) - offsets[texts]
        longest, shortest = int(batch.lengths.max()), int(batch.lengths.min())
        ids = to_device(batch.ids, device).long()
        return cls(batch, device, ids, offsets, lengths, texts, positions, longest, longest == shortest)

    def side_by_side(self, x: torch.Tensor) -> torch.Tensor:
        """Lay ``[T, …]`` out as ``[B, longest, …]``. Each text is padded with zeros at its end."""
        shape = (len(self.batch), self.longest, *x.shape[1:])
        if self.has_equal_lengths:
            return x.reshape(shape)
        padded = x.new_zeros(shape)
        padded[self.texts, self.positions] = x
        return padded

    def end_to_end(self, x: torch.Tensor) -> torch.Tensor:
        """Lay ``[B, longest, …]`` out as ``[T, …]``, without the padding."""
        return x.flatten(0, 1) if self.has_equal_lengths else x[self.texts, self.positions]

    @functools.cached_property
    def is_token(self) -> torch.Tensor:
        """Which places of ``[B, longest]`` hold a token, not padding: ``bool[B, longest]``."""
        return torch.arange(self.longest, device=self.device) < self.lengths[:, None]


def to_device(array: Int8 | Int32, device: str) -> torch.Tensor:
    """Copy an array to a device. From pinned memory, a GPU copies it by itself while it computes something else."""
    tensor = torch.from_numpy(array)
    if torch.device(device).type == "cuda":
        return tensor.pin_memory().to(device, non_blocking=True)
    return tensor.to(device)
