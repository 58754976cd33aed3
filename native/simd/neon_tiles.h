// The products of NEON. Most of its multiplications take one word of a register of activations, so a row's words are
// loaded four at a time, and none is copied to all lanes of a register.
//
// A 16-bit multiplication (smlal) has half the speed of a float one on many processors, and so has everything that adds
// neighbours. A product of bytes has four times the multiply-adds of a float one (sdot), or eight times (smmla). So with
// these, an int16 is two bytes, and its product is four of bytes (packed.h).
#pragma once

#include "../attention_int16.h"
#include "neon.h"

namespace pellucid {

template <Bytes products, class Dot>
constexpr bool has_own_tile<Neon<products>, Dot> = true;
template <Bytes products>
constexpr bool attends_in_int16<Neon<products>> = false;
template <Bytes products>
constexpr bool splits_int16<Neon<products>> = products != Bytes::widening;
template <>
constexpr int column_words<Neon<Bytes::matrix>> = 2;

static inline int8x16_t as_bytes(int32x4_t x) { return vreinterpretq_s8_s32(x); }
static inline int16x8_t as_int16(int32x4_t x) { return vreinterpretq_s16_s32(x); }
static inline int8x16_t load_bytes(const std::uint32_t* p) { return vld1q_s8(reinterpret_cast<const std::int8_t*>(p)); }
static inline int8x8_t load_half(const std::uint32_t* p) { return vld1_s8(reinterpret_cast<const std::int8_t*>(p)); }

// Prefetches the weights of some words of k. Those of one word, 64 bytes, are a line of the cache.
template <int count>
[[gnu::always_inline]] static inline void prefetch(const std::uint32_t* w, std::ptrdiff_t w_stride) {
#pragma GCC unroll 4
  for (int j = 0; j < count; ++j) __builtin_prefetch(w + j * w_stride + prefetch_distance);
}

// Takes the words of k four at a time, and calls Product::step<lane>(words of the rows, weights of one k) for each.
template <class S, class Product, int rows>
struct TileOfLanes {
  [[gnu::always_inline]] void multiply(const std::uint32_t* x, std::ptrdiff_t x_stride, const std::uint32_t* w,
                                       std::ptrdiff_t w_stride, int depth) {
    auto& product = static_cast<Product&>(*this);
    typename S::W words[rows];
    int k = 0;
    for (; k + 4 <= depth; k += 4, w += 4 * w_stride) {
      prefetch<4>(w, w_stride);
#pragma GCC unroll 16
      for (int i = 0; i < rows; ++i) words[i] = S::load_words(x + i * x_stride + k);
      product.template step<0>(words, w);
      product.template step<1>(words, w + w_stride);
      product.template step<2>(words, w + 2 * w_stride);
      product.template step<3>(words, w + 3 * w_stride);
    }
    for (; k < depth; ++k, w += w_stride) {
#pragma GCC unroll 16
      for (int i = 0; i < rows; ++i) words[i] = S::broadcast(x + i * x_stride + k);
      product.template step<0>(words, w);
    }
  }
};

template <Bytes products, int rows>
struct Tile<Neon<products>, DotFloat32<Neon<products>>, rows>
    : TileOfLanes<Neon<products>, Tile<Neon<products>, DotFloat32<Neon<products>>, rows>, rows> {
  using S = Neon<products>;
  float32x4_t sums[rows][S::tile_vectors] = {};

  template <int lane>
  [[gnu::always_inline]] void step(const int32x4_t* words, const std::uint32_t* w) {
#pragma GCC unroll 16
    for (int v = 0; v < S::tile_vectors; ++v) {
      const auto weights = S::as_float(S::load_words(w + v * S::lanes));
#pragma GCC unroll 16
      for (int i = 0; i < rows; ++i) sums[i][v] = vfmaq_laneq_f32(sums[i][v], weights, S::as_float(words[i]), lane);
    }
  }
  float32x4_t value(int i, int v) const { return sums[i][v]; }
};

// Words of four bytes, with sdot.
template <int rows>
struct Tile<Neon<Bytes::dot>, DotInt8<Neon<Bytes::dot>>, rows>
    : TileOfLanes<Neon<Bytes::dot>, Tile<Neon<Bytes::dot>, DotInt8<Neon<Bytes::dot>>, rows>, rows> {
  using S = Neon<Bytes::dot>;
  int32x4_t sums[rows][S::tile_vectors] = {};

  template <int lane>
  [[gnu::always_inline]] void step(const int32x4_t* words, const std::uint32_t* w) {
#pragma GCC unroll 16
    for (int v = 0; v < S::tile_vectors; ++v) {
      const int8x16_t weights = load_bytes(w + v * S::lanes);
#pragma GCC unroll 16
      for (int i = 0; i < rows; ++i) sums[i][v] = vdotq_laneq_s32(sums[i][v], weights, as_bytes(words[i]), lane);
    }
  }
  float32x4_t value(int i, int v) const { return S::to_float(sums[i][v]); }
};

// Words of two 16-bit integers, with smlal. ld2 parts the weights of even k from those of odd k.
template <int rows>
struct Tile<Neon<Bytes::widening>, DotInt16<Neon<Bytes::widening>>, rows>
    : TileOfLanes<Neon<Bytes::widening>, Tile<Neon<Bytes::widening>, DotInt16<Neon<Bytes::widening>>, rows>, rows> {
  using S = Neon<Bytes::widening>;
  int32x4_t sums[rows][S::tile_vectors] = {};

  template <int lane>
  [[gnu::always_inline]] void step(const int32x4_t* words, const std::uint32_t* w) {
#pragma GCC unroll 16
    for (int v = 0; v < S::tile_vectors; v += 2) {
      const int16x8x2_t weights = vld2q_s16(reinterpret_cast<const std::int16_t*>(w + v * S::lanes));
      const int16x8_t even = weights.val[0], odd = weights.val[1];
#pragma GCC unroll 16
      for (int i = 0; i < rows; ++i) {
        const int16x8_t x = as_int16(words[i]);
        sums[i][v] = vmlal_laneq_s16(sums[i][v], vget_low_s16(even), x, 2 * lane);
        sums[i][v + 1] = vmlal_high_laneq_s16(sums[i][v + 1], even, x, 2 * lane);
        sums[i][v] = vmlal_laneq_s16(sums[i][v], vget_low_s16(odd), x, 2 * lane + 1);
        sums[i][v + 1] = vmlal_high_laneq_s16(sums[i][v + 1], odd, x, 2 * lane + 1);
      }
    }
  }
  float32x4_t value(int i, int v) const { return S::to_float(sums[i][v]); }
};

// Words of four bytes, without sdot. Weights are at most ±127 and activations at least -128, so the sum of two products
// fits into 16 bits: 2 · 127 · 128 < 2^15.
template <>
constexpr int tile_rows<Neon<Bytes::widening>, DotInt8<Neon<Bytes::widening>>> = 2;
template <int rows>
struct Tile<Neon<Bytes::widening>, DotInt8<Neon<Bytes::widening>>, rows> {
  using S = Neon<Bytes::widening>;
  int32x4_t low[rows][S::tile_vectors] = {}, high[rows][S::tile_vectors] = {};  // of two columns, with two sums each

  [[gnu::always_inline]] void multiply(const std::uint32_t* x, std::ptrdiff_t x_stride, const std::uint32_t* w,
                                       std::ptrdiff_t w_stride, int depth) {
    for (int k = 0; k < depth; k += 2, w += 2 * w_stride) {
      const bool has_next = k + 1 < depth;
      prefetch<2>(w, w_stride);
      int8x16_t word[rows], next[rows];
#pragma GCC unroll 16
      for (int i = 0; i < rows; ++i) {
        word[i] = as_bytes(S::broadcast(x + i * x_stride + k));
        next[i] = has_next ? as_bytes(S::broadcast(x + i * x_stride + k + 1)) : vdupq_n_s8(0);
      }
#pragma GCC unroll 16
      for (int v = 0; v < S::tile_vectors; ++v) {
        const int8x16_t weights = load_bytes(w + v * S::lanes);
        const int8x16_t next_weights = load_bytes(w + v * S::lanes + (has_next ? w_stride : 0));
#pragma GCC unroll 16
        for (int i = 0; i < rows; ++i) {
          const int16x8_t one = vmull_s8(vget_low_s8(weights), vget_low_s8(word[i]));
          const int16x8_t other = vmull_high_s8(weights, word[i]);
          low[i][v] = vpadalq_s16(low[i][v], vmlal_s8(one, vget_low_s8(next_weights), vget_low_s8(next[i])));
          high[i][v] = vpadalq_s16(high[i][v], vmlal_high_s8(other, next_weights, next[i]));
        }
      }
    }
  }
  float32x4_t value(int i, int v) const { return S::to_float(vpaddq_s32(low[i][v], high[i][v])); }
};

// The sum of the products of split integers, from those of two high bytes, of a high one and a low one, and of two low ones.
static inline int32x4_t join(int32x4_t high, int32x4_t cross, int32x4_t low) {
  return vaddq_s32(vaddq_s32(vshlq_n_s32(high, 16), vshlq_n_s32(cross, 8)), low);
}

// Split integers, with sdot: a word of four high bytes, then one with their low bytes.
template <>
constexpr int tile_rows<Neon<Bytes::dot>, DotInt16<Neon<Bytes::dot>>> = 2;
template <int rows>
struct Tile<Neon<Bytes::dot>, DotInt16<Neon<Bytes::dot>>, rows> {
  using S = Neon<Bytes::dot>;
  int32x4_t high[rows][S::tile_vectors] = {}, cross[rows][S::tile_vectors] = {}, low[rows][S::tile_vectors] = {};

  [[gnu::always_inline]] void multiply(const std::uint32_t* x, std::ptrdiff_t x_stride, const std::uint32_t* w,
                                       std::ptrdiff_t w_stride, int depth) {
    int8x16_t words[rows];
    int k = 0;
    for (; k + 4 <= depth; k += 4, w += 4 * w_stride) {
#pragma GCC unroll 16
      for (int i = 0; i < rows; ++i) words[i] = load_bytes(x + i * x_stride + k);
      step<0>(words, w, w_stride);
      step<2>(words, w + 2 * w_stride, w_stride);
    }
    if (k < depth) {
#pragma GCC unroll 16
      for (int i = 0; i < rows; ++i) words[i] = vcombine_s8(load_half(x + i * x_stride + k), vdup_n_s8(0));
      step<0>(words, w, w_stride);
    }
  }
  template <int lane>
  [[gnu::always_inline]] void step(const int8x16_t* words, const std::uint32_t* w, std::ptrdiff_t w_stride) {
    prefetch<2>(w, w_stride);
#pragma GCC unroll 16
    for (int v = 0; v < S::tile_vectors; ++v) {
      const int8x16_t w_high = load_bytes(w + v * S::lanes), w_low = load_bytes(w + w_stride + v * S::lanes);
#pragma GCC unroll 16
      for (int i = 0; i < rows; ++i) {
        high[i][v] = vdotq_laneq_s32(high[i][v], w_high, words[i], lane);
        cross[i][v] = vdotq_laneq_s32(cross[i][v], w_high, words[i], lane + 1);
        low[i][v] = vdotq_laneq_s32(low[i][v], w_low, words[i], lane + 1);
        cross[i][v] = vdotq_laneq_s32(cross[i][v], w_low, words[i], lane);
      }
    }
  }
  float32x4_t value(int i, int v) const { return S::to_float(join(high[i][v], cross[i][v], low[i][v])); }
};

// smmla multiplies eight bytes of two rows with those of two columns. An odd last row is multiplied twice.
template <int rows>
struct Pairs {
  static constexpr int row_pairs = (rows + 1) / 2, column_pairs = panel_width<Neon<Bytes::matrix>> / 2;
  static const std::uint32_t* second(const std::uint32_t* x, std::ptrdiff_t x_stride, int pair) {
    return x + (2 * pair + 1 < rows ? 2 * pair + 1 : 2 * pair) * x_stride;
  }
  // Row i, from the blocks of two rows by two columns of its four columns.
  static int32x4_t row(int i, int32x4_t left, int32x4_t right) {
    const int64x2_t a = vreinterpretq_s64_s32(left), b = vreinterpretq_s64_s32(right);
    return vreinterpretq_s32_s64(i % 2 ? vzip2q_s64(a, b) : vzip1q_s64(a, b));
  }
};

template <>
constexpr int tile_rows<Neon<Bytes::matrix>, DotInt8<Neon<Bytes::matrix>>> = 6;
template <int rows>
struct Tile<Neon<Bytes::matrix>, DotInt8<Neon<Bytes::matrix>>, rows> : Pairs<rows> {
  using S = Neon<Bytes::matrix>;
  using P = Pairs<rows>;
  int32x4_t sums[P::row_pairs][P::column_pairs] = {};

  [[gnu::always_inline]] void multiply(const std::uint32_t* x, std::ptrdiff_t x_stride, const std::uint32_t* w,
                                       std::ptrdiff_t w_stride, int depth) {
    for (int k = 0; k < depth; k += 2, w += 2 * w_stride) {
      prefetch<2>(w, w_stride);
      int8x16_t pair[P::row_pairs];
#pragma GCC unroll 16
      for (int p = 0; p < P::row_pairs; ++p) {
        pair[p] = vcombine_s8(load_half(x + 2 * p * x_stride + k), load_half(P::second(x, x_stride, p) + k));
      }
#pragma GCC unroll 16
      for (int c = 0; c < P::column_pairs; ++c) {
        const int8x16_t weights = load_bytes(w + 4 * c);
#pragma GCC unroll 16
        for (int p = 0; p < P::row_pairs; ++p) sums[p][c] = vmmlaq_s32(sums[p][c], pair[p], weights);
      }
    }
  }
  float32x4_t value(int i, int v) const { return S::to_float(P::row(i, sums[i / 2][2 * v], sums[i / 2][2 * v + 1])); }
};

// Split integers, with smmla: two words of eight high bytes, then two with their low bytes.
template <>
constexpr int tile_rows<Neon<Bytes::matrix>, DotInt16<Neon<Bytes::matrix>>> = 2;
template <int rows>
struct Tile<Neon<Bytes::matrix>, DotInt16<Neon<Bytes::matrix>>, rows> : Pairs<rows> {
  using S = Neon<Bytes::matrix>;
  using P = Pairs<rows>;
  static_assert(P::row_pairs == 1);
  int32x4_t high[P::column_pairs] = {}, cross[P::column_pairs] = {}, low[P::column_pairs] = {};

  [[gnu::always_inline]] void multiply(const std::uint32_t* x, std::ptrdiff_t x_stride, const std::uint32_t* w,
                                       std::ptrdiff_t w_stride, int depth) {
    const std::uint32_t* next = P::second(x, x_stride, 0);
    for (int k = 0; k < depth; k += 4, w += 4 * w_stride) {
      prefetch<4>(w, w_stride);
      const int64x2_t one = vreinterpretq_s64_s8(load_bytes(x + k)), other = vreinterpretq_s64_s8(load_bytes(next + k));
      const int8x16_t x_high = vreinterpretq_s8_s64(vzip1q_s64(one, other));
      const int8x16_t x_low = vreinterpretq_s8_s64(vzip2q_s64(one, other));
#pragma GCC unroll 16
      for (int c = 0; c < P::column_pairs; ++c) {
        const int8x16_t w_high = load_bytes(w + 4 * c), w_low = load_bytes(w + 2 * w_stride + 4 * c);
        high[c] = vmmlaq_s32(high[c], x_high, w_high);
        cross[c] = vmmlaq_s32(cross[c], x_low, w_high);
        low[c] = vmmlaq_s32(low[c], x_low, w_low);
        cross[c] = vmmlaq_s32(cross[c], x_high, w_low);
      }
    }
  }
  float32x4_t value(int i, int v) const {
    const auto joined = [&](int c) { return join(high[c], cross[c], low[c]); };
    return S::to_float(P::row(i, joined(2 * v), joined(2 * v + 1)));
  }
};

}  // namespace pellucid
