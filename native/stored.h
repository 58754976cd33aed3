// Numbers in the type in which a model's file stores them. They become floats where they are used, a few at a time.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

namespace pellucid {

enum class Stored { float32, float16, bfloat16, int8 };
struct Float16 {
  std::uint16_t bits;
};
struct Bfloat16 {
  std::uint16_t bits;
};

// Four numbers at a time are enough: the time goes into fetching them from memory. So there is no version of this for
// each instruction set.
typedef float Floats __attribute__((vector_size(16)));
constexpr std::size_t floats_per_load = 4;

inline Floats load(const float* x) {
  Floats v;
  std::memcpy(&v, x, sizeof v);
  return v;
}

// A float16 has 5 bits of exponent and 10 of fraction. Moved to their places in a float32, they stand for a number that
// is 2^112 times smaller, because the exponents count from another start. This is exact for subnormal numbers too. There
// is no infinity or NaN in a model's file.
inline Floats load(const Float16* x) {
  typedef std::uint32_t Words __attribute__((vector_size(16)));
  const Words bits{x[0].bits, x[1].bits, x[2].bits, x[3].bits};
  const Words magnitude = (bits & 0x7fff) << 13, sign = (bits & 0x8000) << 16;
  Floats v;
  std::memcpy(&v, &magnitude, sizeof v);
  v *= 0x1p112f;
  Words result;
  std::memcpy(&result, &v, sizeof v);
  result |= sign;
  std::memcpy(&v, &result, sizeof v);
  return v;
}

// A bfloat16 is the upper half of a float.
inline Floats load(const Bfloat16* x) {
  typedef std::uint32_t Words __attribute__((vector_size(16)));
  const Words bits = Words{x[0].bits, x[1].bits, x[2].bits, x[3].bits} << 16;
  Floats v;
  std::memcpy(&v, &bits, sizeof v);
  return v;
}

inline Floats load(const std::int8_t* x) {
  typedef std::int32_t Integers __attribute__((vector_size(16)));
  const Integers v{x[0], x[1], x[2], x[3]};
  return __builtin_convertvector(v, Floats);
}

// An array in a model's file, of any of these types.
struct StoredNumbers {
  StoredNumbers(const float* floats = nullptr) : start(floats), type(Stored::float32) {}
  StoredNumbers(const void* numbers, Stored type_of_numbers) : start(numbers), type(type_of_numbers) {}

  // A row of a matrix whose rows have `size` numbers: where it lies, if it has floats, or converted to floats in `room`.
  const float* row(std::size_t index, std::size_t size, float* room) const;

  const void* start;
  Stored type;
};

}  // namespace pellucid
