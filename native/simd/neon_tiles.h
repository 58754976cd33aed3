// The products of NEON. Its multiplications can take one word of a register of activations. So a row's words are loaded
// four at a time, and none is copied to all lanes of a register.
//
// On many processors, a multiplication of 16-bit integers (smlal) has half the speed of one of floats, and so has all that
// adds neighbours. One of bytes does four times as much as one of floats (sdot), or eight times (smmla). So where these
// exist, an int16 is two bytes, and its product is four products of bytes (packed.h). Attention multiplies floats: 16-bit
// products would not be faster.
#pragma once

#include "../attention_int16.h"
#include "neon.h"

namespace pellucid {

template <ByteProducts how, class Dot>
constexpr bool has_own_tile<Neon<how>, Dot> = true;
template <ByteProducts how>
constexpr bool has_own_tile<Neon<how>, DotBfloat16<Neon<how>>> = false;
template <ByteProducts how>
constexpr bool attends_in_int16<Neon<how>> = false;
template <ByteProducts how>
constexpr bool splits_int16<Neon<how>> = how != ByteProducts::widening;
template <>
constexpr int column_words<NeonI8mm> = 2;

// The multiplications: sum += weights · x[lane]. In assembly, because GCC 12 copies and spills the accumulators of the
// intrinsics. smlal and smlal2 take the lower and the upper half of the weights, and x must be in registers 0 … 15.
template <int lane>
static inline float32x4_t fmla(float32x4_t sum, int32x4_t weights, int32x4_t x) {
  asm("fmla %0.4s, %1.4s, %2.s[%3]" : "+w"(sum) : "w"(weights), "w"(x), "i"(lane));
  return sum;
}
template <int lane>
static inline int32x4_t sdot(int32x4_t sum, int32x4_t weights, int32x4_t x) {
  asm("sdot %0.4s, %1.16b, %2.4b[%3]" : "+w"(sum) : "w"(weights), "w"(x), "i"(lane));
  return sum;
}
template <int lane>
static inline int32x4_t smlal(int32x4_t sum, int16x8_t weights, int32x4_t x) {
  asm("smlal %0.4s, %1.4h, %2.h[%3]" : "+w"(sum) : "w"(weights), "x"(x), "i"(lane));
  return sum;
}
template <int lane>
static inline int32x4_t smlal2(int32x4_t sum, int16x8_t weights, int32x4_t x) {
  asm("smlal2 %0.4s, %1.8h, %2.h[%3]" : "+w"(sum) : "w"(weights), "x"(x), "i"(lane));
  return sum;
}
// Two rows of eight bytes times two columns of eight bytes.
static inline int32x4_t smmla(int32x4_t sum, int32x4_t weights, int32x4_t x) {
  asm("smmla %0.4s, %1.16b, %2.16b" : "+w"(sum) : "w"(x), "w"(weights));
  return sum;
}

// Prefetches the weights of some words of k. Those of one word, 64 bytes, are a line of the cache.
template <int count>
[[gnu::always_inline]] static inline void prefetch(const std::uint32_t* w, std::ptrdiff_t w_stride) {
#pragma GCC unroll 4
  for (int j = 0; j < count; ++j) __builtin_prefetch(w + j * w_stride + prefetch_distance);
}

// A tile that calls own.add<lane>(row, words of the row, weights) for each word of k and each row.
template <class Own, class S, int rows>
struct TileOfLanes {
  [[gnu::always_inline]] void multiply(const std::uint32_t* x, std::ptrdiff_t x_stride, const std::uint32_t* w,
                                       std::ptrdiff_t w_stride, int depth) {
    int32x4_t words[rows];
    int k = 0;
    for (; k + 4 <= depth; k += 4, w += 4 * w_stride) {
      prefetch<4>(w, w_stride);
#pragma GCC unroll 16
      for (int i = 0; i < rows; ++i) words[i] = S::load_words(x + i * x_stride + k);
      step<0>(words, w);
      step<1>(words, w + w_stride);
      step<2>(words, w + 2 * w_stride);
      step<3>(words, w + 3 * w_stride);
    }
    const int left = depth - k;
    if (left == 0) return;
#pragma GCC unroll 16
    for (int i = 0; i < rows; ++i) {
      std::uint32_t last[4] = {};
      for (int j = 0; j < left; ++j) last[j] = x[i * x_stride + k + j];
      words[i] = S::load_words(last);
    }
    step<0>(words, w);
    if (left > 1) step<1>(words, w + w_stride);
    if (left > 2) step<2>(words, w + 2 * w_stride);
  }

  // All weights are loaded before any is used: processors that work in order would wait for each.
  template <int lane>
  [[gnu::always_inline]] void step(const int32x4_t* words, const std::uint32_t* w) {
    int32x4_t weights[S::tile_vectors];
#pragma GCC unroll 16
    for (int v = 0; v < S::tile_vectors; ++v) weights[v] = S::load_words(w + v * S::lanes);
#pragma GCC unroll 16
    for (int i = 0; i < rows; ++i) static_cast<Own*>(this)->template add<lane>(i, words[i], weights);
  }
};

template <ByteProducts how, int rows>
struct Tile<Neon<how>, DotFloat32<Neon<how>>, rows>
    : TileOfLanes<Tile<Neon<how>, DotFloat32<Neon<how>>, rows>, Neon<how>, rows> {
  using S = Neon<how>;
  float32x4_t sums[rows][S::tile_vectors] = {};

  template <int lane>
  [[gnu::always_inline]] void add(int i, int32x4_t x, const int32x4_t* weights) {
#pragma GCC unroll 16
    for (int v = 0; v < S::tile_vectors; ++v) sums[i][v] = fmla<lane>(sums[i][v], weights[v], x);
  }
  float32x4_t value(int i, int v) const { return sums[i][v]; }
};

// A word is four bytes.
template <int rows>
struct Tile<NeonDot, DotInt8<NeonDot>, rows> : TileOfLanes<Tile<NeonDot, DotInt8<NeonDot>, rows>, NeonDot, rows> {
  using S = NeonDot;
  int32x4_t sums[rows][S::tile_vectors] = {};

  template <int lane>
  [[gnu::always_inline]] void add(int i, int32x4_t x, const int32x4_t* weights) {
#pragma GCC unroll 16
    for (int v = 0; v < S::tile_vectors; ++v) sums[i][v] = sdot<lane>(sums[i][v], weights[v], x);
  }
  float32x4_t value(int i, int v) const { return S::to_float(sums[i][v]); }
};

// The sum of the products of split integers, from those of two high bytes, of a high one and a low one, and of two low ones.
static inline float32x4_t join(int32x4_t high, int32x4_t cross, int32x4_t low) {
  return vcvtq_f32_s32(vaddq_s32(vaddq_s32(vshlq_n_s32(high, 16), vshlq_n_s32(cross, 8)), low));
}

// A word is four high bytes of split integers, and the next one is their low bytes.
template <>
constexpr int tile_rows<NeonDot, DotInt16<NeonDot>> = 2;
template <int rows>
struct Tile<NeonDot, DotInt16<NeonDot>, rows> : TileOfLanes<Tile<NeonDot, DotInt16<NeonDot>, rows>, NeonDot, rows> {
  using S = NeonDot;
  int32x4_t high[rows][S::tile_vectors] = {}, cross[rows][S::tile_vectors] = {}, low[rows][S::tile_vectors] = {};

  template <int lane>
  [[gnu::always_inline]] void add(int i, int32x4_t x, const int32x4_t* weights) {
    auto& same = lane % 2 == 0 ? high : low;
#pragma GCC unroll 16
    for (int v = 0; v < S::tile_vectors; ++v) {
      same[i][v] = sdot<lane>(same[i][v], weights[v], x);
      cross[i][v] = sdot<lane ^ 1>(cross[i][v], weights[v], x);
    }
  }
  float32x4_t value(int i, int v) const { return join(high[i][v], cross[i][v], low[i][v]); }
};

// A word is two 16-bit integers. The weights of two vectors are parted into those of even k and those of odd k.
template <int rows>
struct Tile<NeonPlain, DotInt16<NeonPlain>, rows>
    : TileOfLanes<Tile<NeonPlain, DotInt16<NeonPlain>, rows>, NeonPlain, rows> {
  using S = NeonPlain;
  int32x4_t sums[rows][S::tile_vectors] = {};

  template <int lane>
  [[gnu::always_inline]] void add(int i, int32x4_t x, const int32x4_t* weights) {
#pragma GCC unroll 16
    for (int v = 0; v < S::tile_vectors; v += 2) {
      const int16x8_t one = vreinterpretq_s16_s32(weights[v]), other = vreinterpretq_s16_s32(weights[v + 1]);
      const int16x8_t even = vuzp1q_s16(one, other), odd = vuzp2q_s16(one, other);
      sums[i][v] = smlal<2 * lane>(sums[i][v], even, x);
      sums[i][v + 1] = smlal2<2 * lane>(sums[i][v + 1], even, x);
      sums[i][v] = smlal<2 * lane + 1>(sums[i][v], odd, x);
      sums[i][v + 1] = smlal2<2 * lane + 1>(sums[i][v + 1], odd, x);
    }
  }
  float32x4_t value(int i, int v) const { return S::to_float(sums[i][v]); }
};

// A word is four bytes. Weights are at most ±127 and activations at least -128, so the sum of two products fits into 16
// bits: 2 · 127 · 128 < 2^15.
template <>
constexpr int tile_rows<NeonPlain, DotInt8<NeonPlain>> = 2;
template <int rows>
struct Tile<NeonPlain, DotInt8<NeonPlain>, rows> {
  using S = NeonPlain;
  int32x4_t left[rows][S::tile_vectors] = {}, right[rows][S::tile_vectors] = {};  // two sums for each of two columns

  [[gnu::always_inline]] void multiply(const std::uint32_t* x, std::ptrdiff_t x_stride, const std::uint32_t* w,
                                       std::ptrdiff_t w_stride, int depth) {
    int k = 0;
    for (; k + 2 <= depth; k += 2, w += 2 * w_stride) {
      prefetch<2>(w, w_stride);
      add(x + k, x_stride, w, [&](int i) { return bytes(x + i * x_stride + k + 1); },
          [&](int v) { return load(w + w_stride + v * S::lanes); });
    }
    const auto nothing = [](int) { return vdupq_n_s8(0); };
    if (k < depth) add(x + k, x_stride, w, nothing, nothing);
  }

  // Adds the products of one word, and of the next.
  template <class NextX, class NextWeights>
  [[gnu::always_inline]] void add(const std::uint32_t* x, std::ptrdiff_t x_stride, const std::uint32_t* w, NextX next_x,
                                  NextWeights next_weights) {
#pragma GCC unroll 16
    for (int v = 0; v < S::tile_vectors; ++v) {
      const int8x16_t one = load(w + v * S::lanes), two = next_weights(v);
#pragma GCC unroll 16
      for (int i = 0; i < rows; ++i) {
        const int8x16_t a = bytes(x + i * x_stride), b = next_x(i);
        const int16x8_t low = vmull_s8(vget_low_s8(one), vget_low_s8(a)), high = vmull_high_s8(one, a);
        left[i][v] = vpadalq_s16(left[i][v], vmlal_s8(low, vget_low_s8(two), vget_low_s8(b)));
        right[i][v] = vpadalq_s16(right[i][v], vmlal_high_s8(high, two, b));
      }
    }
  }
  static int8x16_t load(const std::uint32_t* p) { return vreinterpretq_s8_s32(S::load_words(p)); }
  static int8x16_t bytes(const std::uint32_t* p) { return vreinterpretq_s8_s32(S::broadcast(p)); }
  float32x4_t value(int i, int v) const { return S::to_float(vpaddq_s32(left[i][v], right[i][v])); }
};

// Pairs of rows and of columns, for smmla. An odd last row is multiplied twice.
template <int rows>
struct Pairs {
  static constexpr int row_pairs = (rows + 1) / 2, column_pairs = panel_width<NeonI8mm> / 2;

  static constexpr int second(int pair) { return 2 * pair + 1 < rows ? 2 * pair + 1 : 2 * pair; }
  // Four columns of row i, from the blocks of two rows by two columns.
  static float32x4_t row(int i, float32x4_t left, float32x4_t right) {
    const auto a = vreinterpretq_f64_f32(left), b = vreinterpretq_f64_f32(right);
    return vreinterpretq_f32_f64(i % 2 ? vzip2q_f64(a, b) : vzip1q_f64(a, b));
  }
};

// Two words are eight bytes. The weights of two columns fill a vector.
template <>
constexpr int tile_rows<NeonI8mm, DotInt8<NeonI8mm>> = 6;
template <int rows>
struct Tile<NeonI8mm, DotInt8<NeonI8mm>, rows> : Pairs<rows> {
  using S = NeonI8mm;
  using P = Pairs<rows>;
  int32x4_t sums[P::row_pairs][P::column_pairs] = {};

  [[gnu::always_inline]] void multiply(const std::uint32_t* x, std::ptrdiff_t x_stride, const std::uint32_t* w,
                                       std::ptrdiff_t w_stride, int depth) {
    for (int k = 0; k < depth; k += 2, w += 2 * w_stride) {
      prefetch<2>(w, w_stride);
      int32x4_t words[P::row_pairs];
#pragma GCC unroll 16
      for (int p = 0; p < P::row_pairs; ++p) {
        words[p] = vcombine_s32(two(x + 2 * p * x_stride + k), two(x + P::second(p) * x_stride + k));
      }
#pragma GCC unroll 16
      for (int c = 0; c < P::column_pairs; ++c) {
        const int32x4_t weights = S::load_words(w + 4 * c);
#pragma GCC unroll 16
        for (int p = 0; p < P::row_pairs; ++p) sums[p][c] = smmla(sums[p][c], weights, words[p]);
      }
    }
  }
  static int32x2_t two(const std::uint32_t* p) { return vreinterpret_s32_u32(vld1_u32(p)); }
  float32x4_t value(int i, int v) const {
    return P::row(i, S::to_float(sums[i / 2][2 * v]), S::to_float(sums[i / 2][2 * v + 1]));
  }
};

// Two words are eight high bytes of split integers, and the next two are their low bytes.
template <>
constexpr int tile_rows<NeonI8mm, DotInt16<NeonI8mm>> = 2;
template <int rows>
struct Tile<NeonI8mm, DotInt16<NeonI8mm>, rows> : Pairs<rows> {
  using S = NeonI8mm;
  using P = Pairs<rows>;
  int32x4_t high[P::column_pairs] = {}, cross[P::column_pairs] = {}, low[P::column_pairs] = {};

  [[gnu::always_inline]] void multiply(const std::uint32_t* x, std::ptrdiff_t x_stride, const std::uint32_t* w,
                                       std::ptrdiff_t w_stride, int depth) {
    for (int k = 0; k < depth; k += 4, w += 4 * w_stride) {
      prefetch<4>(w, w_stride);
      const int64x2_t one = vreinterpretq_s64_s32(S::load_words(x + k));
      const int64x2_t other = vreinterpretq_s64_s32(S::load_words(x + P::second(0) * x_stride + k));
      const int32x4_t x_high = vreinterpretq_s32_s64(vzip1q_s64(one, other));
      const int32x4_t x_low = vreinterpretq_s32_s64(vzip2q_s64(one, other));
#pragma GCC unroll 16
      for (int c = 0; c < P::column_pairs; ++c) {
        const int32x4_t w_high = S::load_words(w + 4 * c), w_low = S::load_words(w + 2 * w_stride + 4 * c);
        high[c] = smmla(high[c], w_high, x_high);
        cross[c] = smmla(cross[c], w_high, x_low);
        low[c] = smmla(low[c], w_low, x_low);
        cross[c] = smmla(cross[c], w_low, x_high);
      }
    }
  }
  float32x4_t value(int i, int v) const {
    const auto joined = [&](int c) { return join(high[c], cross[c], low[c]); };
    return P::row(i, joined(2 * v), joined(2 * v + 1));
  }
};

}  // namespace pellucid
