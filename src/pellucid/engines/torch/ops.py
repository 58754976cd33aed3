"""What an encoder computes beside matrix products and attention.

:class:`Ops` defines it, in a few lines of PyTorch each. PyTorch runs each line as a kernel of its own, which reads all
numbers from memory and writes them back. :class:`~pellucid.engines.torch.kernels.FusedOps` does the same with one
kernel for each method.
"""

from __future__ import annotations

import functools
import logging
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F  # noqa: N812

from pellucid.engines.torch.steps import DeviceBatch
from pellucid.model.spec import FeedForwardSpec

Affine = tuple[torch.Tensor, torch.Tensor]
"""A weight and a bias."""

ACTIVATIONS: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "gelu": F.gelu,
    "gelu_tanh": functools.partial(F.gelu, approximate="tanh"),
    "identity": lambda x: x,
    "relu": F.relu,
    "sigmoid": torch.sigmoid,
    "silu": F.silu,
    "tanh": torch.tanh,
}
"""The same functions as in :data:`pellucid.layers.activations.ACTIVATIONS`."""

logger = logging.getLogger("pellucid")


@dataclass(frozen=True, eq=False)
class DeviceNorm:
    """A norm on the device; see :class:`pellucid.model.spec.NormSpec`. Without weights, it returns its input."""

    affine: Affine | None
    eps: float = 0.0
    kind: Literal["layer", "rms"] = "layer"

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        """Normalize each vector, which is a row of the last axis."""
        if self.affine is None:
            return x
        weight, bias = self.affine
        if self.kind == "rms":
            return F.rms_norm(x.float(), x.shape[-1:], weight.float(), self.eps).to(x.dtype)
        return F.layer_norm(x, x.shape[-1:], weight, bias, eps=self.eps)


@dataclass(frozen=True, eq=False)
class EmbeddingTables:
    """The tables of an encoder's embeddings, each ``[rows, size]``; None for one that it does not have."""

    word: torch.Tensor
    position: torch.Tensor | None
    token_type: torch.Tensor | None


class Ops:
    """The definition, in PyTorch. Norms compute in float32 inside, and all results have the dtype of the input."""

    is_fused = False

    def embed(
        self,
        tables: EmbeddingTables,
        norm: DeviceNorm,
        ids: torch.Tensor,
        positions: torch.Tensor,
        segments: torch.Tensor | None,
    ) -> torch.Tensor:
        """Add the rows of the tables, and normalize the sums.

        Args:
            tables: the tables.
            norm: the norm.
            ids: the row in ``tables.word`` for each token, ``int64[T]``.
            positions: the same for ``tables.position``.
            segments: the same for ``tables.token_type``; None if it is row 0 for every token.

        Returns:
            ``[T, size]``.
        """
        x = tables.word[ids]
        if tables.position is not None:
            x = x + tables.position[positions]
        if tables.token_type is not None:
            x = x + tables.token_type[0 if segments is None else segments]
        return norm(x)

    def add_norm(self, x: torch.Tensor, y: torch.Tensor, norm: DeviceNorm) -> torch.Tensor:
        """Add two arrays, ``[T, hidden]``, and normalize the sum."""
        return norm(x + y)

    def activate(self, inner: torch.Tensor, spec: FeedForwardSpec) -> torch.Tensor:
        """Apply the activation of a feed-forward.

        Args:
            inner: ``[T, size]``, which may be overwritten; ``[T, 2 * size]`` if it is gated, the gate first.
            spec: says which activation, and whether it is gated.

        Returns:
            ``[T, size]``.
        """
        activation = ACTIVATIONS[spec.activation]
        if not spec.gated:
            return activation(inner)
        gate, intermediate = inner.chunk(2, dim=-1)
        return activation(gate) * intermediate

    def rotate(self, heads: torch.Tensor, count: int, turns: Affine, positions: torch.Tensor) -> None:
        """Rotate queries and keys in place, in float32; see :func:`pellucid.layers.rotary.rotate`.

        Args:
            heads: queries, keys and values, ``[T, heads, head_size]``.
            count: how many of the heads to rotate, from the first.
            turns: the cosines and sines for each position, each ``float32[max_tokens, head_size / 2]``.
            positions: the position of each token in its text, ``int64[T]``.
        """
        cos, sin = (table[positions][:, None] for table in turns)
        first, second = heads[:, :count].float().chunk(2, dim=-1)
        heads[:, :count] = torch.cat([first * cos - second * sin, second * cos + first * sin], dim=-1)

    def mean(self, states: torch.Tensor, step: DeviceBatch, skip: int, *, normalized: bool = False) -> torch.Tensor:
        """The mean of each text's token vectors, in float32.

        Args:
            states: the token vectors, ``[T, hidden]``.
            step: the texts that they belong to.
            skip: how many tokens at the start of each text to leave out. A text with no tokens left gives zeros.
            normalized: True to scale each mean to length 1, as :func:`normalize` does.

        Returns:
            ``float32[B, hidden]``.
        """
        is_pooled = step.is_token & (torch.arange(step.longest, device=states.device) >= skip)
        total = torch.einsum("nl,nlh->nh", is_pooled.float(), step.side_by_side(states.float()))
        means = total / (step.lengths - skip).clamp_min(1)[:, None]
        return normalize(means) if normalized else means


def normalize(x: torch.Tensor) -> torch.Tensor:
    """What :func:`pellucid.layers.norms.normalize` computes. A row whose norm does not fit float32 becomes NaN."""
    norms = x.square().sum(dim=1, keepdim=True).sqrt()
    return x / norms.masked_fill(~norms.isfinite(), torch.nan).clamp_min(1e-12)


def ops_for(device: str) -> Ops:
    """The fused ops for a CUDA device on which Triton works, else PyTorch's own kernels. The log says if it does not.

    Triton comes with PyTorch for Linux. It compiles each kernel at its first use, in about a second, and keeps it in
    ``~/.triton/cache``. It needs a C compiler for the part that starts kernels.
    """
    if torch.device(device).type != "cuda":
        return Ops()
    try:
        from pellucid.engines.torch.kernels import FusedOps

        return FusedOps.tried_on(device)
    except torch.OutOfMemoryError:
        raise
    except (ImportError, OSError, RuntimeError, subprocess.SubprocessError) as error:
        logger.warning(
            "Triton does not work on %s (%s: %s). The results are the same, but computing them takes longer.",
            device,
            type(error).__name__,
            str(error).partition("\n")[0],
        )
        return Ops()
