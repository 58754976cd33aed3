// Arrays of numbers in aligned, uninitialised memory.
#pragma once

#include <cstddef>
#include <memory>
#include <new>

namespace pellucid {

constexpr std::size_t cache_line = 64;

// Extra room at the end of an array: only whole vectors are read, so reads of the last row may go beyond its end.
constexpr std::size_t slack = 64;

constexpr std::size_t round_up(std::size_t n, std::size_t to) { return (n + to - 1) / to * to; }

template <class T>
class Array {
 public:
  Array() = default;
  explicit Array(std::size_t size)
      : data_(static_cast<T*>(::operator new(round_up(size * sizeof(T) + 1, cache_line), alignment))) {}
  T* data() const { return data_.get(); }
  T& operator[](std::size_t i) const { return data_.get()[i]; }

 private:
  static constexpr std::align_val_t alignment{cache_line};
  struct Free {
    void operator()(T* p) const { ::operator delete(p, alignment); }
  };
  std::unique_ptr<T, Free> data_;
};

}  // namespace pellucid
