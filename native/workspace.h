// The memory of one call.
#pragma once

#include <algorithm>
#include <optional>
#include <vector>

#include "encoder.h"
#include "operand.h"

namespace pellucid {

// The memory that one team works in, for chunks of at most `rows` tokens. Its size grows with the chunks and with the
// longest text. A chunk has at most tokens_per_chunk tokens for each worker, or is one longer text. `inner` holds first the
// queries, keys and values side by side, and then the intermediate vectors of the feed-forward; it is wide enough for
// either, as is `gate`.
//
// Each sublayer adds its result to the residual stream. If a norm follows every sum, the residual stream is `x`, and
// one buffer for sums is enough. Otherwise it is the previous sum, which is still read while the next sum is written,
// so there are two buffers.
//
// `packed` holds keys and values: those that a worker is at, for each worker; or those of all texts of a chunk, if workers
// share its queries.
struct Encoder::Workspace {
  // For some of a call's chunks.
  Workspace(const Encoder& e, const std::vector<Chunk>& chunks, const std::int32_t* offsets, int threads)
      : Workspace(e, static_cast<int>(largest(chunks, [&](const Chunk& c) { return size(tokens_of(c, offsets)); })),
                  static_cast<int>(largest(chunks, [&](const Chunk& c) { return size(longest_of(c, offsets)); })),
                  largest(chunks, [&](const Chunk& c) { return e.packed_together(c, offsets, threads); }), threads) {}

  Workspace(const Encoder& e, int rows, int longest, std::size_t packed_together, int threads)
      : stride(e.layers_.front().attention_output.stride()),
        context_stride(static_cast<std::ptrdiff_t>(
            // The padding keeps rows from being a multiple of 4 KiB apart, where they would share one set of the cache.
            round_up(size(e.layers_.front().heads * e.layers_.front().head_size), 16) + 16)),
        wide(std::max(e.layers_.front().attention_input.stride(), e.layers_.front().intermediate.stride())),
        x(size(rows) * size(int(stride)) + slack),
        sum(size(rows) * size(int(stride)) + slack),
        next_sum(e.sums_stay_ ? size(rows) * size(int(stride)) + slack : 0),
        context(size(rows) * size(int(context_stride)) + slack),
        inner(size(rows) * size(int(wide)) + slack),
        gate(e.gated() ? size(rows) * size(int(wide)) + slack : 0),
        attention(e.attention_memory(longest)),
        packed(std::max(attention.packed * size(threads), packed_together) + slack),
        scratch(attention.scratch * size(threads) + slack),
        narrow_operand(e.kernels_, e.dtype_, rows, e.hidden_),
        wide_operand(e.kernels_, e.layers_.front().output.dtype(), rows, e.intermediate_) {
    const int features = e.layers_.front().heads * e.layers_.front().head_size;
    if (features != e.hidden_) own_context_operand.emplace(e.kernels_, e.dtype_, rows, features);
    if (e.projection_) embedding_operand.emplace(e.kernels_, e.dtype_, rows, e.embeddings_.size);
  }

  template <class Measure>
  static std::size_t largest(const std::vector<Chunk>& chunks, Measure measure) {
    std::size_t most = 0;
    for (const Chunk& chunk : chunks) most = std::max(most, measure(chunk));
    return most;
  }

  const Operand& context_operand() const { return own_context_operand ? *own_context_operand : narrow_operand; }

  std::ptrdiff_t stride, context_stride, wide;
  Array<float> x, sum, next_sum, context, inner, gate;
  AttentionMemory attention;  // of the longest text
  Array<float> packed, scratch;
  Operand narrow_operand, wide_operand;
  std::optional<Operand> own_context_operand, embedding_operand;
};

}  // namespace pellucid
