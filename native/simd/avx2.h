// AVX2 and FMA: 8 lanes, 16 registers. With VNNI (Alder Lake, Zen 5 and later), an integer product takes one
// instruction.
#pragma once

#include <immintrin.h>

#include <cstdint>
#include <cstring>

namespace pellucid {

template <bool vnni>
struct Avx2 {
  using F = __m256;   // 8 floats
  using W = __m256i;  // 8 words of 32 bits: integers, or several smaller integers in each word

  static constexpr int lanes = 8;
  // The tile of a product: 6 rows of 2 registers. That needs 15 of 16 registers: 12 accumulators, 2 for weights and 1
  // for activations.
  static constexpr int tile_rows = 6;
  static constexpr int tile_vectors = 2;
  static constexpr bool signed_bytes = false;
  static constexpr bool adds_pairs_in_16_bits = !vnni;

  static F zero() { return _mm256_setzero_ps(); }
  static F set(float x) { return _mm256_set1_ps(x); }
  static F load(const float* p) { return _mm256_loadu_ps(p); }
  static void store(float* p, F x) { _mm256_storeu_ps(p, x); }
  static F add(F a, F b) { return _mm256_add_ps(a, b); }
  static F sub(F a, F b) { return _mm256_sub_ps(a, b); }
  static F mul(F a, F b) { return _mm256_mul_ps(a, b); }
  static F div(F a, F b) { return _mm256_div_ps(a, b); }
  static F fma(F a, F b, F c) { return _mm256_fmadd_ps(a, b, c); }
  static F max(F a, F b) { return _mm256_max_ps(a, b); }
  static F min(F a, F b) { return _mm256_min_ps(a, b); }
  // The first n lanes of x, and `rest` in the other lanes.
  static F first(F x, int n, F rest) {
    const W index = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    return _mm256_blendv_ps(rest, x, _mm256_castsi256_ps(_mm256_cmpgt_epi32(_mm256_set1_epi32(n), index)));
  }
  static float sum(F x) {
    __m128 y = _mm_add_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps(x, 1));
    y = _mm_add_ps(y, _mm_movehl_ps(y, y));
    return _mm_cvtss_f32(_mm_add_ss(y, _mm_movehdup_ps(y)));
  }
  static float largest(F x) {
    __m128 y = _mm_max_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps(x, 1));
    y = _mm_max_ps(y, _mm_movehl_ps(y, y));
    return _mm_cvtss_f32(_mm_max_ss(y, _mm_movehdup_ps(y)));
  }

  static W zero_words() { return _mm256_setzero_si256(); }
  static W load_words(const std::uint32_t* p) { return _mm256_loadu_si256(reinterpret_cast<const W*>(p)); }
  static W broadcast(const std::uint32_t* p) {
    std::int32_t word;
    std::memcpy(&word, p, sizeof word);
    return _mm256_set1_epi32(word);
  }
  static F as_float(W x) { return _mm256_castsi256_ps(x); }
  static F to_float(W x) { return _mm256_cvtepi32_ps(x); }
  static W round(F x) { return _mm256_cvtps_epi32(x); }
  // x · 2^n, if that is a normal number.
  static F scale(F x, W n) {
    return _mm256_castsi256_ps(_mm256_add_epi32(_mm256_castps_si256(x), _mm256_slli_epi32(n, 23)));
  }
  // The 16-bit integers of each lane of two vectors in one word, those of `low` first.
  static W pair_int16(W low, W high) { return _mm256_blend_epi16(low, _mm256_slli_epi32(high, 16), 0xaa); }
  static void store_int16(void* p, W x) {
    const __m128i y = _mm_packs_epi32(_mm256_castsi256_si128(x), _mm256_extracti128_si256(x, 1));
    _mm_storeu_si128(static_cast<__m128i*>(p), y);
  }
  static void store_int8(void* p, W x) {  // Stores the low byte of each lane.
    const __m128i low = _mm_shuffle_epi8(_mm256_castsi256_si128(x), _mm_set1_epi32(0x0c080400));
    const __m128i high = _mm_shuffle_epi8(_mm256_extracti128_si256(x, 1), _mm_set1_epi32(0x0c080400));
    _mm_storel_epi64(static_cast<__m128i*>(p), _mm_unpacklo_epi32(low, high));
  }
  // Rounds to bfloat16: to nearest; of two that are equally near, to the even one. NaN stays NaN.
  static void store_bfloat16(void* p, F x) {
    const W bits = _mm256_castps_si256(x), odd = _mm256_and_si256(_mm256_srli_epi32(bits, 16), _mm256_set1_epi32(1));
    const W rounded = _mm256_add_epi32(_mm256_add_epi32(bits, _mm256_set1_epi32(0x7fff)), odd);
    const W quiet = _mm256_or_si256(bits, _mm256_set1_epi32(0x400000));
    const F y = _mm256_blendv_ps(as_float(rounded), as_float(quiet), _mm256_cmp_ps(x, x, _CMP_UNORD_Q));
    const W half = _mm256_srli_epi32(_mm256_castps_si256(y), 16);
    const __m128i packed = _mm_packus_epi32(_mm256_castsi256_si128(half), _mm256_extracti128_si256(half, 1));
    _mm_storeu_si128(static_cast<__m128i*>(p), packed);
  }
  // The floats of the first and of the second bfloat16 in each word.
  static F low_bfloat16(W x) { return as_float(_mm256_slli_epi32(x, 16)); }
  static F high_bfloat16(W x) {
    return as_float(_mm256_and_si256(x, _mm256_set1_epi32(~0xffff)));
  }

  // The lower and the upper 4 bits of each byte.
  static W low_nibbles(W x) { return _mm256_and_si256(x, _mm256_set1_epi8(15)); }
  static W high_nibbles(W x) { return low_nibbles(_mm256_srli_epi32(x, 4)); }

  static F dot(F sum, W a, W b) { return _mm256_fmadd_ps(as_float(a), as_float(b), sum); }
  static F dot_bfloat16(F sum, W a, W b) {
    return fma(high_bfloat16(a), high_bfloat16(b), fma(low_bfloat16(a), low_bfloat16(b), sum));
  }
  // In assembly, because GCC 12 keeps the accumulators of these intrinsics in memory, which halves the speed.
  static W dot_int16(W sum, W a, W b) {
    if constexpr (vnni) {
      asm("%{vex%} vpdpwssd %2, %1, %0" : "+x"(sum) : "x"(a), "x"(b));
    } else {
      W products;
      asm("vpmaddwd %3, %2, %1\n\tvpaddd %1, %0, %0" : "+x"(sum), "=&x"(products) : "x"(a), "x"(b));
    }
    return sum;
  }
  // The bytes of a are unsigned, those of b are signed. vpmaddubsw saturates at 2^15. packed.h says why that never
  // happens.
  static W dot_int8(W sum, W a, W b) {
    if constexpr (vnni) {
      asm("%{vex%} vpdpbusd %2, %1, %0" : "+x"(sum) : "x"(a), "x"(b));
    } else {
      W products;
      asm("vpmaddubsw %3, %2, %1\n\tvpmaddwd %4, %1, %1\n\tvpaddd %1, %0, %0"
          : "+x"(sum), "=&x"(products)
          : "x"(a), "x"(b), "xm"(_mm256_set1_epi16(1)));
    }
    return sum;
  }
  // The products of neighbouring bytes, in the 16-bit halves of each word. Those of a are unsigned, those of b signed.
  static W add_byte_pairs(W sum, W a, W b) {
    W products;
    asm("vpmaddubsw %3, %2, %1\n\tvpaddw %1, %0, %0" : "+x"(sum), "=&x"(products) : "x"(a), "x"(b));
    return sum;
  }
  static W add_halves(W x) { return _mm256_madd_epi16(x, _mm256_set1_epi16(1)); }
};

}  // namespace pellucid
