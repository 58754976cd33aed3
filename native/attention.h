// Self-attention of one text: softmax(Q Kᵀ · scale + bias) V in each head, a few queries at a time, so that their
// scores stay in the first-level cache. No padding, no mask: a text has its own number of tokens.
#pragma once

#include <limits>

#include "gemm.h"

namespace pellucid {

template <class S>
constexpr int padded_to_panel(int n) {
  return (n + panel_width<S> - 1) / panel_width<S> * panel_width<S>;
}

// Floats of scratch: the keys transposed, the scores of one tile of queries, and one tile of the context.
template <class S>
std::size_t attention_scratch(int tokens, int head_size) {
  const auto padded = static_cast<std::size_t>(padded_to_panel<S>(tokens));
  return padded * static_cast<std::size_t>(head_size + S::tile_rows) + S::tile_rows * panel_width<S>;
}

// Keys, packed like weights: [panels, head_size, panel], zeros after the last.
template <class S>
void pack_keys(const Attention& a, const float* keys, float* packed) {
  constexpr int width = panel_width<S>;
  for (int first = 0; first < a.tokens; first += width, packed += a.head_size * width) {
    const int there = a.tokens - first < width ? a.tokens - first : width;
    for (int j = 0; j < there; ++j) {
      const float* key = keys + (first + j) * a.stride;
      for (int k = 0; k < a.head_size; ++k) packed[k * width + j] = key[k];
    }
    for (int k = 0; k < a.head_size; ++k) {
      for (int j = there; j < width; ++j) packed[k * width + j] = 0;
    }
  }
}

// One row of scores to exponents, in place; returns 1 / their sum. Shifted by the largest, so nothing overflows.
template <class S>
float softmax(float* scores, int tokens, float scale, const float* bias) {
  const auto never = S::set(-std::numeric_limits<float>::infinity());
  const auto factor = S::set(scale);
  auto highest = never;
  each_vector<S>(tokens, [&](int j, int left) {
    auto s = S::mul(S::load(scores + j), factor);
    if (bias) s = S::add(s, S::load(bias + j));
    S::store(scores + j, s);
    highest = S::max(highest, S::first(s, left, never));
  });
  const auto shift = S::set(S::largest(highest));
  auto total = S::zero();
  each_vector<S>(tokens, [&](int j, int left) {
    const auto e = S::first(exponential<S>(S::sub(S::load(scores + j), shift)), left, S::zero());
    S::store(scores + j, e);
    total = S::add(total, e);
  });
  return 1.0f / S::sum(total);
}

static inline const std::uint32_t* words(const float* p) { return reinterpret_cast<const std::uint32_t*>(p); }

// The context of one head for one tile of queries.
template <class S, int rows>
void attend_tile(const Attention& a, int head, int first, const float* packed_keys, float* scores, float* tile) {
  using Dot = DotFloat32<S>;
  constexpr int width = panel_width<S>;
  const std::ptrdiff_t padded = padded_to_panel<S>(a.tokens);
  const std::ptrdiff_t column = static_cast<std::ptrdiff_t>(head) * a.head_size;
  const float* query = a.query + first * a.stride + column;
  for (std::ptrdiff_t j = 0; j < padded; j += width) {
    multiply_tile<S, Dot, rows>(
        words(query), a.stride, words(packed_keys + j * a.head_size), width, a.head_size,
        [&](int i, int v, typename S::F value) { S::store(scores + i * padded + j + v * S::lanes, value); });
  }
  float inverse[rows];
  for (int i = 0; i < rows; ++i) {
    const float* bias = a.bias ? a.bias + head * a.bias_stride + a.bias_middle - (first + i) : nullptr;
    inverse[i] = softmax<S>(scores + i * padded, a.tokens, a.scale, bias);
  }
  for (int d = 0; d < a.head_size; d += width) {
    // A head narrower than a panel reads on into its neighbour, and only its own columns are kept.
    multiply_tile<S, Dot, rows>(words(scores), padded, words(a.value + column + d), a.stride, a.tokens,
                                [&](int i, int v, typename S::F value) {
                                  S::store(tile + i * width + v * S::lanes, S::mul(value, S::set(inverse[i])));
                                });
    const int kept = a.head_size - d < width ? a.head_size - d : width;
    for (int i = 0; i < rows; ++i) {
      std::memcpy(a.context + (first + i) * a.context_stride + column + d, tile + i * width,
                  static_cast<std::size_t>(kept) * sizeof(float));
    }
  }
}

template <class S>
void attend(const Attention& a, int first_head, int last_head) {
  float* scores = a.scratch + static_cast<std::ptrdiff_t>(padded_to_panel<S>(a.tokens)) * a.head_size;
  float* tile = scores + static_cast<std::ptrdiff_t>(padded_to_panel<S>(a.tokens)) * S::tile_rows;
  for (int head = first_head; head < last_head; ++head) {
    pack_keys<S>(a, a.key + static_cast<std::ptrdiff_t>(head) * a.head_size, a.scratch);
    each_tile<S>(a.tokens, [&](int first, auto rows) {
      attend_tile<S, rows()>(a, head, first, a.scratch, scores, tile);
    });
  }
}

}  // namespace pellucid
