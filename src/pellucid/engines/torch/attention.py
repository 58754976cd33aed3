"""Attention of the texts of a step, in three ways that agree within rounding.

:func:`end_to_end_attention` is FlashAttention (Dao, 2023), which PyTorch has for CUDA in half precision. It takes texts
end to end, and adds nothing to the scores. :class:`~pellucid.engines.torch.attention_kernels.KernelAttention` is a
kernel of ours. It takes texts end to end too, and adds what depends on distances, as in MPNet and DeBERTa.
:class:`PaddedAttention` runs everywhere, and lays the texts side by side with padding.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812

from pellucid.engines.torch.device_layers import DeviceLayer
from pellucid.engines.torch.ops import Ops
from pellucid.engines.torch.steps import DeviceBatch
from pellucid.model.spec import EncoderSpec

LARGEST_HEAD = 256
"""The largest head size that FlashAttention and our kernel have."""

Attend = Callable[[torch.Tensor, torch.Tensor, torch.Tensor, DeviceLayer], torch.Tensor]
"""The attention of a step. Takes queries, keys and values, each ``[T, heads, head_size]``, and the layer; returns what
each token takes from the others, ``[T, heads, head_size]``."""

Attention = Callable[[DeviceBatch], Attend]
"""Takes the texts of a step, and returns their attention."""


@dataclass(frozen=True, eq=False)
class Distances:
    """What depends on the distance between a query and a key, on the device.

    Attributes:
        max_tokens: the most tokens of a text. Column ``max_tokens - 1`` of both tables is for distance 0.
        bias: what to add to the scores: :func:`pellucid.engines.native.bias_by_distance`; None for nothing.
        places: the number of the relative position: :func:`pellucid.engines.native.places_by_distance`; None if the
            encoder has no relative positions.
    """

    max_tokens: int
    bias: torch.Tensor | None
    places: torch.Tensor | None


def attention_for(spec: EncoderSpec, distances: Distances, device: str, dtype: torch.dtype, ops: Ops) -> Attention:
    """The fastest attention for an encoder on a device."""
    if takes_half_precision(spec, device, dtype):
        if (flash := flash_attention(spec)) is not None:
            return flash
        if ops.is_fused:
            from pellucid.engines.torch.attention_kernels import KernelAttention

            return KernelAttention(distances)
    return PaddedAttention(distances)


def takes_half_precision(spec: EncoderSpec, device: str, dtype: torch.dtype) -> bool:
    """True if a kernel for texts end to end runs here: on CUDA with compute capability 8.0, in half precision."""
    return (
        torch.device(device).type == "cuda"
        and dtype in (torch.float16, torch.bfloat16)
        and all(block.attention.head_size <= LARGEST_HEAD for block in spec.blocks)
        and torch.cuda.get_device_capability(device) >= (8, 0)
    )


def flash_attention(spec: EncoderSpec) -> Attention | None:
    """FlashAttention; None if it cannot do what an encoder needs, or PyTorch is too old to have it."""
    attentions = [block.attention for block in spec.blocks]
    if spec.relative_bias or spec.disentangled or any(each.head_size % 8 for each in attentions):
        return None
    try:
        from torch.nn.attention.varlen import varlen_attn
    except ImportError:  # PyTorch before 2.10 does not have it.
        return None
    needs = {"window_size": any(each.has_window for each in attentions)}
    needs |= {"scale": any(each.scale is not None for each in attentions)}
    return end_to_end_attention(varlen_attn, {name for name, is_needed in needs.items() if is_needed})


def end_to_end_attention(kernel: Callable[..., torch.Tensor], needs: Collection[str] = ()) -> Attention | None:
    """Adapt a kernel with a signature of ``torch.nn.attention.varlen.varlen_attn`` to the texts of a step.

    The signature depends on the version of PyTorch. 2.10 has no ``window_size`` and no ``scale``. Only 2.12 and later
    have ``num_splits``: 1 means that a text's numbers do not depend on the other texts of its step. In older versions,
    their last bits may.

    Args:
        kernel: the kernel.
        needs: the parameters that the layers need, besides those that every version has.

    Returns:
        The attention; None if the kernel lacks a parameter that a layer needs.
    """
    known = inspect.signature(kernel).parameters
    if not set(needs) <= set(known):
        return None
    options = {"num_splits": 1} if "num_splits" in known else {}

    def attention(step: DeviceBatch) -> Attend:
        bounds = (step.offsets, step.offsets, step.longest, step.longest)  # For the queries, and for the keys.

        def attend(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, layer: DeviceLayer) -> torch.Tensor:
            spec = layer.spec.attention
            # To the left and to the right. -1 is no limit.
            window = tuple(-1 if side is None else side for side in (spec.before, spec.after))
            of_layer: dict[str, Any] = {"window_size": window} if spec.has_window else {}
            if spec.scale is not None:
                of_layer["scale"] = spec.scale
            return kernel(query, key, value, *bounds, **options, **of_layer)

        return attend

    return attention


class PaddedAttention:
    """PyTorch's ``scaled_dot_product_attention`` of texts side by side, padded and masked."""

    def __init__(self, distances: Distances) -> None:
        self._distances = distances

    def __call__(self, step: DeviceBatch) -> Attend:
        """See :data:`Attention`."""
        mask_by_reach = functools.cache(functools.partial(self._mask, step))

        def attend(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, layer: DeviceLayer) -> torch.Tensor:
            padded = [step.side_by_side(array).transpose(1, 2) for array in (query, key, value)]
            spec = layer.spec.attention
            mask, scale = mask_by_reach(query.dtype, spec.before, spec.after), spec.scale
            if self._distances.places is not None:
                places, scale = self._place_scores(padded[0], padded[1], layer, self._distances.places)
                mask = places if mask is None else places + mask
            attended = F.scaled_dot_product_attention(*padded, attn_mask=mask, scale=scale)
            return step.end_to_end(attended.transpose(1, 2))

        return attend

    def _place_scores(
        self, query: torch.Tensor, key: torch.Tensor, layer: DeviceLayer, places: torch.Tensor
    ) -> tuple[torch.Tensor, float]:
        """The part of the attention scores that depends on relative positions, as in ``disentangled_scores``.

        Args:
            query: ``[B, heads, longest, head_size]``.
            key: the same for keys.
            layer: the layer.
            places: the number of the relative position for each distance, query minus key.

        Returns:
            ``[B, heads, longest, longest]``, scaled; and the scale of the products of queries and keys.
        """
        positions = torch.arange(query.shape[2], device=query.device)
        numbers = places[positions[:, None] - positions[None, :] + self._distances.max_tokens - 1]
        numbers = numbers.expand(*query.shape[:2], -1, -1)
        products = []
        if layer.place_keys is not None:
            products.append((query @ layer.place_keys.mT).gather(3, numbers))
        if layer.place_queries is not None:
            products.append((key @ layer.place_queries.mT).gather(3, numbers.mT).mT)
        scale = (query.shape[3] * (1 + len(products))) ** -0.5
        return torch.stack(products).sum(0) * scale, scale

    def _mask(
        self, step: DeviceBatch, dtype: torch.dtype, before: int | None, after: int | None
    ) -> torch.Tensor | None:
        """What to add to the attention scores of texts side by side.

        Returns:
            ``[B or 1, heads or 1, longest, longest]``: the relative bias, and minus infinity for keys that are padding
            or too far before or after. None if there is nothing to add.
        """
        positions = torch.arange(step.longest, device=step.device)
        distances = positions[None, :] - positions[:, None]
        is_hidden = torch.zeros((1, 1, *distances.shape), dtype=torch.bool, device=step.device)
        if not step.has_equal_lengths:
            is_hidden = is_hidden | ~step.is_token[:, None, None, :]
        if before is not None:
            is_hidden = is_hidden | (distances < -before)
        if after is not None:
            is_hidden = is_hidden | (distances > after)
        if self._distances.bias is not None:
            bias = self._distances.bias[:, distances + self._distances.max_tokens - 1]
            return bias[None].masked_fill(is_hidden, -torch.inf)
        if step.has_equal_lengths and before is None and after is None:
            return None
        return torch.zeros_like(is_hidden, dtype=dtype).masked_fill(is_hidden, -torch.inf)
