"""The forward pass of the project's own families in PyTorch: :mod:`~pellucid.engines.reference`, of many texts at once.

All but the attention goes on for each token alone, so the tokens of all texts lie end to end, ``[T, hidden]``, without
padding. The attention takes them so too where PyTorch has a kernel for it (on CUDA, in half precision: FlashAttention,
Dao, 2023); elsewhere the texts of a step lie side by side for it, masked.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812

from pellucid.engines.native import bias_by_distance, position_ids
from pellucid.engines.reference import rotary_turns
from pellucid.engines.torch.steps import DeviceBatch, sent
from pellucid.model import weights as stored
from pellucid.model.spec import BlockSpec, EncoderSpec, NormPlaces, NormSpec
from pellucid.types import Float32

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
"""As :data:`pellucid.layers.activations.ACTIVATIONS`."""


Masks = Callable[[int | None], torch.Tensor | None]
"""From a layer's window to what is added to its scores."""

Varlen = Callable[[torch.Tensor, torch.Tensor, torch.Tensor, DeviceBatch, int | None], torch.Tensor]
"""From queries, keys and values of a step, ``[T, heads, head_size]``, and a window, to what each token takes."""


@dataclass(frozen=True, eq=False)
class DeviceNorm:
    """A layer normalisation on the device; without weights, what it is given."""

    affine: Affine | None
    eps: float = 0.0

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        """Apply it."""
        return x if self.affine is None else F.layer_norm(x, x.shape[-1:], *self.affine, eps=self.eps)


@dataclass(frozen=True, eq=False)
class DeviceNorms:
    """As :class:`pellucid.model.weights.Norms`."""

    before: DeviceNorm
    after: DeviceNorm
    sum: DeviceNorm


@dataclass(frozen=True, eq=False)
class DeviceLayer:
    """As :class:`pellucid.model.weights.Layer`, on the device; what has the same input is one matrix.

    Attributes:
        query_key_value: one below the other.
        inner: of the feed-forward: the gate, if there is one, and below it the intermediate.
        attention_output, attention_norms, output, feed_forward_norms: as there.
        spec: its shape.
    """

    query_key_value: Affine
    attention_output: Affine
    attention_norms: DeviceNorms
    inner: Affine
    output: Affine
    feed_forward_norms: DeviceNorms
    spec: BlockSpec


class RaggedEncoder:
    """An encoder of one of the project's families, on a device.

    Args:
        spec: of the encoder.
        weights: its weights, which go to the device layer by layer.
        device: as PyTorch names it.
        dtype: of the arithmetic. Inside norms and softmax, PyTorch's kernels keep float32.

    Attributes:
        least_share: how long the shortest text of a step is best, at least, beside the longest.
    """

    def __init__(self, spec: EncoderSpec, weights: stored.EncoderWeights, device: str, dtype: torch.dtype) -> None:
        self.spec = spec
        self.least_share = 0.5  # Few steps pay more than little padding: all but attention and pooling does without.
        put = functools.partial(torch.tensor, dtype=dtype, device=device)
        self._varlen = varlen_attention(spec, device, dtype)
        self._word = put(weights.word)
        self._position = None if weights.position is None else put(weights.position)
        self._token_type = None if weights.token_type is None else put(weights.token_type)
        self._embedding_norm = sent_norm(put, weights.embedding_norm, spec.embedding.norm)
        self._final_norm = sent_norm(put, weights.final_norm, spec.final_norm)
        biases = bias_by_distance(spec, weights)
        self._bias_by_distance = None if biases is None else put(biases)
        attentions = {block.attention for block in spec.blocks}
        self._turns = {
            own.rotary_base: [
                torch.tensor(t, device=device) for t in rotary_turns(spec.max_tokens, own.head_size, own.rotary_base)
            ]
            for own in attentions
            if own.rotary_base is not None
        }
        self._layers = [
            DeviceLayer(
                query_key_value=joined(put, layer.query, layer.key, layer.value),
                attention_output=joined(put, layer.attention_output),
                attention_norms=sent_norms(put, layer.attention_norms, block.attention_norms),
                inner=joined(put, *([layer.gate] if layer.gate else []), layer.intermediate),
                output=joined(put, layer.output),
                feed_forward_norms=sent_norms(put, layer.feed_forward_norms, block.feed_forward_norms),
                spec=block,
            )
            for block, layer in zip(spec.blocks, weights.layers, strict=True)
        ]

    def states(self, step: DeviceBatch) -> torch.Tensor:
        """The encoder's last hidden state, ``[T, hidden]``."""
        x = self._embed(step)
        masks = functools.cache(functools.partial(self._mask, step))
        for layer in self._layers:
            x = self._layer(x, layer, step, masks)
        return self._final_norm(x)

    def _embed(self, step: DeviceBatch) -> torch.Tensor:
        x = self._word[step.ids]
        if self._position is not None:
            x = x + self._position[sent(position_ids(step.batch, self.spec), step.device).long()]
        if self._token_type is not None:
            segments = step.batch.segments
            x = x + (self._token_type[0] if segments is None else self._token_type[sent(segments, step.device).long()])
        return self._embedding_norm(x)

    def _layer(self, x: torch.Tensor, layer: DeviceLayer, step: DeviceBatch, masks: Masks) -> torch.Tensor:
        norms = layer.attention_norms
        x = norms.sum(x + norms.after(self._attention(norms.before(x), layer, step, masks)))
        norms = layer.feed_forward_norms
        return norms.sum(x + norms.after(self._feed_forward(norms.before(x), layer)))

    def _attention(self, x: torch.Tensor, layer: DeviceLayer, step: DeviceBatch, masks: Masks) -> torch.Tensor:
        own = layer.spec.attention
        joint = F.linear(x, *layer.query_key_value).view(len(x), -1, own.head_size)
        query, key, value = joint.split((own.heads, own.kv_heads, own.kv_heads), dim=1)  # [T, heads, head_size] each
        if own.rotary_base is not None:
            cos, sin = (table[step.places][:, None] for table in self._turns[own.rotary_base])
            query, key = rotated(query, cos, sin), rotated(key, cos, sin)
        if own.kv_heads != own.heads:
            key, value = (each.repeat_interleave(own.heads // own.kv_heads, dim=1) for each in (key, value))
        if self._varlen is not None:
            context = self._varlen(query, key, value, step, own.window)
        else:
            context = side_by_side_attention(query, key, value, step, masks(own.window))
        return F.linear(context.reshape(len(x), -1), *layer.attention_output)

    def _feed_forward(self, x: torch.Tensor, layer: DeviceLayer) -> torch.Tensor:
        activation = ACTIVATIONS[layer.spec.feed_forward.activation]
        inner = F.linear(x, *layer.inner)
        if not layer.spec.feed_forward.gated:
            return F.linear(activation(inner), *layer.output)
        gate, passed = inner.chunk(2, dim=-1)
        return F.linear(activation(gate) * passed, *layer.output)

    def _mask(self, step: DeviceBatch, window: int | None) -> torch.Tensor | None:
        """What is added to the scores of texts side by side: ``[B or 1, heads or 1, longest, longest]``, or None."""
        places = torch.arange(step.longest, device=step.device)
        distances = places[None, :] - places[:, None]
        hidden = torch.zeros((1, 1, *distances.shape), dtype=torch.bool, device=step.device)
        if not step.even:
            hidden = hidden | ~step.inside[:, None, None, :]
        if window is not None:
            hidden = hidden | (distances.abs() > window)
        if self._bias_by_distance is not None:
            bias = self._bias_by_distance[:, distances + self.spec.max_tokens - 1]
            return bias[None].masked_fill(hidden, -torch.inf)
        if step.even and window is None:
            return None
        return torch.zeros_like(hidden, dtype=self._word.dtype).masked_fill(hidden, -torch.inf)


def side_by_side_attention(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, step: DeviceBatch, mask: torch.Tensor | None
) -> torch.Tensor:
    """Attention of each text to itself; all ``[T, heads, head_size]``."""
    heads = [step.side_by_side(x).transpose(1, 2) for x in (query, key, value)]
    context: torch.Tensor = F.scaled_dot_product_attention(*heads, attn_mask=mask)
    return step.end_to_end(context.transpose(1, 2))


def varlen_attention(spec: EncoderSpec, device: str, dtype: torch.dtype) -> Varlen | None:
    """Attention of texts that lie end to end, if PyTorch has it for this encoder here.

    ``torch.nn.attention.varlen`` is FlashAttention: on CUDA from compute capability 8.0 on, in half precision, without
    a bias to the scores. ``num_splits=1`` is what makes a text's numbers independent of the others of its step.
    """
    if (
        torch.device(device).type != "cuda"
        or dtype not in (torch.float16, torch.bfloat16)
        or spec.relative_bias
        or any(block.attention.head_size % 8 for block in spec.blocks)
        or torch.cuda.get_device_capability(device) < (8, 0)
    ):
        return None
    try:
        from torch.nn.attention.varlen import varlen_attn
    except ImportError:  # Before PyTorch 2.10.
        return None
    return end_to_end_attention(varlen_attn) if "num_splits" in inspect.signature(varlen_attn).parameters else None


def end_to_end_attention(kernel: Callable[..., torch.Tensor]) -> Varlen:
    """``torch.nn.attention.varlen.varlen_attn`` for a step."""

    def attend(
        query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, step: DeviceBatch, window: int | None
    ) -> torch.Tensor:
        sides = (-1, -1) if window is None else (window, window)
        places = (step.offsets, step.offsets, step.longest, step.longest)
        return kernel(query, key, value, *places, window_size=sides, num_splits=1)

    return attend


def rotated(x: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor) -> torch.Tensor:
    """:func:`pellucid.engines.reference.rotate`, in float32: ``[T, heads, head_size]``."""
    first, second = x.float().chunk(2, dim=-1)
    return torch.cat([first * cos - second * sin, second * cos + first * sin], dim=-1).to(x.dtype)


def joined(put: Callable[[Float32], torch.Tensor], *parts: stored.Linear | stored.Norm) -> Affine:
    """The weights and biases of parts that have the same input, one below the other, on the device."""
    weight = np.concatenate([part.weight for part in parts])
    return put(weight), put(np.concatenate([part.bias for part in parts]))


def sent_norm(put: Callable[[Float32], torch.Tensor], norm: stored.Norm | None, spec: NormSpec | None) -> DeviceNorm:
    """A norm on the device."""
    return DeviceNorm(None) if norm is None or spec is None else DeviceNorm(joined(put, norm), spec.eps)


def sent_norms(put: Callable[[Float32], torch.Tensor], norms: stored.Norms, places: NormPlaces) -> DeviceNorms:
    """The norms around a sublayer, on the device."""
    return DeviceNorms(
        before=sent_norm(put, norms.before, places.before),
        after=sent_norm(put, norms.after, places.after),
        sum=sent_norm(put, norms.sum, places.sum),
    )
