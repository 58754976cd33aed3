// Rounding of single numbers, for the packing of weights. (Kernels have their own: see the warning in table.h.)
#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>

namespace pellucid {

// Rounds to the nearest integer, for |x| < 2^22. Adding 1.5 · 2^23 leaves a float no bits for a fraction. T is a float, or a
// vector of them.
template <class T>
T round_to_nearest(T x) {
  return (x + 12582912.0f) - 12582912.0f;
}

// The upper half of a float, rounded to nearest; of two that are equally near, the even one. NaN stays NaN.
inline std::uint16_t to_bfloat16(float x) {
  std::uint32_t bits;
  std::memcpy(&bits, &x, sizeof bits);
  if (std::isnan(x)) return static_cast<std::uint16_t>(bits >> 16 | 0x40);
  return static_cast<std::uint16_t>((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

inline float from_bfloat16(std::uint16_t half) {
  const std::uint32_t bits = std::uint32_t{half} << 16;
  float x;
  std::memcpy(&x, &bits, sizeof x);
  return x;
}

}  // namespace pellucid
