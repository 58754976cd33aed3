"""Attention of texts end to end, with windows and with what depends on distances, as a Triton kernel.

The scores are computed for a block of queries and a block of keys at a time, and never written to memory (Dao et al.,
"FlashAttention", 2022). Of the other texts of its step, only the longest may change a text's last bits: it decides how
large the blocks are.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl

from pellucid.engines.torch.attention import Attend, Distances
from pellucid.engines.torch.device_layers import DeviceLayer
from pellucid.engines.torch.steps import DeviceBatch

_SMALLEST_BLOCK, _LARGEST_BLOCK = 16, 64
"""The bounds of how many queries or keys a block has. A GPU's matrix units take no fewer than 16."""

_WIDE_HEAD = 128
"""Heads larger than this get smaller blocks of keys, which fit into the GPU's shared memory."""


class KernelAttention:
    """The attention of an encoder. Scores and softmax are in float32."""

    def __init__(self, distances: Distances) -> None:
        self._distances = distances

    def __call__(self, step: DeviceBatch) -> Attend:
        """See :data:`pellucid.engines.torch.attention.Attention`."""
        size = max(_SMALLEST_BLOCK, min(_LARGEST_BLOCK, int(triton.next_power_of_2(step.longest))))
        blocks = triton.cdiv(step.longest, size)

        def attend(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, layer: DeviceLayer) -> torch.Tensor:
            tokens, heads, head_size = query.shape
            result = query.new_empty((tokens, heads, head_size))
            by_query = products(query, layer.place_keys)
            by_key = products(key, layer.place_queries)
            place_counts = [each.shape[2] for each in (by_query, by_key) if each is not None]
            spec = layer.spec.attention
            # He et al., "DeBERTa" (2021), equation 4.
            scale = (head_size * (1 + len(place_counts))) ** -0.5 if spec.scale is None else spec.scale
            padded_size = max(16, int(triton.next_power_of_2(head_size)))
            _attend[(len(step.batch) * blocks, heads)](
                result, query, key, value, step.offsets, self._distances.bias, self._distances.places, by_query, by_key,
                scale, query.stride(0), key.stride(0), value.stride(0), tokens, blocks,
                max(place_counts, default=0),
                HEADS=heads, HEAD_SIZE=head_size, MAX_TOKENS=self._distances.max_tokens,
                BEFORE=spec.before, AFTER=spec.after, WIDTH=padded_size, QUERIES=size,
                KEYS=size if padded_size <= _WIDE_HEAD else min(size, 32), num_warps=max(1, size // 16), num_stages=2,
            )  # fmt: skip
            return result

        return attend


def products(vectors: torch.Tensor, places: torch.Tensor | None) -> torch.Tensor | None:
    """The products of queries or keys, ``[T, heads, head_size]``, with relative positions: ``[heads, T, places]``."""
    return None if places is None else vectors.transpose(0, 1) @ places.mT


@triton.jit
def _rows_of_head(array, tokens, stride, head, is_row, HEAD_SIZE: tl.constexpr, WIDTH: tl.constexpr):
    """The vectors of a head, ``[tokens, WIDTH]``, filled with zeros after the head's size."""
    columns = tl.arange(0, WIDTH)
    places = tokens.to(tl.int64)[:, None] * stride + head * HEAD_SIZE + columns[None, :]
    return tl.load(array + places, mask=is_row[:, None] & (columns < HEAD_SIZE)[None, :], other=0.0)


@triton.jit(do_not_specialize=["count", "blocks"])
def _attend(
    result, query, key, value, offsets, bias, places, by_query, by_key, scale, query_stride, key_stride, value_stride,
    count, blocks, place_count, HEADS: tl.constexpr, HEAD_SIZE: tl.constexpr, MAX_TOKENS: tl.constexpr,
    BEFORE: tl.constexpr, AFTER: tl.constexpr, WIDTH: tl.constexpr, QUERIES: tl.constexpr, KEYS: tl.constexpr,
):  # fmt: skip
    """Each program attends from a block of queries of one text and head."""
    text, head = tl.program_id(0) // blocks, tl.program_id(1)
    start = tl.program_id(0) % blocks * QUERIES
    first = tl.load(offsets + text)
    length = tl.load(offsets + text + 1) - first
    if start >= length:
        return
    queries = start + tl.arange(0, QUERIES)
    is_query = queries < length
    q = _rows_of_head(query, first + queries, query_stride, head, is_query, HEAD_SIZE, WIDTH)
    largest = tl.full((QUERIES,), -1e30, tl.float32)  # Finite, for a block in which a query sees no key.
    total = tl.zeros((QUERIES,), tl.float32)
    context = tl.zeros((QUERIES, WIDTH), tl.float32)
    begin = 0 if BEFORE is None else tl.maximum(start - BEFORE, 0) // KEYS * KEYS
    end = length if AFTER is None else tl.minimum(start + QUERIES + AFTER, length)
    for block in range(begin, end, KEYS):
        keys = block + tl.arange(0, KEYS)
        is_key = keys < length
        k = _rows_of_head(key, first + keys, key_stride, head, is_key, HEAD_SIZE, WIDTH)
        scores = tl.dot(q, tl.trans(k), input_precision="ieee")
        distances = keys[None, :] - queries[:, None]
        is_pair = is_query[:, None] & is_key[None, :]
        if places is not None:
            numbers = tl.load(places + (MAX_TOKENS - 1) - distances, mask=is_pair, other=0)
            row = head.to(tl.int64) * count + first
            if by_query is not None:
                at = (row + queries)[:, None] * place_count + numbers
                scores += tl.load(by_query + at, mask=is_pair, other=0.0).to(tl.float32)
            if by_key is not None:
                at = (row + keys)[None, :] * place_count + numbers
                scores += tl.load(by_key + at, mask=is_pair, other=0.0).to(tl.float32)
        scores *= scale
        if bias is not None:
            at = head * (2 * MAX_TOKENS - 1) + MAX_TOKENS - 1 + distances
            scores += tl.load(bias + at, mask=is_pair, other=0.0).to(tl.float32)
        is_seen = is_key[None, :]
        if BEFORE is not None:
            is_seen &= distances >= -BEFORE
        if AFTER is not None:
            is_seen &= distances <= AFTER
        scores = tl.where(is_seen, scores, float("-inf"))
        larger = tl.maximum(largest, tl.max(scores, axis=1))
        weights = tl.exp(scores - larger[:, None])
        faded = tl.exp(largest - larger)
        total = total * faded + tl.sum(weights, axis=1)
        v = _rows_of_head(value, first + keys, value_stride, head, is_key, HEAD_SIZE, WIDTH)
        context = context * faded[:, None] + tl.dot(weights.to(v.dtype), v, input_precision="ieee")
        largest = larger
    columns = tl.arange(0, WIDTH)
    at = ((first + queries).to(tl.int64) * HEADS + head)[:, None] * HEAD_SIZE + columns[None, :]
    tl.store(result + at, context / total[:, None], mask=is_query[:, None] & (columns < HEAD_SIZE)[None, :])
