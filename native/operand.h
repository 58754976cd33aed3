// Rows of activations, ready to be multiplied with packed weights.
#pragma once

#include "kernels.h"
#include "memory.h"

namespace pellucid {

inline std::size_t size(int n) { return static_cast<std::size_t>(n); }

// Rows of activations as the kernels read them: the floats themselves, or bfloat16 or integers made from them.
class Operand {
 public:
  Operand(const Kernels& kernels, Dtype dtype, int rows, int features)
      : quantise_(kernels.quantise[int(dtype)]), depth_(kernels, dtype, features) {
    if (!quantise_) return;
    // Quantising writes whole vectors, so it may write up to 16 numbers too many.
    stride_ = static_cast<std::ptrdiff_t>(round_up(size(depth_.words) + 16, 16));
    words_ = Array<std::uint32_t>(round_up(size(rows), rows_per_tile) * size(int(stride_)));
    scale_ = Array<float>(size(rows) * size(depth_.groups));
    offset_ = Array<float>(size(rows) * size(depth_.groups));
  }

  bool is_quantised() const { return quantise_ != nullptr; }

  // Prepares one row of x for rows(). For floats, there is nothing to do.
  void prepare(const float* x, int row) const {
    if (quantise_) quantise_(x, depth_, {words_.data(), stride_, scale_.data(), offset_.data()}, row);
  }

  Rows rows(float* x, std::ptrdiff_t stride) const {
    if (!quantise_) return {reinterpret_cast<std::uint32_t*>(x), stride, nullptr, nullptr};
    return {words_.data(), stride_, scale_.data(), offset_.data()};
  }

 private:
  void (*quantise_)(const float*, const Depth&, const Rows&, int);
  Depth depth_;
  std::ptrdiff_t stride_ = 0;
  Array<std::uint32_t> words_;
  Array<float> scale_, offset_;
};

}  // namespace pellucid
