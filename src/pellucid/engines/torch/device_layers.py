"""The weights of a transformer layer on a device."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from pellucid.engines.torch.ops import Affine, DeviceNorm
from pellucid.model import weights as stored
from pellucid.model.spec import BlockSpec, NormPlaces, NormSpec
from pellucid.model.stored import as_float32
from pellucid.types import Float32

MakeTensor = Callable[[Float32], torch.Tensor]
"""Copies an array to the device, in the dtype of the arithmetic."""


@dataclass(frozen=True, eq=False)
class DeviceNorms:
    """The norms around a sublayer, on the device; see :class:`pellucid.model.weights.Norms`."""

    before: DeviceNorm
    after: DeviceNorm
    sum: DeviceNorm


@dataclass(frozen=True, eq=False)
class DeviceLayer:
    """A transformer layer on the device; see :class:`pellucid.model.weights.Layer`.

    Linear layers with the same input are stacked into one matrix.

    Attributes:
        query_key_value: the query, key and value layers, stacked.
        inner: the gate, if there is one, and the intermediate layer, stacked.
        attention_output, attention_norms, output, feed_forward_norms: as in :class:`pellucid.model.weights.Layer`.
        spec: the layer's shape.
        query_norm, key_norm: the norms of each head's query and key.
        place_keys, place_queries: the keys and queries of relative positions, ``[heads, 2 * span, head_size]``; None if
            the layer does not use them.
    """

    query_key_value: Affine
    attention_output: Affine
    attention_norms: DeviceNorms
    inner: Affine
    output: Affine
    feed_forward_norms: DeviceNorms
    spec: BlockSpec
    query_norm: DeviceNorm
    key_norm: DeviceNorm
    place_keys: torch.Tensor | None
    place_queries: torch.Tensor | None


def stack(make_tensor: MakeTensor, *layers: stored.Linear | stored.Norm) -> Affine:
    """Stack the weights and biases of layers that have the same input, on the device."""
    weight = np.concatenate([as_float32(layer.weight) for layer in layers])
    return make_tensor(weight), make_tensor(np.concatenate([layer.bias for layer in layers]))


def split_heads(make_tensor: MakeTensor, vectors: Float32 | None, block: BlockSpec) -> torch.Tensor | None:
    """Copy vectors of all heads, ``float32[n, heads * head_size]``, to the device as ``[heads, n, head_size]``."""
    if vectors is None:
        return None
    return make_tensor(vectors.reshape(len(vectors), block.attention.heads, -1)).transpose(0, 1).contiguous()


def device_norm(make_tensor: MakeTensor, norm: stored.Norm | None, spec: NormSpec | None) -> DeviceNorm:
    """Copy a norm to the device."""
    if norm is None or spec is None:
        return DeviceNorm(None)
    return DeviceNorm(stack(make_tensor, norm), spec.eps, spec.kind)


def device_norms(make_tensor: MakeTensor, norms: stored.Norms, places: NormPlaces) -> DeviceNorms:
    """Copy the norms around a sublayer to the device."""
    return DeviceNorms(
        before=device_norm(make_tensor, norms.before, places.before),
        after=device_norm(make_tensor, norms.after, places.after),
        sum=device_norm(make_tensor, norms.sum, places.sum),
    )
