// AVX-512 (F, BW, DQ, VL): 16 lanes, 32 registers. With VNNI, an integer product takes one instruction. With BF16, so
// does a product of bfloat16.
#pragma once

#include <immintrin.h>

#include <cstdint>
#include <cstring>

namespace pellucid {

template <bool vnni>
struct Avx512 {
  using F = __m512;   // 16 floats
  using W = __m512i;  // 16 words of 32 bits

  static constexpr int lanes = 16;
  // 12 rows of 2 registers. Of 32 registers, 24 are accumulators, and the others hold operands and constants.
  static constexpr int tile_rows = 12;
  static constexpr int tile_vectors = 2;
  static constexpr bool signed_bytes = false;
  static constexpr bool adds_pairs_in_16_bits = !vnni;

  static F zero() { return _mm512_setzero_ps(); }
  static F set(float x) { return _mm512_set1_ps(x); }
  static F load(const float* p) { return _mm512_loadu_ps(p); }
  static void store(float* p, F x) { _mm512_storeu_ps(p, x); }
  static F add(F a, F b) { return _mm512_add_ps(a, b); }
  static F sub(F a, F b) { return _mm512_sub_ps(a, b); }
  static F mul(F a, F b) { return _mm512_mul_ps(a, b); }
  static F div(F a, F b) { return _mm512_div_ps(a, b); }
  static F fma(F a, F b, F c) { return _mm512_fmadd_ps(a, b, c); }
  static F max(F a, F b) { return _mm512_max_ps(a, b); }
  static F min(F a, F b) { return _mm512_min_ps(a, b); }
  static F first(F x, int n, F rest) {
    return _mm512_mask_mov_ps(rest, n >= lanes ? 0xffff : static_cast<__mmask16>((1u << n) - 1), x);
  }
  static float sum(F x) { return _mm512_reduce_add_ps(x); }
  static float largest(F x) { return _mm512_reduce_max_ps(x); }

  static W zero_words() { return _mm512_setzero_si512(); }
  static W load_words(const std::uint32_t* p) { return _mm512_loadu_si512(p); }
  static W broadcast(const std::uint32_t* p) {
    std::int32_t word;
    std::memcpy(&word, p, sizeof word);
    return _mm512_set1_epi32(word);
  }
  static F as_float(W x) { return _mm512_castsi512_ps(x); }
  static F to_float(W x) { return _mm512_cvtepi32_ps(x); }
  static W round(F x) { return _mm512_cvtps_epi32(x); }
  static F scale(F x, W n) {
    return _mm512_castsi512_ps(_mm512_add_epi32(_mm512_castps_si512(x), _mm512_slli_epi32(n, 23)));
  }
  // The 16-bit integers of each lane of two vectors in one word, those of `low` first.
  static W pair_int16(W low, W high) {
    return _mm512_or_si512(_mm512_and_si512(low, _mm512_set1_epi32(0xffff)), _mm512_slli_epi32(high, 16));
  }
  static void store_int16(void* p, W x) {
    _mm256_storeu_si256(static_cast<__m256i*>(p), _mm512_cvtsepi32_epi16(x));
  }
  static void store_int8(void* p, W x) { _mm_storeu_si128(static_cast<__m128i*>(p), _mm512_cvtepi32_epi8(x)); }
  // Rounds to bfloat16: to nearest; of two that are equally near, to the even one. NaN stays NaN.
  static void store_bfloat16(void* p, F x) {
    const W bits = _mm512_castps_si512(x), odd = _mm512_and_si512(_mm512_srli_epi32(bits, 16), _mm512_set1_epi32(1));
    const W rounded = _mm512_add_epi32(_mm512_add_epi32(bits, _mm512_set1_epi32(0x7fff)), odd);
    const W quiet = _mm512_or_si512(bits, _mm512_set1_epi32(0x400000));
    const W y = _mm512_mask_mov_epi32(rounded, _mm512_cmp_ps_mask(x, x, _CMP_UNORD_Q), quiet);
    _mm256_storeu_si256(static_cast<__m256i*>(p), _mm512_cvtepi32_epi16(_mm512_srli_epi32(y, 16)));
  }
  // The floats of the first and of the second bfloat16 in each word.
  static F low_bfloat16(W x) { return as_float(_mm512_slli_epi32(x, 16)); }
  static F high_bfloat16(W x) {
    return as_float(_mm512_and_si512(x, _mm512_set1_epi32(~0xffff)));
  }

  // The lower and the upper 4 bits of each byte.
  static W low_nibbles(W x) { return _mm512_and_si512(x, _mm512_set1_epi8(15)); }
  static W high_nibbles(W x) { return low_nibbles(_mm512_srli_epi32(x, 4)); }

  static F dot(F sum, W a, W b) { return _mm512_fmadd_ps(as_float(a), as_float(b), sum); }
  static F dot_bfloat16(F sum, W a, W b) {
    return fma(high_bfloat16(a), high_bfloat16(b), fma(low_bfloat16(a), low_bfloat16(b), sum));
  }
  // In assembly, because GCC 12 keeps the accumulators of these intrinsics in memory, which halves the speed.
  static W dot_int16(W sum, W a, W b) {
    if constexpr (vnni) {
      asm("vpdpwssd %2, %1, %0" : "+v"(sum) : "v"(a), "v"(b));
    } else {
      W products;
      asm("vpmaddwd %3, %2, %1\n\tvpaddd %1, %0, %0" : "+v"(sum), "=&v"(products) : "v"(a), "v"(b));
    }
    return sum;
  }
  // The bytes of a are unsigned, those of b are signed. vpmaddubsw saturates at 2^15. packed.h says why that never
  // happens.
  static W dot_int8(W sum, W a, W b) {
    if constexpr (vnni) {
      asm("vpdpbusd %2, %1, %0" : "+v"(sum) : "v"(a), "v"(b));
    } else {
      W products;
      asm("vpmaddubsw %3, %2, %1\n\tvpmaddwd %4, %1, %1\n\tvpaddd %1, %0, %0"
          : "+v"(sum), "=&v"(products)
          : "v"(a), "v"(b), "vm"(_mm512_set1_epi16(1)));
    }
    return sum;
  }
  // The products of neighbouring bytes, in the 16-bit halves of each word. Those of a are unsigned, those of b signed.
  static W add_byte_pairs(W sum, W a, W b) {
    W products;
    asm("vpmaddubsw %3, %2, %1\n\tvpaddw %1, %0, %0" : "+v"(sum), "=&v"(products) : "v"(a), "v"(b));
    return sum;
  }
  static W add_halves(W x) { return _mm512_madd_epi16(x, _mm512_set1_epi16(1)); }
};

// The extension for bfloat16 (AVX512-BF16). It takes denormal numbers for zero. In assembly, so that one file can be
// compiled for machines with it and without.
struct Avx512Bf16 : Avx512<true> {
  static void store_bfloat16(void* p, F x) {
    __m256i rounded;
    asm("vcvtneps2bf16 %1, %0" : "=v"(rounded) : "v"(x));
    _mm256_storeu_si256(static_cast<__m256i*>(p), rounded);
  }
  static F dot_bfloat16(F sum, W a, W b) {
    asm("vdpbf16ps %2, %1, %0" : "+v"(sum) : "v"(a), "v"(b));
    return sum;
  }
};

}  // namespace pellucid
