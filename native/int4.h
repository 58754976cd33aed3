// The product of gemm.h with weights of 4 bits, and the rounding of its rows.
//
// Both sides are cut into groups of 32 features. A weight is w ≈ scale · (u - 8), with u in 0 … 15 and a scale for each
// group of each output feature (int4_weights.h). A row is x ≈ scale · q, with a byte q in -127 … 127 and a scale for each
// group. So the product of a group is
//
//   Σ w x ≈ weight scale · (row scale · Σ u q + offset),   where offset = -8 · row scale · Σ q.
//
// The sums of u q are exact: a whole group's are at most 32 · 15 · 127. Without VNNI, they are added in 16 bits: in one half
// of a word, there are 16 products of a group, and 16 · 15 · 127 < 2^15. Groups are added in their order, so a row has the
// same bits in any tile.
//
// Why bytes, and not 16-bit integers: the error of the weights is fifteen times that of bytes. A query of some ten tokens
// is multiplied about as fast as its weights are read. With 16-bit integers, it would take longer than in int8.
#pragma once

#include "gemm.h"

namespace pellucid {

// Rounds a row to bytes, and fills the last group with zeros. A group with NaN or infinity gets the scale NaN.
template <class S>
void quantise_int4(const float* x, const Depth& depth, const Rows& out, int row) {
  auto* words = out.words + row * out.stride;
  auto* bytes = reinterpret_cast<std::int8_t*>(words);
  const int last_group = (depth.groups - 1) * depth.group_words;
  std::memset(words + last_group, 0, static_cast<std::size_t>(depth.group_words) * sizeof *words);
  each_group(depth, 4, [&](int g, int start, int size) {
    auto highest = S::zero(), finite = S::zero();
    each_vector<S>(size, [&](int i, int left) {
      const auto v = S::first(S::load(x + start + i), left, S::zero());
      highest = S::max(highest, S::max(v, S::sub(S::zero(), v)));
      finite = S::fma(v, S::zero(), finite);
    });
    const float top = S::largest(highest), zero = S::sum(finite);  // 0, or NaN if a number is not finite
    const bool usable = top > smallest_range && zero == 0;
    const auto inverse = S::set(usable ? 127 / top : 0.0f);
    auto total = S::zero();
    each_vector<S>(size, [&](int i, int left) {
      const auto v = usable ? S::first(S::load(x + start + i), left, S::zero()) : S::zero();
      const auto q = S::round(S::mul(v, inverse));
      total = S::add(total, S::to_float(q));
      S::store_int8(bytes + start + i, q);
    });
    const float scale = top / 127 + zero;
    out.scale[row * depth.groups + g] = scale;
    out.offset[row * depth.groups + g] = -8 * scale * S::sum(total);
  });
}

// The words of one group in a panel: two numbers of 4 bits in each byte, and then two scales, as bfloat16, in each word.
template <class S>
constexpr int int4_group_words = int4_words * panel_width<S> + panel_width<S> / 2;

// Adds the products of four numbers of 4 bits with four signed bytes.
template <class S>
[[gnu::always_inline]] inline typename S::W add_int4(typename S::W sum, typename S::W u, typename S::W q) {
  if constexpr (S::adds_pairs_in_16_bits) {
    return S::add_byte_pairs(sum, u, q);
  } else {
    return S::dot_int8(sum, u, q);
  }
}
template <class S>
[[gnu::always_inline]] inline typename S::F int4_value(typename S::W sum) {
  if constexpr (S::adds_pairs_in_16_bits) {
    return S::to_float(S::add_halves(sum));
  } else {
    return S::to_float(sum);
  }
}

template <class S>
struct DotInt4;

// Numbers of 4 bits, scales and constants take registers too, so fewer are left for sums.
template <class S>
constexpr int tile_rows<S, DotInt4<S>> = S::tile_rows * 2 / 3;

template <class S>
struct DotInt4 {
  // Computes the sums of one tile over one group, and adds them to those of the groups before, which are in `total`.
  template <int rows>
  [[gnu::always_inline]] static inline void multiply_group(const Product& p, int first_row, int panel, int group,
                                                           float* total) {
    constexpr int vectors = S::tile_vectors, width = panel_width<S>;
    const int groups = p.weights.depth.groups;
    const std::uint32_t* x = p.x.words + first_row * p.x.stride + group * p.weights.depth.group_words;
    const std::uint32_t* w = p.weights.words + panel * p.weights.panel_words + group * int4_group_words<S>;
    typename S::W sums[rows][vectors];
#pragma GCC unroll 16
    for (int i = 0; i < rows; ++i) {
#pragma GCC unroll 16
      for (int v = 0; v < vectors; ++v) sums[i][v] = S::zero_words();
    }
    // Adds the products of word k of each row.
    const auto add = [&](int k, const typename S::W* weights) __attribute__((always_inline)) {
#pragma GCC unroll 16
      for (int i = 0; i < rows; ++i) {
        const auto word = S::broadcast(x + i * p.x.stride + k);
#pragma GCC unroll 16
        for (int v = 0; v < vectors; ++v) sums[i][v] = add_int4<S>(sums[i][v], weights[v], word);
      }
    };
    for (int k = 0; k < int4_words; ++k, w += width) {
      for (int j = 0; j < width; j += 16) __builtin_prefetch(w + prefetch_distance + j);
      typename S::W weights[vectors];
#pragma GCC unroll 16
      for (int v = 0; v < vectors; ++v) weights[v] = S::low_nibbles(S::load_words(w + v * S::lanes));
      add(2 * k, weights);
#pragma GCC unroll 16
      for (int v = 0; v < vectors; ++v) weights[v] = S::high_nibbles(S::load_words(w + v * S::lanes));
      add(2 * k + 1, weights);
    }
    __builtin_prefetch(w + prefetch_distance);
    typename S::F scales[vectors];
#pragma GCC unroll 16
    for (int v = 0; v < vectors / 2; ++v) {
      const auto pair = S::load_words(w + v * S::lanes);
      scales[v] = S::low_bfloat16(pair);
      scales[v + vectors / 2] = S::high_bfloat16(pair);
    }
#pragma GCC unroll 16
    for (int i = 0; i < rows; ++i) {
      const std::ptrdiff_t at = static_cast<std::ptrdiff_t>(first_row + i) * groups + group;
      const auto scale = S::set(p.x.scale[at]), offset = S::set(p.x.offset[at]);
#pragma GCC unroll 16
      for (int v = 0; v < vectors; ++v) {
        float* to = total + i * width + v * S::lanes;
        const auto before = group == 0 ? S::zero() : S::load(to);
        S::store(to, S::fma(S::fma(scale, int4_value<S>(sums[i][v]), offset), scales[v], before));
      }
    }
  }
};

}  // namespace pellucid
