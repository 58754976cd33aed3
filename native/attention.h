// Self-attention of one query head in one text: softmax(Q Kᵀ · scale + bias) V. Keys and values are packed first, once for
// all query heads that share them. Then queries are taken a tile of a few at a time, so their scores stay in the first-level
// cache. There is no padding, and keys that no query of a tile looks at cost nothing.
#pragma once

#include "gemm.h"

namespace pellucid {

template <class S>
constexpr int padded_to_panel(int n) {
  return (n + panel_width<S> - 1) / panel_width<S> * panel_width<S>;
}

// Where the parts of the memory begin, in floats.
template <class S>
struct AttentionLayout {
  AttentionLayout(int tokens, int head_size, int place_count)
      : padded(padded_to_panel<S>(tokens)),
        by_place(padded_to_panel<S>(place_count)),
        values(padded * head_size),
        by_key(values + std::ptrdiff_t{tokens} * padded_to_panel<S>(head_size)),
        packed_end(by_key + tokens * by_place),
        tile(S::tile_rows * padded),
        by_query(tile + S::tile_rows * panel_width<S>),
        scratch_end(by_query + S::tile_rows * by_place) {}

  std::ptrdiff_t padded, by_place;
  // Packed are the keys, at 0, then the values, and the products of all keys with each relative position.
  std::ptrdiff_t values, by_key, packed_end;
  // The scratch memory has the scores of one tile of queries, at 0, one tile of the context, and the products of one tile of
  // queries with each relative position.
  std::ptrdiff_t tile, by_query, scratch_end;
};

template <class S>
AttentionMemory attention_memory(int tokens, int head_size, int places) {
  const AttentionLayout<S> at(tokens, head_size, places);
  return {static_cast<std::size_t>(at.packed_end), static_cast<std::size_t>(at.scratch_end)};
}

// Packs the keys like weights: [panels, head_size, panel], with zeros after the last key.
template <class S>
void pack_key_panels(const Attention& a, float* packed) {
  constexpr int width = panel_width<S>;
  for (int first = 0; first < a.tokens; first += width, packed += a.head_size * width) {
    const int keys = a.tokens - first < width ? a.tokens - first : width;
    for (int j = 0; j < keys; ++j) {
      const float* key = a.key + (first + j) * a.stride;
      for (int k = 0; k < a.head_size; ++k) packed[k * width + j] = key[k];
    }
    for (int k = 0; k < a.head_size; ++k) {
      for (int j = keys; j < width; ++j) packed[k * width + j] = 0;
    }
  }
}

// Packs the values: [panels, tokens, panel], with zeros after the last feature. The rows that they are in are far apart, so
// each value there takes a page of memory.
template <class S>
void pack_value_panels(const Attention& a, float* packed) {
  constexpr int width = panel_width<S>;
  for (int d = 0; d < a.head_size; d += width) {
    const int kept = a.head_size - d < width ? a.head_size - d : width;
    for (int j = 0; j < a.tokens; ++j, packed += width) {
      std::memcpy(packed, a.value + j * a.stride + d, static_cast<std::size_t>(kept) * sizeof(float));
      for (int i = kept; i < width; ++i) packed[i] = 0;
    }
  }
}

// This does not use std::numeric_limits, whose functions are not templates over S: all instruction sets would share one
// copy of them.
constexpr float minus_infinity = -__builtin_inff();

// Turns one row of scores into exponentials, in place, and returns 1 / their sum. The largest score is subtracted
// first, so nothing overflows.
template <class S>
float softmax(float* scores, int tokens, float scale, const float* bias) {
  const auto lowest = S::set(minus_infinity);
  const auto factor = S::set(scale);
  auto highest = lowest;
  each_vector<S>(tokens, [&](int j, int left) {
    auto s = S::mul(S::load(scores + j), factor);
    if (bias) s = S::add(s, S::load(bias + j));
    S::store(scores + j, s);
    highest = S::max(highest, S::first(s, left, lowest));
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

// Turns the scores that the query at position `i` gives to the keys from … to - 1 into exponentials, in place. Keys
// that the query does not look at get zero. Returns 1 / their sum; 0 if the query looks at no key.
template <class S>
float softmax_in_window(const Attention& a, int i, int from, int to, float* scores) {
  const int low = i - a.before > from ? i - a.before : from, high = i + a.after + 1 < to ? i + a.after + 1 : to;
  if (low >= high) {
    for (int j = from; j < to; ++j) scores[j] = 0;
    return 0;
  }
  // Start at a multiple of the vector's length, so the last vector does not reach into the next query's scores.
  const int start = low / S::lanes * S::lanes;
  for (int j = start; j < low; ++j) scores[j] = minus_infinity;
  const float inverse = softmax<S>(scores + start, high - start, a.scale, a.bias ? a.bias - i + start : nullptr);
  for (int j = from; j < low; ++j) scores[j] = 0;
  for (int j = high; j < to; ++j) scores[j] = 0;
  return inverse;
}

// Multiplies rows of queries or keys with the places from `low` to `high`, and whatever else is in their panels.
template <class S, int rows>
void multiply_with_places(const float* x, const Attention& a, const float* packed, int low, int high, float* out,
                          std::ptrdiff_t stride) {
  constexpr int width = panel_width<S>;
  for (std::ptrdiff_t place = low / width * width; place <= high; place += width) {
    multiply_tile<S, DotFloat32<S>, rows>(
        words(x), a.stride, words(packed + place * a.head_size), width, a.head_size,
        [&](int i, int v, typename S::F value) { S::store(out + i * stride + place + v * S::lanes, value); });
  }
}

// Adds to the scores of one tile of queries what relative positions add.
template <class S, int rows>
void add_places(const Attention& a, int first, const float* by_key, float* by_query, float* scores,
                std::ptrdiff_t padded) {
  const std::ptrdiff_t stride = padded_to_panel<S>(a.places.count);
  const std::int32_t* place = a.places.by_distance;
  if (a.places.keys) {
    multiply_with_places<S, rows>(a.query + first * a.stride, a, a.places.keys, place[first - a.tokens + 1],
                                  place[first + rows - 1], by_query, stride);
  }
  for (int i = 0; i < rows; ++i) {
    float* s = scores + i * padded;
    if (a.places.keys) {
      for (int j = 0; j < a.tokens; ++j) s[j] += by_query[i * stride + place[first + i - j]];
    }
    if (a.places.queries) {
      for (int j = 0; j < a.tokens; ++j) s[j] += by_key[j * stride + place[first + i - j]];
    }
  }
}

// The keys that at least one query of a tile looks at: from … to - 1. The first one begins a panel, so that the sums of a
// query have the same order in any tile. Keys that only other queries look at add zeros.
struct KeyRange {
  int from, to;
};
template <class S>
KeyRange keys_of_tile(const Attention& a, int first, int rows) {
  return {first > a.before ? (first - a.before) / panel_width<S> * panel_width<S> : 0,
          a.tokens - first - rows > a.after ? first + rows + a.after : a.tokens};
}

// Computes the context of one tile of queries.
template <class S, int rows>
void attend_tile(const Attention& a, const AttentionLayout<S>& at, int first) {
  using Dot = DotFloat32<S>;
  constexpr int width = panel_width<S>;
  float *const scores = a.scratch, *const tile = a.scratch + at.tile;
  const KeyRange keys = keys_of_tile<S>(a, first, rows);
  const int from = keys.from, to = keys.to;
  for (std::ptrdiff_t j = from; j < to; j += width) {
    multiply_tile<S, Dot, rows>(
        words(a.query + first * a.stride), a.stride, words(a.packed + j * a.head_size), width, a.head_size,
        [&](int i, int v, typename S::F value) { S::store(scores + i * at.padded + j + v * S::lanes, value); });
  }
  if (a.places.by_distance) {
    add_places<S, rows>(a, first, a.packed + at.by_key, a.scratch + at.by_query, scores, at.padded);
  }
  float inverse[rows];
  for (int i = 0; i < rows; ++i) inverse[i] = softmax_in_window<S>(a, first + i, from, to, scores + i * at.padded);
  const float* values = a.packs_values ? a.packed + at.values : a.value;
  const std::ptrdiff_t stride = a.packs_values ? width : a.stride;
  const std::ptrdiff_t to_next_panel = a.packs_values ? std::ptrdiff_t{a.tokens} * width : width;
  for (int d = 0; d < a.head_size; d += width, values += to_next_panel) {
    // Where it is not packed, a head that is narrower than a panel also reads its neighbour. Only its own columns are kept.
    multiply_tile<S, Dot, rows>(words(scores + from), at.padded, words(values + from * stride), stride, to - from,
                                [&](int i, int v, typename S::F value) {
                                  S::store(tile + i * width + v * S::lanes, S::mul(value, S::set(inverse[i])));
                                });
    const int kept = a.head_size - d < width ? a.head_size - d : width;
    for (int i = 0; i < rows; ++i) {
      std::memcpy(a.context + (first + i) * a.context_stride + d, tile + i * width,
                  static_cast<std::size_t>(kept) * sizeof(float));
    }
  }
}

// Multiplies all keys with the queries of places, if the family has them.
template <class S>
void multiply_keys_with_places(const Attention& a, float* by_key) {
  if (!a.places.queries) return;
  const std::ptrdiff_t stride = padded_to_panel<S>(a.places.count);
  const std::int32_t* place = a.places.by_distance;
  each_tile<S, DotFloat32<S>>(a.tokens, [&](int first, auto rows) {
    multiply_with_places<S, decltype(rows)::value>(a.key + first * a.stride, a, a.places.queries, place[1 - a.tokens],
                                                   place[a.tokens - 1], by_key + first * stride, stride);
  });
}

template <class S>
void pack_keys(const Attention& a) {
  const AttentionLayout<S> at(a.tokens, a.head_size, a.places.count);
  pack_key_panels<S>(a, a.packed);
  if (a.packs_values) pack_value_panels<S>(a, a.packed + at.values);
  multiply_keys_with_places<S>(a, a.packed + at.by_key);
}

template <class S>
void attend(const Attention& a) {
  const AttentionLayout<S> at(a.tokens, a.head_size, a.places.count);
  each_tile<S, DotFloat32<S>>(a.last - a.first, [&](int first, auto rows) {
    attend_tile<S, decltype(rows)::value>(a, at, a.first + first);
  });
}

}  // namespace pellucid
