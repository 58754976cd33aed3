// What several tests of the core share: checks, random numbers, and the kernels to test.
#pragma once

#include <cstdio>
#include <random>
#include <string>
#include <vector>

#include "simd/scalar.h"
#include "table.h"
#include "tests/tile_model.h"
#include "tiles.h"

namespace pellucid {

inline int failures = 0;
inline std::string instruction_set;  // the one under test, for messages

#define CHECK(condition, ...)                                                                  \
  do {                                                                                         \
    if (!(condition)) {                                                                        \
      ++failures;                                                                              \
      std::printf("%s:%d: %s [%s] ", __FILE__, __LINE__, #condition, instruction_set.c_str()); \
      std::printf(__VA_ARGS__);                                                                \
      std::printf("\n");                                                                       \
    }                                                                                          \
  } while (false)

inline std::mt19937 generator(1);

inline std::vector<float> normal(std::size_t n, float spread = 1) {
  std::normal_distribution<float> draw(0, spread);
  std::vector<float> x(n);
  for (float& value : x) value = draw(generator);
  return x;
}

constexpr Dtype dtypes[] = {Dtype::float32, Dtype::int16, Dtype::int8, Dtype::bfloat16, Dtype::int4};
inline const char* name(Dtype dtype) {
  const char* const names[] = {"float32", "int16", "int8", "bfloat16", "int4"};
  return names[int(dtype)];
}

// The kernels of amx.h, but with panels of plain C++, and with the model of a tile.
struct ScalarBlock : Scalar {
  static constexpr int tile_vectors = block_width;
};
inline const Kernels tile_kernels = with_tiles<ScalarBlock, TileModel>(kernels<ScalarBlock>("tile model"));

// Those of this machine, and those with the model of a tile.
inline std::vector<const Kernels*> all_kernels() {
  const KernelList list = available_kernels();
  std::vector<const Kernels*> all(list.begin(), list.end());
  all.push_back(&tile_kernels);
  return all;
}

}  // namespace pellucid
