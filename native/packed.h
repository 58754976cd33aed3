// The weights of linear layers as the kernels read them: floats, bfloat16 or scaled integers, in panels of columns.
// Within a panel, the weights of one k follow those of the k before. Sets with column_words = 2 take two words of integers
// at a time: the two of a column are neighbours.
#pragma once

#include <vector>

#include "kernels.h"
#include "memory.h"
#include "stored.h"

namespace pellucid {

// A linear layer as the model's file stores it: weight [out, in] and bias [out].
struct Linear {
  StoredNumbers weight;
  const float* bias;
  int out;
  int in;
};

// A norm, as the model's file stores it.
struct Norm {
  const float* weight;  // [size]
  const float* bias;    // [size]; null in a root mean square norm, which has none
  float eps;
};

// The same, with room for whole vectors.
struct PackedNorm {
  PackedNorm(const Norm& norm, int size);
  // Normalises x to y, which may be the same array.
  void apply(const Kernels& kernels, const float* x, float* y) const;

  int size;
  Array<float> weight, bias;  // There is no bias in a root mean square norm.
  float eps;
};

// Linear layers with the same input, packed side by side.
//
// Integers q stand for w ≈ scale · q, with one scale for each output feature. Two bounds make every sum exact.
//
// int16: the sum of a group is at most max|a| · Σ|q|, where a are the activations. The scale is chosen so that, even
// after rounding, Σ|q| ≤ (2^31 - 1) / 8191 in each group. So the int32 accumulator cannot overflow, whatever the
// activations.
//
// int8: weights are at most ±127, and the int32 sum of a group is far from overflowing. But without VNNI, vpmaddubsw adds
// two neighbouring products in 16 bits and saturates. For such kernels, the scale is chosen so that neighbouring weights
// have |q0| + |q1| ≤ 128. Activations are at most 255, and 255 · 128 < 2^15, so nothing ever saturates.
//
// int4: weights have 4 bits, in groups of 32 features with a scale each: int4_weights.h.
//
// Some sets multiply bytes more than four times as fast as 16-bit integers: Arm with FEAT_DotProd. They split an int16 into
// two signed bytes, q = 256 · high + low, and multiply each byte of one side with each of the other. The sums of the four
// kinds of products, times 65536, 256, 256 and 1, add up to the same exact sum. A row then has one word of high bytes, or
// column_words of them, followed by as many of low bytes, and so on. The largest such q is 32639.
class Packed {
 public:
  Packed(const Kernels& kernels, Dtype dtype, const std::vector<Linear>& layers);

  Dtype dtype() const { return dtype_; }
  Panels panels() const;
  std::ptrdiff_t stride() const { return static_cast<std::ptrdiff_t>(columns_ + cache_line / sizeof(float)); }

 private:
  Dtype dtype_;
  Depth depth_;
  std::size_t columns_;  // rounded up to whole panels
  std::size_t panel_words_;
  int panel_;
  Array<std::uint32_t> words_;
  Array<float> scale_, sums_, bias_;
};

// The packed weights of one output feature, before they are interleaved with those of its neighbours. Packed and the
// tests use this.
struct Column {
  std::vector<std::uint32_t> words;  // [depth.words]; for int4 [groups, int4_words]
  float scale;
  std::vector<float> sums;    // [groups]: Σ q of each group, for int8
  std::vector<float> scales;  // [groups], for int4
};
void quantise_column(const Kernels& kernels, Dtype dtype, const Depth& depth, const float* weight, Column& column);

}  // namespace pellucid
