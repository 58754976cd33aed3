"""Rotary positions: queries and keys are rotated by angles that depend on where their token is.

Su et al., "RoFormer" (2021): at position p, pair i of a head's numbers turns by ``p · frequency[i]``. So the product of
a query and a key depends on the distance of their tokens. Models for long texts scale the frequencies. The rules are
those of ``modeling_rope_utils.py`` in transformers, with the same rounding to float32.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from pellucid.types import Float32

Turns = tuple[Float32, Float32]
"""The cosine and the sine of each angle, ``float32[n, head_size / 2]``."""


@dataclass(frozen=True)
class LinearScaling:
    """Every frequency is divided by ``factor``."""

    factor: float

    def scale(self, frequencies: Float32, base: float) -> Float32:  # noqa: ARG002
        """The frequencies, scaled."""
        return frequencies / np.float32(self.factor)


@dataclass(frozen=True)
class Llama3Scaling:
    """Low frequencies are divided by ``factor``, high ones stay, and those between are mixed (Llama 3.1, 2024).

    Attributes:
        factor: what low frequencies are divided by.
        low, high: the borders: how many turns a frequency makes within ``original_positions``.
        original_positions: the length of the texts in the first part of the training, in tokens.
    """

    factor: float
    low: float
    high: float
    original_positions: int

    def scale(self, frequencies: Float32, base: float) -> Float32:  # noqa: ARG002
        """The frequencies, scaled."""
        one, factor = np.float32(1), np.float32(self.factor)
        wavelengths = np.float32(2 * math.pi) / frequencies
        is_low = wavelengths > self.original_positions / self.low
        is_high = wavelengths < self.original_positions / self.high
        share = (np.float32(self.original_positions) / wavelengths - np.float32(self.low)) / np.float32(
            self.high - self.low
        )
        mixed = (one - share) * frequencies / factor + share * frequencies
        scaled: Float32 = np.where(is_low, frequencies / factor, np.where(is_high, frequencies, mixed))
        return scaled


@dataclass(frozen=True)
class YarnScaling:
    """As in Llama 3, but mixed along a ramp over the pairs (Peng et al., "YaRN", 2023).

    Attributes:
        factor: what low frequencies are divided by.
        original_positions: the length of the texts in the first part of the training, in tokens.
        magnitude: what all cosines and sines are multiplied by.
        fast, slow: the ends of the ramp: how many turns a frequency makes within ``original_positions``.
        truncate: True if the ends of the ramp are rounded to whole pairs.
    """

    factor: float
    original_positions: int
    magnitude: float
    fast: float = 32.0
    slow: float = 1.0
    truncate: bool = True

    def scale(self, frequencies: Float32, base: float) -> Float32:
        """The frequencies, scaled."""
        pairs = len(frequencies)
        low, high = self._pair(self.fast, pairs, base), self._pair(self.slow, pairs, base)
        if self.truncate:
            low, high = math.floor(low), math.ceil(high)
        low, high = max(low, 0), min(high, 2 * pairs - 1)
        width = high - low or 0.001
        ramp = np.clip((np.arange(pairs, dtype=np.float32) - np.float32(low)) / np.float32(width), 0, 1)
        kept = np.float32(1) - ramp
        divided = np.float32(1) / (np.float32(self.factor) * (np.float32(1) / frequencies))
        scaled: Float32 = divided * (np.float32(1) - kept) + frequencies * kept
        return scaled

    def _pair(self, turns: float, pairs: int, base: float) -> float:
        """The pair whose frequency makes so many turns within ``original_positions``. It need not be whole."""
        return pairs * math.log(self.original_positions / (turns * 2 * math.pi)) / math.log(base)


@dataclass(frozen=True)
class Rotary:
    """The rotary positions of a layer.

    Attributes:
        base: pair i has the frequency ``base ** (-2i / head_size)``.
        scaling: how the frequencies are scaled, or None.
    """

    base: float
    scaling: LinearScaling | Llama3Scaling | YarnScaling | None = None

    def frequencies(self, head_size: int) -> Float32:
        """How far each pair turns from one position to the next, in radians: ``float32[head_size / 2]``."""
        exponents = (np.arange(0, head_size, 2) / head_size).astype(np.float32)
        # Round to float32 where PyTorch does. After a thousand positions, the last bit of a frequency has grown to the
        # fourth decimal of an angle.
        frequencies = np.float32(1) / np.power(self.base, exponents.astype(np.float64)).astype(np.float32)
        return frequencies if self.scaling is None else self.scaling.scale(frequencies, self.base)

    def turns(self, n: int, head_size: int) -> Turns:
        """The rotations of the first ``n`` positions."""
        angles = (np.arange(n, dtype=np.float32)[:, None] * self.frequencies(head_size)).astype(np.float64)
        cos, sin = np.cos(angles).astype(np.float32), np.sin(angles).astype(np.float32)
        if isinstance(self.scaling, YarnScaling):
            magnitude = np.float32(self.scaling.magnitude)
            return cos * magnitude, sin * magnitude
        return cos, sin


def rotate(x: Float32, turns: Turns) -> Float32:
    """Rotate queries or keys, ``[heads, n, head_size]``.

    Number i of a head's first half and number i of its second half are a pair, which turns like a point in the plane.
    """
    cos, sin = turns
    first, second = np.split(x, 2, axis=-1)
    return np.concatenate([first * cos - second * sin, second * cos + first * sin], axis=-1)
