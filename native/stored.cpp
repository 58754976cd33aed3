#include "stored.h"

#include <algorithm>

namespace pellucid {
namespace {

template <class T>
const float* converted(const T* from, std::size_t count, float* to) {
  std::size_t i = 0;
  for (; i + floats_per_load <= count; i += floats_per_load) {
    const Floats v = load(from + i);
    std::memcpy(to + i, &v, sizeof v);
  }
  T last[floats_per_load] = {};
  std::copy(from + i, from + count, last);
  const Floats v = load(last);
  std::memcpy(to + i, &v, (count - i) * sizeof(float));
  return to;
}

template <class T>
const T* row_of(const void* start, std::size_t index, std::size_t size) {
  return static_cast<const T*>(start) + index * size;
}

}  // namespace

const float* StoredNumbers::row(std::size_t index, std::size_t size, float* room) const {
  switch (type) {
    case Stored::float16: return converted(row_of<Float16>(start, index, size), size, room);
    case Stored::bfloat16: return converted(row_of<Bfloat16>(start, index, size), size, room);
    case Stored::int8: return converted(row_of<std::int8_t>(start, index, size), size, room);
    case Stored::float32: break;
  }
  return row_of<float>(start, index, size);
}

}  // namespace pellucid
