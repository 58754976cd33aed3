// NEON, which every 64-bit Arm processor has: 4 lanes, 32 registers. neon_tiles.h has the products.
#pragma once

#include <arm_neon.h>

#include <cstdint>
#include <cstring>

namespace pellucid {

// The instructions for products of bytes: `widening` is what every processor has, `dot` is FEAT_DotProd (Armv8.2, all
// Apple silicon), which adds four products per lane, and `matrix` also has FEAT_I8MM (Armv8.6, Apple M2), which multiplies
// two rows of eight bytes with two columns.
enum class ByteProducts { widening, dot, matrix };

template <ByteProducts how>
struct Neon {
  using F = float32x4_t;
  using W = int32x4_t;

  static constexpr int lanes = 4;
  // 5 rows of 4 registers: 20 accumulators, 5 registers for activations and 4 for weights.
  static constexpr int tile_rows = 5;
  static constexpr int tile_vectors = 4;
  static constexpr bool signed_bytes = true;  // NEON cannot multiply signed bytes with unsigned ones.
  static constexpr bool adds_pairs_in_16_bits = false;

  static F zero() { return vdupq_n_f32(0); }
  static F set(float x) { return vdupq_n_f32(x); }
  static F load(const float* p) { return vld1q_f32(p); }
  static void store(float* p, F x) { vst1q_f32(p, x); }
  static F add(F a, F b) { return vaddq_f32(a, b); }
  static F sub(F a, F b) { return vsubq_f32(a, b); }
  static F mul(F a, F b) { return vmulq_f32(a, b); }
  static F div(F a, F b) { return vdivq_f32(a, b); }
  static F fma(F a, F b, F c) { return vfmaq_f32(c, a, b); }
  static F max(F a, F b) { return vmaxq_f32(a, b); }
  static F min(F a, F b) { return vminq_f32(a, b); }
  static F first(F x, int n, F rest) {
    const std::int32_t index[] = {0, 1, 2, 3};
    return vbslq_f32(vcgtq_s32(vdupq_n_s32(n), vld1q_s32(index)), x, rest);
  }
  static float sum(F x) { return vaddvq_f32(x); }
  static float largest(F x) { return vmaxvq_f32(x); }

  static W zero_words() { return vdupq_n_s32(0); }
  static W load_words(const std::uint32_t* p) { return vreinterpretq_s32_u8(vld1q_u8(reinterpret_cast<const std::uint8_t*>(p))); }
  static W broadcast(const std::uint32_t* p) {
    std::int32_t word;
    std::memcpy(&word, p, sizeof word);
    return vdupq_n_s32(word);
  }
  static F as_float(W x) { return vreinterpretq_f32_s32(x); }
  static F to_float(W x) { return vcvtq_f32_s32(x); }
  static W round(F x) { return vcvtnq_s32_f32(x); }
  static F scale(F x, W n) { return vreinterpretq_f32_s32(vaddq_s32(vreinterpretq_s32_f32(x), vshlq_n_s32(n, 23))); }
  static void store_int16(void* p, W x) { vst1_s16(static_cast<std::int16_t*>(p), vqmovn_s32(x)); }
  static void store_int8(void* p, W x) {
    const int16x4_t half = vmovn_s32(x);
    const std::uint32_t bytes = vget_lane_u32(vreinterpret_u32_s8(vmovn_s16(vcombine_s16(half, half))), 0);
    std::memcpy(p, &bytes, sizeof bytes);
  }
  // Rounds to bfloat16: to nearest; of two that are equally near, to the even one. NaN stays NaN.
  static void store_bfloat16(void* p, F x) {
    const uint32x4_t bits = vreinterpretq_u32_f32(x), odd = vandq_u32(vshrq_n_u32(bits, 16), vdupq_n_u32(1));
    const uint32x4_t rounded = vaddq_u32(vaddq_u32(bits, vdupq_n_u32(0x7fff)), odd);
    const uint32x4_t y = vbslq_u32(vceqq_f32(x, x), rounded, vorrq_u32(bits, vdupq_n_u32(0x400000)));
    vst1_u16(static_cast<std::uint16_t*>(p), vshrn_n_u32(y, 16));
  }
  // The floats of the first and of the second bfloat16 in each word.
  static F low_bfloat16(W x) { return as_float(vshlq_n_s32(x, 16)); }
  static F high_bfloat16(W x) { return as_float(vandq_s32(x, vdupq_n_s32(~0xffff))); }

  // The lower and the upper 4 bits of each byte.
  static W low_nibbles(W x) { return vandq_s32(x, vdupq_n_s32(0x0f0f0f0f)); }
  static W high_nibbles(W x) { return low_nibbles(vshrq_n_s32(x, 4)); }

  static F dot_bfloat16(F sum, W a, W b) {
    return fma(high_bfloat16(a), high_bfloat16(b), fma(low_bfloat16(a), low_bfloat16(b), sum));
  }
  // Both have signed bytes. Only int4 needs this: int8 has tiles of its own, in neon_tiles.h.
  static W dot_int8(W sum, W a, W b) {
    if constexpr (how == ByteProducts::widening) {
      const int8x16_t x = vreinterpretq_s8_s32(a), y = vreinterpretq_s8_s32(b);
      const int16x8_t low = vmull_s8(vget_low_s8(x), vget_low_s8(y)), high = vmull_high_s8(x, y);
      return vaddq_s32(sum, vpaddq_s32(vpaddlq_s16(low), vpaddlq_s16(high)));
    } else {
      asm("sdot %0.4s, %1.16b, %2.16b" : "+w"(sum) : "w"(a), "w"(b));
      return sum;
    }
  }
  // Stores the high and the low byte of x = 256 · high + low, both signed, `distance` bytes apart.
  static void store_split(std::int8_t* p, int distance, W x) {
    store_int8(p, vshrq_n_s32(vaddq_s32(x, vdupq_n_s32(128)), 8));
    store_int8(p + distance, x);
  }
};

using NeonPlain = Neon<ByteProducts::widening>;
using NeonDot = Neon<ByteProducts::dot>;
using NeonI8mm = Neon<ByteProducts::matrix>;

}  // namespace pellucid
