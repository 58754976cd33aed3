// A model of the tiles of simd/amx.h, in plain C++: so any machine can test what works with tiles.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>

#include "kernels.h"

namespace pellucid {

class TileModel {
 public:
  template <int tile>
  void clear() {
    std::memset(tiles_[tile], 0, sizeof tiles_[tile]);
  }
  template <int tile>
  void load(const void* from, std::ptrdiff_t stride) {
    for (int i = 0; i < 16; ++i) std::memcpy(tiles_[tile][i], static_cast<const char*>(from) + i * stride * 4, 64);
  }
  template <int tile>
  void store(void* to, std::ptrdiff_t stride) {
    for (int i = 0; i < 16; ++i) std::memcpy(static_cast<char*>(to) + i * stride * 4, tiles_[tile][i], 64);
  }
  template <Dtype dtype, int sum, int x, int w>
  void add_product() {
    for (int i = 0; i < 16; ++i) {
      for (int j = 0; j < 16; ++j) {
        if constexpr (dtype == Dtype::bfloat16) {
          add_bfloat16(tiles_[sum][i][j], tiles_[x][i], &tiles_[w][0][j]);
        } else {
          static_assert(dtype == Dtype::int8);
          add_int8(tiles_[sum][i][j], tiles_[x][i], &tiles_[w][0][j]);
        }
      }
    }
  }

 private:
  static float as_float(std::uint32_t bits) {
    float x;
    std::memcpy(&x, &bits, sizeof x);
    return flushed(x);
  }
  static float flushed(float x) { return std::fpclassify(x) == FP_SUBNORMAL ? std::copysign(0.0f, x) : x; }

  // Intel's manual, volume 2, TDPBF16PS: the first numbers of all pairs add up in one sum, and the second ones in
  // another. Denormal numbers count as zero, before and after each operation.
  static void add_bfloat16(std::uint32_t& sum, const std::uint32_t* x, const std::uint32_t* column) {
    float first = 0, second = 0;
    for (int k = 0; k < 16; ++k) {
      const std::uint32_t a = x[k], b = column[16 * k];
      first = flushed(std::fma(as_float(a << 16), as_float(b << 16), first));
      second = flushed(std::fma(as_float(a & 0xffff0000), as_float(b & 0xffff0000), second));
    }
    const float total = flushed(as_float(sum) + flushed(first + second));
    std::memcpy(&sum, &total, sizeof sum);
  }

  // TDPBUSD: the bytes of x are unsigned, the others are signed.
  static void add_int8(std::uint32_t& sum, const std::uint32_t* x, const std::uint32_t* column) {
    for (int k = 0; k < 16; ++k) {
      std::uint8_t a[4];
      std::int8_t b[4];
      std::memcpy(a, x + k, sizeof a);
      std::memcpy(b, column + 16 * k, sizeof b);
      for (int i = 0; i < 4; ++i) sum += static_cast<std::uint32_t>(a[i] * b[i]);
    }
  }

  std::uint32_t tiles_[8][16][16];
};

}  // namespace pellucid
