// What the instruction sets offer: one table of functions each, and the values that pass between them and the encoder.
//
// Everything here is rows of 32-bit words. A word is one float, two 16-bit integers or four bytes, so that one kernel
// serves all three. Strides count words.
#pragma once

#include <cstddef>
#include <cstdint>

namespace pellucid {

enum class Dtype { float32, int16, int8 };
enum class Activation { identity, gelu, gelu_tanh, relu, silu };

// How the features of a row lie in words. They are cut into groups, each with a scale of its own: finer scales make
// smaller rounding errors, and a group's weights stay in the first-level cache while all rows pass by.
struct Depth {
  Depth(Dtype dtype, int count);

  int features;
  int words;        // of a whole row
  int group_words;  // of each group but perhaps the last
  int groups;
};

// The left side of a product: rows of activations. For integers, x ≈ offset + scale · q in each group of each row.
struct Rows {
  std::uint32_t* words;
  std::ptrdiff_t stride;
  float* scale;   // [rows, groups]; integers only
  float* offset;  // [rows, groups]; int8 only
};

// The right side: the weights of a linear layer, packed in panels of columns. See packed.h, which makes them.
struct Panels {
  Depth depth;
  int panels;
  const std::uint32_t* words;  // [panels, depth.words, panel]
  const float* scale;          // [panels · panel]; integers only
  const float* sums;           // [groups, panels · panel]; int8 only: what an offset of 1 contributes
  const float* bias;           // [panels · panel]
};

// y = activation(x Wᵀ + bias) · factor + residual
struct Product {
  Rows x;
  int rows;
  Panels weights;
  Activation activation;
  const float* factor;    // or null
  const float* residual;  // or null
  float* y;               // neither factor nor residual
  std::ptrdiff_t stride;  // of y, factor and residual; a whole number of panels
};

// softmax(Q Kᵀ · scale + bias) V of one head of one text.
struct Attention {
  const float *query, *key, *value;  // [tokens, head_size], with one stride
  std::ptrdiff_t stride;
  int tokens;
  int head_size;
  float scale;
  int window;         // how many tokens on each side a token looks at
  const float* bias;  // of the distance 0, among those of other distances, and a vector's room after the last; or null
  float* context;     // [tokens, head_size]
  std::ptrdiff_t context_stride;
  float* scratch;  // attention_scratch floats
};

// Rotations by the place in the text: cosines and sines [places, head_size / 2]; null where there are none.
struct Turns {
  const float* cos;
  const float* sin;
};

struct Kernels {
  const char* name;
  int panel;          // columns of a packed panel
  bool signed_bytes;  // activations of int8 are -128 … 127 rather than 0 … 255
  void (*multiply[3])(const Product&, int first_panel, int last_panel);                // by Dtype
  void (*quantise[3])(const float* x, const Depth&, const Rows&, int row);             // by Dtype; null for float32
  void (*layer_norm)(const float* x, const float* weight, const float* bias, float eps, int size, float* y);
  void (*attend)(const Attention&);
  void (*rotate)(float* x, const float* cos, const float* sin, int head_size, int heads);
  std::size_t (*attention_scratch)(int tokens, int head_size);
  double (*multiply_adds)(long rounds);  // runs that many rounds of independent float32 FMAs; returns how many
};

// 8191 · 262176 < 2^31: see packed.h.
constexpr int largest_int16_activation = 8191;

// The instruction sets that this machine has, best first; the last is always "scalar".
struct KernelList {
  const Kernels* const* begin() const { return table; }
  const Kernels* const* end() const { return table + count; }
  const Kernels* table[6];
  int count;
};
KernelList available_kernels();

}  // namespace pellucid
