// The instructions of Intel's AMX for eight tiles of 16 rows of 16 words. In assembly, because the intrinsics of GCC take
// no template arguments.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels.h"

namespace pellucid {

class Amx {
 public:
  // Each thread has its own configuration of tiles. Releasing it makes a later switch of threads cheaper.
  Amx() {
    struct Configuration {
      std::uint8_t palette = 1, start_row = 0, reserved[14] = {};
      std::uint16_t bytes_per_row[16] = {64, 64, 64, 64, 64, 64, 64, 64};
      std::uint8_t rows[16] = {16, 16, 16, 16, 16, 16, 16, 16};
    };
    static_assert(sizeof(Configuration) == 64);
    const Configuration configuration;
    asm volatile("ldtilecfg %0" : : "m"(configuration));
  }
  ~Amx() { asm volatile("tilerelease"); }
  Amx(const Amx&) = delete;
  Amx& operator=(const Amx&) = delete;

  template <int tile>
  void clear() {
    asm volatile("tilezero %%tmm%c0" : : "i"(tile));
  }
  // Strides count words.
  template <int tile>
  void load(const void* from, std::ptrdiff_t stride) {
    asm volatile("tileloadd (%0,%1,1), %%tmm%c2" : : "r"(from), "r"(stride * 4), "i"(tile) : "memory");
  }
  template <int tile>
  void store(void* to, std::ptrdiff_t stride) {
    asm volatile("tilestored %%tmm%c2, (%0,%1,1)" : : "r"(to), "r"(stride * 4), "i"(tile) : "memory");
  }
  // Adds to row i, word j of `sum` the product of row i of `x` and column j of `w`.
  template <Dtype dtype, int sum, int x, int w>
  void add_product() {
    if constexpr (dtype == Dtype::bfloat16) {
      asm volatile("tdpbf16ps %%tmm%c2, %%tmm%c1, %%tmm%c0" : : "i"(sum), "i"(x), "i"(w));
    } else {
      static_assert(dtype == Dtype::int8);
      asm volatile("tdpbusd %%tmm%c2, %%tmm%c1, %%tmm%c0" : : "i"(sum), "i"(x), "i"(w));
    }
  }
};

}  // namespace pellucid
