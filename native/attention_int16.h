// The attention of attention.h with 16-bit products, for all dtypes but float32 and texts that are not short. Keys and
// values have one scale for a head of a text, and each query has its own. The exponentials are rounded too, but their sum
// is not. Everything else is float32.
#pragma once

#include "attention.h"

namespace pellucid {

// Whether the integer dtypes use this. A set may say otherwise, if its 16-bit products are no faster than those of floats.
template <class S>
constexpr bool attends_in_int16 = true;

// The largest integer for queries and keys: so that the sum of `size` products of two is below 2^31, and at most 8191.
static inline float largest_key(int size) {
  if (size <= 32) return largest_int16_activation;
  return __builtin_floorf(__builtin_sqrtf(2147483648.0f / static_cast<float>(size)) - 1);
}

// Values are at most 8191, and the integers of a block of keys add up to at most 262144 - 1: that is below 2^31 together.
constexpr int keys_per_block = 256;
constexpr float most_weight = 262000;  // of a block, before each of its 256 numbers is rounded by at most 1/2

// x ≈ scale · q, with integers q = round(x · inverse). If a number is not finite, the scale is NaN, and q is 0.
struct Rounding {
  float scale, inverse;
};
template <class S>
Rounding rounding(const float* x, std::ptrdiff_t stride, int rows, int size, float largest_integer) {
  auto highest = S::zero(), finite = S::zero();
  for (int row = 0; row < rows; ++row, x += stride) {
    each_vector<S>(size, [&](int i, int left) {
      const auto v = S::first(S::load(x + i), left, S::zero());
      __builtin_prefetch(x + 8 * stride + i);  // Rows are far apart, so the processor does not prefetch them.
      highest = S::max(highest, S::max(v, S::sub(S::zero(), v)));
      finite = S::fma(v, S::zero(), finite);
    });
  }
  const float top = S::largest(highest), zero = S::sum(finite);  // 0, or NaN if a number is not finite
  const bool usable = top > smallest_range && zero == 0;
  return {top / largest_integer + zero, usable ? largest_integer / top : 0.0f};
}

// The integers of one vector, with zeros after the first `left`.
template <class S>
typename S::W round_vector(const float* x, int left, float inverse) {
  const auto v = inverse > 0 ? S::first(S::load(x), left, S::zero()) : S::zero();
  return S::round(S::mul(v, S::set(inverse)));
}

// Rounds a row to whole words, the last of which may end with a zero.
template <class S>
void round_row(const float* x, int size, float inverse, std::uint32_t* out) {
  auto* q = reinterpret_cast<std::int16_t*>(out);
  out[(size - 1) / 2] = 0;
  each_vector<S>(size, [&](int i, int left) { S::store_int16(q + i, round_vector<S>(x + i, left, inverse)); });
}

// Where the parts of the memory begin, in words of 32 bits: AttentionLayout of attention.h, in integers.
template <class S>
struct AttentionLayout16 {
  AttentionLayout16(int tokens, int head_size, int place_count)
      : head_words((head_size + 1) / 2),
        head_stride(padded_to_panel<S>(head_size) + 16),
        value_stride(padded_to_panel<S>(head_size)),
        padded(padded_to_panel<S>(tokens)),
        by_place(padded_to_panel<S>(place_count)),
        values(padded * head_words),
        by_key(values + padded / 2 * value_stride),
        row(by_key + tokens * by_place),
        scales(row + head_stride),
        packed_end(scales + 2),
        query(0),
        scores(query + S::tile_rows * head_stride),
        weights(scores + S::tile_rows * padded),
        tile(weights + S::tile_rows * padded),
        by_query(tile + S::tile_rows * panel_width<S>),
        scratch_end(by_query + S::tile_rows * by_place) {}

  std::ptrdiff_t head_words, head_stride, value_stride, padded, by_place;
  // Packed are the keys, at 0, the values, the products with relative positions, one row on its way to the keys, and the
  // scales of keys and values.
  std::ptrdiff_t values, by_key, row, scales, packed_end;
  std::ptrdiff_t query, scores, weights, tile, by_query, scratch_end;  // in the scratch memory
};

template <class S>
AttentionMemory attention_memory_int16(int tokens, int head_size, int places) {
  const AttentionLayout16<S> at(tokens, head_size, places);
  const int longest = tokens < shortest_int16_attention ? tokens : shortest_int16_attention - 1;
  const AttentionMemory of_short_texts = attention_memory<S>(longest, head_size, places);
  const auto larger = [](std::ptrdiff_t own, std::size_t other) {
    return static_cast<std::size_t>(own) > other ? static_cast<std::size_t>(own) : other;
  };
  return {larger(at.packed_end, of_short_texts.packed), larger(at.scratch_end, of_short_texts.scratch)};
}

// Packs the keys like weights, two features to a word: [panels, head_words, panel], with zeros after the last key. `row`
// has room for one of them.
template <class S>
void pack_key_panels_int16(const Attention& a, float inverse, int head_words, std::uint32_t* row, std::uint32_t* packed) {
  constexpr int width = panel_width<S>;
  for (int first = 0; first < a.tokens; first += width, packed += head_words * width) {
    for (int j = 0; j < width; ++j) {
      const bool is_key = first + j < a.tokens;
      if (is_key) round_row<S>(a.key + (first + j) * a.stride, a.head_size, inverse, row);
      for (int k = 0; k < head_words; ++k) packed[k * width + j] = is_key ? row[k] : 0;
    }
  }
}

// Packs the values of two keys to a word: [tokens / 2, stride], with zeros after the last key and the last feature.
template <class S>
void pack_value_pairs_int16(const Attention& a, float inverse, std::ptrdiff_t stride, std::uint32_t* packed) {
  for (int j = 0; j < a.tokens; j += 2, packed += stride) {
    const float *value = a.value + j * a.stride, *next = j + 1 < a.tokens ? value + a.stride : value;
    const float next_inverse = j + 1 < a.tokens ? inverse : 0;
    for (int i = 0; i < stride; i += S::lanes) {
      // Beyond the head, nothing is read.
      const int left = a.head_size - i;
      const auto pair = left <= 0 ? S::zero_words()
                                  : S::pair_int16(round_vector<S>(value + i, left, inverse),
                                                  round_vector<S>(next + i, left, next_inverse));
      S::store(reinterpret_cast<float*>(packed + i), S::as_float(pair));
    }
  }
}

// Computes the context of one tile of queries: attend_tile of attention.h, in integers.
template <class S, int rows>
void attend_tile_int16(const Attention& a, const AttentionLayout16<S>& at, int first) {
  using Dot = DotInt16<S>;
  constexpr int width = panel_width<S>;
  const float key_scale = a.packed[at.scales], value_scale = a.packed[at.scales + 1];
  const std::uint32_t *packed_keys = words(a.packed), *packed_values = packed_keys + at.values;
  auto* const memory = reinterpret_cast<std::uint32_t*>(a.scratch);
  float *scores = a.scratch + at.scores, *tile = a.scratch + at.tile;
  std::uint32_t *query = memory + at.query, *weights = memory + at.weights;
  const KeyRange keys = keys_of_tile<S>(a, first, rows);
  const int from = keys.from, to = keys.to;
  if (from >= to) {  // No query of the tile looks at a key.
    for (int i = 0; i < rows; ++i) {
      std::memset(a.context + (first + i) * a.context_stride, 0, static_cast<std::size_t>(a.head_size) * sizeof(float));
    }
    return;
  }
  float scale[rows];
  for (int i = 0; i < rows; ++i) {
    const float* x = a.query + (first + i) * a.stride;
    const Rounding q = rounding<S>(x, 0, 1, a.head_size, largest_key(a.head_size));
    round_row<S>(x, a.head_size, q.inverse, query + i * at.head_stride);
    scale[i] = q.scale * key_scale;
  }
  for (std::ptrdiff_t j = from; j < to; j += width) {
    multiply_tile<S, Dot, rows>(query, at.head_stride, packed_keys + j * at.head_words, width,
                                static_cast<int>(at.head_words), [&](int i, int v, typename S::F value) {
                                  S::store(scores + i * at.padded + j + v * S::lanes, S::mul(value, S::set(scale[i])));
                                });
  }
  if (a.places.by_distance) {
    add_places<S, rows>(a, first, a.packed + at.by_key, a.scratch + at.by_query, scores, at.padded);
  }
  for (int i = 0; i < rows; ++i) {
    float* s = scores + i * at.padded;
    const float inverse = softmax_in_window<S>(a, first + i, from, to, s);
    const float total = inverse > 0 ? 1 / inverse : 0;  // 0 if the query looks at no key, or if the sum is NaN
    const float most = total < keys_per_block ? total : keys_per_block, factor = most_weight / (most > 8 ? most : 8);
    round_row<S>(s + from, to - from, total > 0 ? factor : 0, weights + i * at.padded + from / 2);
    scale[i] = inverse * value_scale / factor;
  }
  for (int d = 0; d < a.head_size; d += width) {
    // Blocks begin at the same keys for each query, whatever its tile. So a text has the same bits in any batch.
    for (int key = from; key < to;) {
      const int after = key / keys_per_block * keys_per_block + keys_per_block, last = after < to ? after : to;
      multiply_tile<S, Dot, rows>(weights + key / 2, at.padded, packed_values + key / 2 * at.value_stride + d,
                                  at.value_stride, (last - key + 1) / 2, [&](int i, int v, typename S::F value) {
                                    float* sum = tile + i * width + v * S::lanes;
                                    S::store(sum, key == from ? value : S::add(S::load(sum), value));
                                  });
      key = last;
    }
    const int kept = a.head_size - d < width ? a.head_size - d : width;
    for (int i = 0; i < rows; ++i) {
      for (int v = 0; v < kept; v += S::lanes) {
        S::store(tile + i * width + v, S::mul(S::load(tile + i * width + v), S::set(scale[i])));
      }
      std::memcpy(a.context + (first + i) * a.context_stride + d, tile + i * width,
                  static_cast<std::size_t>(kept) * sizeof(float));
    }
  }
}

template <class S>
void pack_keys_int16(const Attention& a) {
  if (a.tokens < shortest_int16_attention) return pack_keys<S>(a);
  const AttentionLayout16<S> at(a.tokens, a.head_size, a.places.count);
  auto* const memory = reinterpret_cast<std::uint32_t*>(a.packed);
  const Rounding key = rounding<S>(a.key, a.stride, a.tokens, a.head_size, largest_key(a.head_size));
  const Rounding value = rounding<S>(a.value, a.stride, a.tokens, a.head_size, largest_int16_activation);
  a.packed[at.scales] = key.scale;
  a.packed[at.scales + 1] = value.scale;
  pack_key_panels_int16<S>(a, key.inverse, static_cast<int>(at.head_words), memory + at.row, memory);
  pack_value_pairs_int16<S>(a, value.inverse, at.value_stride, memory + at.values);
  multiply_keys_with_places<S>(a, a.packed + at.by_key);
}

template <class S>
void attend_int16(const Attention& a) {
  if (a.tokens < shortest_int16_attention) return attend<S>(a);
  const AttentionLayout16<S> at(a.tokens, a.head_size, a.places.count);
  each_tile<S, DotInt16<S>>(a.last - a.first, [&](int first, auto rows) {
    attend_tile_int16<S, decltype(rows)::value>(a, at, a.first + first);
  });
}

}  // namespace pellucid
