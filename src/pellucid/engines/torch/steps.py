"""Texts on a device, their two layouts (end to end, or side by side with padding), and the way back of results."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass

import torch

from pellucid.types import Float32, Int8, Int32, TokenBatch


@dataclass(frozen=True, eq=False)
class DeviceBatch:
    """Texts on a device, each with at least one token: those of a whole call, or of one step of it.

    Attributes:
        batch: the same texts, in main memory.
        device: PyTorch's name of the device.
        ids: the token ids, end to end: ``int64[T]``.
        offsets: ``int32[B + 1]``; text ``i`` owns ``ids[offsets[i]:offsets[i + 1]]``.
        lengths: the number of tokens of each text, ``int64[B]``.
        texts: the index of each token's text, ``int64[T]``.
        positions: the position of each token in its text, from 0: ``int64[T]``.
        segments: the segment of each token, ``int64[T]``; None if every token has segment 0.
    """

    batch: TokenBatch
    device: str
    ids: torch.Tensor
    offsets: torch.Tensor
    lengths: torch.Tensor
    texts: torch.Tensor
    positions: torch.Tensor
    segments: torch.Tensor | None

    @classmethod
    def of(cls, batch: TokenBatch, device: str) -> DeviceBatch:
        """Copy texts to a device. This does not wait for a GPU."""
        offsets = to_device(batch.offsets, device)
        lengths = offsets.diff().long()
        indices = torch.arange(len(batch), device=device)
        texts = torch.repeat_interleave(indices, lengths, output_size=len(batch.ids))
        positions = torch.arange(len(batch.ids), device=device) - offsets[texts]
        segments = None if batch.segments is None else to_device(batch.segments, device).long()
        return cls(batch, device, to_device(batch.ids, device).long(), offsets, lengths, texts, positions, segments)

    def part(self, start: int, stop: int) -> DeviceBatch:
        """The texts from ``start`` up to, but not including, ``stop``. Nothing is copied to the device."""
        if (start, stop) == (0, len(self.batch)):
            return self
        first, last = int(self.batch.offsets[start]), int(self.batch.offsets[stop])
        return DeviceBatch(
            batch=self.batch.part(start, stop),
            device=self.device,
            ids=self.ids[first:last],
            offsets=self.offsets[start : stop + 1] - first,
            lengths=self.lengths[start:stop],
            texts=self.texts[first:last] - start,
            positions=self.positions[first:last],
            segments=None if self.segments is None else self.segments[first:last],
        )

    @functools.cached_property
    def longest(self) -> int:
        """The number of tokens of the longest text."""
        return int(self.batch.lengths.max())

    @functools.cached_property
    def has_equal_lengths(self) -> bool:
        """True if all texts have the same number of tokens."""
        return int(self.batch.lengths.min()) == self.longest

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


def start_copy_back(result: torch.Tensor) -> Callable[[], Float32]:
    """Start to copy a result to main memory, after the work that a GPU has been given so far.

    Returns:
        A function that waits for the copy, and returns it. The GPU may be given more work before that.
    """
    if result.device.type != "cuda":
        array: Float32 = result.cpu().numpy()
        return lambda: array
    copy = result.to("cpu", non_blocking=True)  # PyTorch puts it into pinned memory.
    copied = torch.cuda.Event()
    copied.record(torch.cuda.current_stream(result.device))

    def wait() -> Float32:
        copied.synchronize()
        waited_for: Float32 = copy.numpy()
        return waited_for

    return wait
