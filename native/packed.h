// The weights of linear layers as the kernels read them: panels of columns, k after k, floats or scaled integers.
#pragma once

#include <vector>

#include "kernels.h"
#include "memory.h"

namespace pellucid {

// A linear layer as the file has it: weight [out, in], bias [out].
struct Linear {
  const float* weight;
  const float* bias;
  int out;
  int in;
};

// Layers that read the same rows, packed side by side.
//
// Integers are w ≈ scale · q, with a scale for each out feature. Two bounds make every sum exact.
//
// int16: a group's sum is at most largest|a| · Σ|q|, and the scale is such that Σ|q| ≤ (2^31 - 1) / 8191 in each group,
// rounding included. So the int32 accumulator cannot overflow, whatever the activations.
//
// int8: without VNNI, vpmaddubsw adds two neighbouring products in 16 bits, with saturation. Activations are at most
// 255, and the scale is such that neighbours have |q0| + |q1| ≤ 128; 255 · 128 < 2^15. So it never saturates, and
// all instruction sets find the same integers. The int32 sum of a group is far from overflowing.
class Packed {
 public:
  Packed(Dtype dtype, int panel, const std::vector<Linear>& layers);

  Dtype dtype() const { return dtype_; }
  Panels panels() const;
  std::ptrdiff_t stride() const { return static_cast<std::ptrdiff_t>(columns_ + cache_line / sizeof(float)); }

 private:
  Dtype dtype_;
  Depth depth_;
  std::size_t columns_;  // a whole number of panels
  int panel_;
  Array<std::uint32_t> words_;
  Array<float> scale_, sums_, bias_;
};

// One out feature as the packed layout has it, before it is interleaved with its neighbours. For tests, and Packed.
struct Column {
  std::vector<std::uint32_t> words;  // depth.words
  float scale;
  std::vector<float> sums;  // [groups]: Σ q, for int8
};
void quantise_column(Dtype dtype, const Depth& depth, const float* weight, Column& column);

}  // namespace pellucid
