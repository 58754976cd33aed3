"""The forward pass of Pellucid's own families in PyTorch, for many texts at once.

It computes what :mod:`~pellucid.engines.reference` computes. Everything except attention works on each token by itself,
so the tokens of all texts lie end to end, ``[T, hidden]``, without padding. Attention is in
:mod:`~pellucid.engines.torch.attention`. Where it needs padding, nothing else sees the padding.
"""

from __future__ import annotations

import functools

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812

from pellucid.engines.native import bias_by_distance, place_vectors, places_by_distance
from pellucid.engines.torch.attention import Attend, Distances, attention_for
from pellucid.engines.torch.device_layers import DeviceLayer, device_norm, device_norms, split_heads, stack
from pellucid.engines.torch.ops import Affine, EmbeddingTables, Ops
from pellucid.engines.torch.steps import DeviceBatch
from pellucid.layers.rotary import Rotary
from pellucid.model import weights as stored
from pellucid.model.spec import EncoderSpec
from pellucid.model.stored import as_float32


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
        self._attention = attention_for(spec, distances(spec, weights, device, dtype), device, dtype, ops)
        word = as_float32(weights.word.rows)
        if spec.embedding.scale != 1:
            word = word * np.float32(spec.embedding.scale)
        tables = word, weights.position, weights.token_type
        self._embeddings = EmbeddingTables(*(None if table is None else make_tensor(table) for table in tables))
        self._embedding_norm = device_norm(make_tensor, weights.embedding_norm, spec.embedding.norm)
        projection = weights.embedding_projection
        self._projection = None if projection is None else stack(make_tensor, projection)
        self._final_norm = device_norm(make_tensor, weights.final_norm, spec.final_norm)
        self._turns = {
            attention.rotary: rotary_tables(spec.max_tokens, attention.head_size, attention.rotary, device)
            for attention in {block.attention for block in spec.blocks}
            if attention.rotary is not None
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
                query_norm=device_norm(make_tensor, layer.query_norm, block.attention.qk_norm),
                key_norm=device_norm(make_tensor, layer.key_norm, block.attention.qk_norm),
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
        attend = self._attention(step)
        for layer in self._layers:
            x = self._layer(x, layer, step, attend)
        return self._final_norm(x)

    def _embed(self, step: DeviceBatch) -> torch.Tensor:
        positions = position_ids(step, self.spec.embedding.padding_id)
        x = self._ops.embed(self._embeddings, self._embedding_norm, step.ids, positions, step.segments)
        return x if self._projection is None else F.linear(x, *self._projection)

    def _layer(self, x: torch.Tensor, layer: DeviceLayer, step: DeviceBatch, attend: Attend) -> torch.Tensor:
        norms = layer.attention_norms
        y = norms.after(self._attend(norms.before(x), layer, step, attend))
        x = self._ops.add_norm(x, y, norms.sum)
        norms = layer.feed_forward_norms
        y = norms.after(self._feed_forward(norms.before(x), layer))
        return self._ops.add_norm(x, y, norms.sum)

    def _attend(self, x: torch.Tensor, layer: DeviceLayer, step: DeviceBatch, attend: Attend) -> torch.Tensor:
        spec = layer.spec.attention
        stacked = F.linear(x, *layer.query_key_value).view(len(x), -1, spec.head_size)
        if spec.qk_norm is not None:
            query, key, value = stacked.split((spec.heads, spec.kv_heads, spec.kv_heads), dim=1)
            stacked = torch.cat([layer.query_norm(query), layer.key_norm(key), value], dim=1)
        if spec.rotary is not None:
            self._ops.rotate(stacked, spec.heads + spec.kv_heads, self._turns[spec.rotary], step.positions)
        query, key, value = stacked.split((spec.heads, spec.kv_heads, spec.kv_heads), dim=1)  # [T, heads, head_size]
        if spec.kv_heads != spec.heads:
            key, value = (t.repeat_interleave(spec.heads // spec.kv_heads, dim=1) for t in (key, value))
        context = attend(query, key, value, layer)
        return F.linear(context.reshape(len(x), -1), *layer.attention_output)

    def _feed_forward(self, x: torch.Tensor, layer: DeviceLayer) -> torch.Tensor:
        inner = self._ops.activate(F.linear(x, *layer.inner), layer.spec.feed_forward)
        return F.linear(inner, *layer.output)


def position_ids(step: DeviceBatch, padding_id: int | None) -> torch.Tensor:
    """What :func:`pellucid.engines.reference.position_ids` computes, for the texts of a step: ``int64[T]``."""
    if padding_id is None:
        return step.positions
    is_counted = step.ids != padding_id
    counts = is_counted.cumsum(0)  # Over all texts; what came before a text is taken away again.
    firsts = step.offsets[:-1].long()
    before = (counts - is_counted.long())[firsts][step.texts]
    return (counts - before) * is_counted + padding_id


def distances(spec: EncoderSpec, weights: stored.EncoderWeights, device: str, dtype: torch.dtype) -> Distances:
    """What depends on the distance between a query and a key, on the device."""
    bias, places = bias_by_distance(spec, weights), places_by_distance(spec)
    return Distances(
        spec.max_tokens,
        None if bias is None else torch.tensor(bias, dtype=dtype, device=device),
        None if places is None else torch.tensor(places, dtype=torch.int64, device=device),
    )


def rotary_tables(tokens: int, head_size: int, rotary: Rotary, device: str) -> Affine:
    """The cosines and sines of :meth:`pellucid.layers.rotary.Rotary.turns`, on the device."""
    cos, sin = (torch.tensor(table, device=device) for table in rotary.turns(tokens, head_size))
    return cos, sin
