"""The forward pass of Pellucid's own families in PyTorch, for many texts at once.

It computes what :mod:`~pellucid.engines.reference` computes. Everything except attention works on each token by itself,
so the tokens of all texts lie end to end, ``[T, hidden]``, without padding. Attention works in this layout too where
PyTorch has a kernel for it: on CUDA, in half precision, with FlashAttention (Dao, 2023). Elsewhere, the texts of a step
are padded for attention only, side by side, and masked.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812

from pellucid.engines.native import bias_by_distance, place_vectors, places_by_distance
from pellucid.engines.reference import rotary_turns
from pellucid.engines.torch.ops import Affine, DeviceNorm, EmbeddingTables, Ops
from pellucid.engines.torch.steps import DeviceBatch
from pellucid.model import weights as stored
from pellucid.model.spec import BlockSpec, EncoderSpec, NormPlaces, NormSpec
from pellucid.types import Float32

MakeTensor = Callable[[Float32], torch.Tensor]
"""Copies an array to the device, in the dtype of the arithmetic."""

_LARGEST_HEAD = 256
"""The largest head size that FlashAttention has."""

MaskByWindow = Callable[[int | None], torch.Tensor | None]
"""Takes a layer's window, and returns what to add to its attention scores."""

VarlenAttention = Callable[[torch.Tensor, torch.Tensor, torch.Tensor, DeviceBatch, int | None], torch.Tensor]
"""Attention of texts that lie end to end. Takes queries, keys and values, each ``[T, heads, head_size]``, the step, and
a window; returns what each token takes from the others, ``[T, heads, head_size]``."""


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
    place_keys: torch.Tensor | None
    place_queries: torch.Tensor | None


class RaggedEncoder:
    """An encoder of one of Pellucid's own families, on a device.

    Args:
        spec: the encoder's spec.
        weights: the encoder's weights. They are copied to the device layer by layer.
        device: PyTorch's name of the device.
        dtype: the number type of the arithmetic. PyTorch's kernels use float32 inside norms and softmax.
        ops: what computes the rest, beside matrix products and attention.

    Attributes:
        min_length_ratio: every text of a step should be at least this fraction of the length of the longest.
    """

    def __init__(
        self, spec: EncoderSpec, weights: stored.EncoderWeights, device: str, dtype: torch.dtype, ops: Ops
    ) -> None:
        self.spec = spec
        self._ops = ops
        # Only attention and pooling need padding, so a few large steps are faster than many with little padding.
        self.min_length_ratio = 0.5
        make_tensor = functools.partial(torch.tensor, dtype=dtype, device=device)
        self._varlen = varlen_attention(spec, device, dtype)
        self._dtype = dtype
        self._embeddings = EmbeddingTables(
            *(
                None if table is None else make_tensor(table)
                for table in (weights.word, weights.position, weights.token_type)
            )
        )
        self._embedding_norm = device_norm(make_tensor, weights.embedding_norm, spec.embedding.norm)
        projection = weights.embedding_projection
        self._projection = None if projection is None else stack(make_tensor, projection)
        self._final_norm = device_norm(make_tensor, weights.final_norm, spec.final_norm)
        biases = bias_by_distance(spec, weights)
        self._bias_by_distance = None if biases is None else make_tensor(biases)
        places = places_by_distance(spec)
        self._places_by_distance = None if places is None else torch.tensor(places, dtype=torch.int64, device=device)
        self._turns = {
            attention.rotary_base: rotary_tables(spec.max_tokens, attention.head_size, attention.rotary_base, device)
            for attention in {block.attention for block in spec.blocks}
            if attention.rotary_base is not None
        }
        stored_layers: dict[int, DeviceLayer] = {}
        for number, block, layer in zip(spec.stored_layers, spec.blocks, weights.layers, strict=True):
            if number in stored_layers:
                continue
            stored_layers[number] = DeviceLayer(
                query_key_value=stack(make_tensor, layer.query, layer.key, layer.value),
                attention_output=stack(make_tensor, layer.attention_output),
                attention_norms=device_norms(make_tensor, layer.attention_norms, block.attention_norms),
                inner=stack(make_tensor, *([layer.gate] if layer.gate else []), layer.intermediate),
                output=stack(make_tensor, layer.output),
                feed_forward_norms=device_norms(make_tensor, layer.feed_forward_norms, block.feed_forward_norms),
                spec=block,
                place_keys=split_heads(
                    make_tensor, place_vectors(weights.relative_positions, layer.position_key), block
                ),
                place_queries=split_heads(
                    make_tensor, place_vectors(weights.relative_positions, layer.position_query), block
                ),
            )
        self._layers = [stored_layers[number] for number in spec.stored_layers]

    def states(self, step: DeviceBatch) -> torch.Tensor:
        """The encoder's last hidden state, ``[T, hidden]``."""
        x = self._embed(step)
        mask_by_window = functools.cache(functools.partial(self._mask, step))
        for layer in self._layers:
            x = self._layer(x, layer, step, mask_by_window)
        return self._final_norm(x)

    def _embed(self, step: DeviceBatch) -> torch.Tensor:
        positions = position_ids(step, self.spec.embedding.padding_id)
        x = self._ops.embed(self._embeddings, self._embedding_norm, step.ids, positions, step.segments)
        return x if self._projection is None else F.linear(x, *self._projection)

    def _layer(
        self, x: torch.Tensor, layer: DeviceLayer, step: DeviceBatch, mask_by_window: MaskByWindow
    ) -> torch.Tensor:
        norms = layer.attention_norms
        x = self._ops.add_norm(x, norms.after(self._attention(norms.before(x), layer, step, mask_by_window)), norms.sum)
        norms = layer.feed_forward_norms
        return self._ops.add_norm(x, norms.after(self._feed_forward(norms.before(x), layer)), norms.sum)

    def _attention(
        self, x: torch.Tensor, layer: DeviceLayer, step: DeviceBatch, mask_by_window: MaskByWindow
    ) -> torch.Tensor:
        spec = layer.spec.attention
        stacked = F.linear(x, *layer.query_key_value).view(len(x), -1, spec.head_size)
        if spec.rotary_base is not None:
            self._ops.rotate(stacked, spec.heads + spec.kv_heads, self._turns[spec.rotary_base], step.positions)
        query, key, value = stacked.split((spec.heads, spec.kv_heads, spec.kv_heads), dim=1)  # [T, heads, head_size]
        if spec.kv_heads != spec.heads:
            key, value = (t.repeat_interleave(spec.heads // spec.kv_heads, dim=1) for t in (key, value))
        if self._varlen is not None:
            context = self._varlen(query, key, value, step, spec.window)
        else:
            padded = [step.side_by_side(array).transpose(1, 2) for array in (query, key, value)]
            mask, scale = mask_by_window(spec.window), None
            if self._places_by_distance is not None:
                places, scale = self._place_scores(padded[0], padded[1], layer, self._places_by_distance)
                mask = places if mask is None else places + mask
            attended = F.scaled_dot_product_attention(*padded, attn_mask=mask, scale=scale)
            context = step.end_to_end(attended.transpose(1, 2))
        return F.linear(context.reshape(len(x), -1), *layer.attention_output)

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
        numbers = places[positions[:, None] - positions[None, :] + self.spec.max_tokens - 1]
        numbers = numbers.expand(*query.shape[:2], -1, -1)
        products = []
        if layer.place_keys is not None:
            products.append((query @ layer.place_keys.mT).gather(3, numbers))
        if layer.place_queries is not None:
            products.append((key @ layer.place_queries.mT).gather(3, numbers.mT).mT)
        scale = (query.shape[3] * (1 + len(products))) ** -0.5
        return torch.stack(products).sum(0) * scale, scale

    def _feed_forward(self, x: torch.Tensor, layer: DeviceLayer) -> torch.Tensor:
        inner = self._ops.activate(F.linear(x, *layer.inner), layer.spec.feed_forward)
        return F.linear(inner, *layer.output)

    def _mask(self, step: DeviceBatch, window: int | None) -> torch.Tensor | None:
        """What to add to the attention scores of texts side by side.

        Returns:
            ``[B or 1, heads or 1, longest, longest]``: the relative bias, and minus infinity for keys that are padding
            or outside the window. None if there is nothing to add.
        """
        positions = torch.arange(step.longest, device=step.device)
        distances = positions[None, :] - positions[:, None]
        is_hidden = torch.zeros((1, 1, *distances.shape), dtype=torch.bool, device=step.device)
        if not step.has_equal_lengths:
            is_hidden = is_hidden | ~step.is_token[:, None, None, :]
        if window is not None:
            is_hidden = is_hidden | (distances.abs() > window)
        if self._bias_by_distance is not None:
            bias = self._bias_by_distance[:, distances + self.spec.max_tokens - 1]
            return bias[None].masked_fill(is_hidden, -torch.inf)
        if step.has_equal_lengths and window is None:
            return None
        return torch.zeros_like(is_hidden, dtype=self._dtype).masked_fill(is_hidden, -torch.inf)


def varlen_attention(spec: EncoderSpec, device: str, dtype: torch.dtype) -> VarlenAttention | None:
    """Attention of texts that lie end to end, or None if PyTorch cannot do that for this encoder on this device.

    ``torch.nn.attention.varlen`` is FlashAttention. It needs CUDA with compute capability 8.0 or higher and half
    precision, and it cannot add anything to the scores.
    """
    if (
        torch.device(device).type != "cuda"
        or dtype not in (torch.float16, torch.bfloat16)
        or spec.relative_bias
        or spec.disentangled
        or any(block.attention.head_size % 8 or block.attention.head_size > _LARGEST_HEAD for block in spec.blocks)
        or torch.cuda.get_device_capability(device) < (8, 0)
    ):
        return None
    try:
        from torch.nn.attention.varlen import varlen_attn
    except ImportError:  # PyTorch before 2.10 does not have it.
        return None
    has_windows = any(block.attention.window is not None for block in spec.blocks)
    return end_to_end_attention(varlen_attn, has_windows=has_windows)


def end_to_end_attention(kernel: Callable[..., torch.Tensor], *, has_windows: bool) -> VarlenAttention | None:
    """Adapt a kernel with a signature of ``torch.nn.attention.varlen.varlen_attn`` to the texts of a step.

    The signature depends on the version of PyTorch. 2.10 has no ``window_size``. Only 2.12 and later have
    ``num_splits``: 1 means that a text's numbers do not depend on the other texts of its step. In older versions, their
    last bits may.

    Args:
        kernel: the kernel.
        has_windows: True if a layer has a window.

    Returns:
        The attention; None if the kernel has no windows, and a layer needs one.
    """
    known = inspect.signature(kernel).parameters
    if has_windows and "window_size" not in known:
        return None
    options = {"num_splits": 1} if "num_splits" in known else {}

    def attend(
        query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, step: DeviceBatch, window: int | None
    ) -> torch.Tensor:
        # A window goes to the left and to the right.
        of_layer = {} if window is None else {"window_size": (window, window)}
        bounds = (step.offsets, step.offsets, step.longest, step.longest)  # For the queries, and for the keys.
        return kernel(query, key, value, *bounds, **options, **of_layer)

    return attend


def position_ids(step: DeviceBatch, padding_id: int | None) -> torch.Tensor:
    """What :func:`pellucid.engines.reference.position_ids` computes, for the texts of a step: ``int64[T]``."""
    if padding_id is None:
        return step.positions
    is_counted = step.ids != padding_id
    counts = is_counted.cumsum(0)  # Over all texts; what came before a text is taken away again.
    firsts = step.offsets[:-1].long()
    before = (counts - is_counted.long())[firsts][step.texts]
    return (counts - before) * is_counted + padding_id


def rotary_tables(tokens: int, head_size: int, base: float, device: str) -> Affine:
    """The cosines and sines of :func:`pellucid.engines.reference.rotary_turns`, on the device."""
    cos, sin = (torch.tensor(table, device=device) for table in rotary_turns(tokens, head_size, base))
    return cos, sin


def stack(make_tensor: MakeTensor, *layers: stored.Linear | stored.Norm) -> Affine:
    """Stack the weights and biases of layers that have the same input, on the device."""
    weight = np.concatenate([layer.weight for layer in layers])
    return make_tensor(weight), make_tensor(np.concatenate([layer.bias for layer in layers]))


def split_heads(make_tensor: MakeTensor, vectors: Float32 | None, block: BlockSpec) -> torch.Tensor | None:
    """Copy vectors of all heads, ``float32[n, heads * head_size]``, to the device as ``[heads, n, head_size]``."""
    if vectors is None:
        return None
    return make_tensor(vectors.reshape(len(vectors), block.attention.heads, -1)).transpose(0, 1).contiguous()


def device_norm(make_tensor: MakeTensor, norm: stored.Norm | None, spec: NormSpec | None) -> DeviceNorm:
    """Copy a norm to the device."""
    return DeviceNorm(None) if norm is None or spec is None else DeviceNorm(stack(make_tensor, norm), spec.eps)


def device_norms(make_tensor: MakeTensor, norms: stored.Norms, places: NormPlaces) -> DeviceNorms:
    """Copy the norms around a sublayer to the device."""
    return DeviceNorms(
        before=device_norm(make_tensor, norms.before, places.before),
        after=device_norm(make_tensor, norms.after, places.after),
        sum=device_norm(make_tensor, norms.sum, places.sum),
    )
