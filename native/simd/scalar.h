// No vector instructions. This runs everywhere, and shows what each operation of the other headers does.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>

namespace pellucid {

struct Scalar {
  using F = float;
  using W = std::int32_t;

  static constexpr int lanes = 1;
  static constexpr int tile_rows = 4;
  static constexpr int tile_vectors = 16;  // Wide, so the compiler can vectorise it.
  static constexpr bool signed_bytes = false;
  static constexpr bool adds_pairs_in_16_bits = false;

  static F zero() { return 0; }
  static F set(float x) { return x; }
  static F load(const float* p) { return *p; }
  static void store(float* p, F x) { *p = x; }
  static F add(F a, F b) { return a + b; }
  static F sub(F a, F b) { return a - b; }
  static F mul(F a, F b) { return a * b; }
  static F div(F a, F b) { return a / b; }
  static F fma(F a, F b, F c) { return a * b + c; }
  static F max(F a, F b) { return a > b ? a : b; }
  static F min(F a, F b) { return a < b ? a : b; }
  static F first(F x, int n, F rest) { return n > 0 ? x : rest; }
  static float sum(F x) { return x; }
  static float largest(F x) { return x; }

  static W zero_words() { return 0; }
  static W load_words(const std::uint32_t* p) { return broadcast(p); }
  static W broadcast(const std::uint32_t* p) {
    W word;
    std::memcpy(&word, p, sizeof word);
    return word;
  }
  static F as_float(W x) {
    F y;
    std::memcpy(&y, &x, sizeof y);
    return y;
  }
  static F to_float(W x) { return static_cast<F>(x); }
  static W round(F x) { return static_cast<W>(std::nearbyint(x)); }
  static F scale(F x, W n) {
    std::uint32_t bits;
    std::memcpy(&bits, &x, sizeof bits);
    bits += static_cast<std::uint32_t>(n) << 23;
    std::memcpy(&x, &bits, sizeof x);
    return x;
  }
  // The 16-bit integers of each lane of two vectors in one word, those of `low` first.
  static W pair_int16(W low, W high) {
    const std::int16_t pair[] = {static_cast<std::int16_t>(low), static_cast<std::int16_t>(high)};
    W word;
    std::memcpy(&word, pair, sizeof word);
    return word;
  }
  static void store_int16(void* p, W x) {
    const auto y = static_cast<std::int16_t>(x < -32768 ? -32768 : x > 32767 ? 32767 : x);
    std::memcpy(p, &y, sizeof y);
  }
  static void store_int8(void* p, W x) {
    const auto y = static_cast<std::uint8_t>(x);
    std::memcpy(p, &y, sizeof y);
  }
  // Rounds to bfloat16: to nearest; of two that are equally near, to the even one. NaN stays NaN.
  static void store_bfloat16(void* p, F x) {
    std::uint32_t bits;
    std::memcpy(&bits, &x, sizeof bits);
    const std::uint32_t rounded = x == x ? bits + 0x7fff + (bits >> 16 & 1) : bits | 0x400000;
    const auto y = static_cast<std::uint16_t>(rounded >> 16);
    std::memcpy(p, &y, sizeof y);
  }
  // The floats of the first and of the second bfloat16 in each word.
  static F low_bfloat16(W x) { return as_float(static_cast<W>(static_cast<std::uint32_t>(x) << 16)); }
  static F high_bfloat16(W x) { return as_float(static_cast<W>(static_cast<std::uint32_t>(x) & 0xffff0000)); }

  // The lower and the upper 4 bits of each byte.
  static W low_nibbles(W x) { return x & 0x0f0f0f0f; }
  static W high_nibbles(W x) { return x >> 4 & 0x0f0f0f0f; }

  static F dot(F sum, W a, W b) { return sum + as_float(a) * as_float(b); }
  static F dot_bfloat16(F sum, W a, W b) {
    return fma(high_bfloat16(a), high_bfloat16(b), fma(low_bfloat16(a), low_bfloat16(b), sum));
  }
  static W dot_int16(W sum, W a, W b) {
    std::int16_t x[2], y[2];
    std::memcpy(x, &a, sizeof x);
    std::memcpy(y, &b, sizeof y);
    return sum + x[0] * y[0] + x[1] * y[1];
  }
  static W dot_int8(W sum, W a, W b) {
    std::uint8_t x[4];
    std::int8_t y[4];
    std::memcpy(x, &a, sizeof x);
    std::memcpy(y, &b, sizeof y);
    return sum + x[0] * y[0] + x[1] * y[1] + x[2] * y[2] + x[3] * y[3];
  }
};

}  // namespace pellucid
