// The kernels: one table of functions for each instruction set, and the values that the encoder passes to them.
//
// All arrays are rows of 32-bit words. A word is one float, two 16-bit numbers or four bytes, so one kernel works for
// all of them. Strides count words.
#pragma once

#include <cstddef>
#include <cstdint>

namespace pellucid {

enum class Dtype { float32, int16, int8, bfloat16, int4 };
constexpr int dtype_count = 5;

// Those with one scale for each output feature. A template, because the files of all instruction sets include this.
template <Dtype dtype>
constexpr bool is_integer = dtype == Dtype::int16 || dtype == Dtype::int8;

struct Kernels;
enum class Activation { identity, gelu, gelu_tanh, relu, silu };

// The layout of a row's features in words. The features are cut into groups, and each group has its own scale. Separate
// scales make the rounding errors smaller, and a group's weights stay in the first-level cache while all rows use them.
// int4 has weights of 4 bits and rows of bytes, in groups of 32 features on both sides (int4.h).
// bfloat16 has no scales. Its groups are twice as long, and its rows end with zeros, so that each group is whole tiles.
struct Depth {
  Depth(const Kernels& kernels, Dtype dtype, int count);

  int features;
  int words;        // in a whole row
  int group_words;  // in each group; the last group may have fewer
  int groups;
};

// The features in a group of int4, and the words that the weights of one column have there.
constexpr int int4_group = 32, int4_words = int4_group / 8;

// The numbers of words and of rows in a tile of Intel's AMX.
constexpr int words_per_tile = 16, rows_per_tile = 16;

// The left side of a product: rows of activations. Integers q stand for x ≈ offset + scale · q, with a scale and an
// offset for each group of each row. For bfloat16 and int8, there is memory for a whole number of tiles of rows.
struct Rows {
  std::uint32_t* words;
  std::ptrdiff_t stride;
  float* scale;   // [rows, groups]; only for integers
  float* offset;  // [rows, groups]; only for int8; for int4, what int4.h says
};

// The right side of a product: the weights of a linear layer, packed in panels of columns. packed.h makes them.
struct Panels {
  Depth depth;
  int panels;
  std::ptrdiff_t panel_words;  // of each panel: depth.words · panel, except for int4
  const std::uint32_t* words;  // [panels, panel_words]
  const float* scale;          // [panels · panel]; only for int16 and int8
  const float* sums;           // [groups, panels · panel]: what an offset of 1 adds to the product; for int8, else null
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
  float* y;               // must not be factor or residual
  std::ptrdiff_t stride;  // of y, factor and residual; has room for whole panels
};

// The relative positions of DeBERTa for one head: places. Each has a key, which is multiplied with the queries of tokens,
// and a query, which is multiplied with their keys. Both products are added to the score of two tokens.
struct Places {
  const float* keys;                // packed like the keys of tokens, [panels, head_size, panel]; or null
  const float* queries;             // packed in the same way; or null
  const std::int32_t* by_distance;  // points to the place of distance 0, amid those of all distances, query - key
  int count;
};

// The attention of one query head in one text: softmax(Q Kᵀ · scale + bias) V. Several query heads may share one head of keys
// and values, which are packed once.
struct Attention {
  const float *query, *key, *value;  // [tokens, head_size], all with the same stride
  std::ptrdiff_t stride;
  int tokens;         // those that are looked at, the first ones of the text
  int first, last;    // the queries that are needed: first … last - 1. Without places, they may go beyond `tokens`.
  int head_size;
  float scale;
  int before, after;  // how many tokens before itself and after itself a query looks at
  const float* bias;  // points to the bias of distance 0, amid those of all distances, key - query; or null. One whole
                      // vector may be read beyond the last.
  Places places;      // its pointers are null in other families
  float* context;     // [tokens, head_size]
  std::ptrdiff_t context_stride;
  bool packs_values;  // true if values of float32 are packed too, and not only keys; those of integers always are
  float* packed;      // what pack_keys() writes
  float* scratch;     // of the worker
};

// How many floats attention needs.
struct AttentionMemory {
  std::size_t packed;   // for each head of keys and values
  std::size_t scratch;  // for each worker
};

// First pack_keys() is called for a head of keys and values, then attend() for each query head that shares it.
struct AttentionKernels {
  AttentionMemory (*memory)(int tokens, int head_size, int places);
  void (*pack_keys)(const Attention&);
  void (*attend)(const Attention&);
};

// The rotations of rotary position embeddings: cosines and sines, [positions, head_size / 2].
struct Turns {
  const float* cos;
  const float* sin;
};

struct Kernels {
  const char* name;
  int panel;          // columns of a packed panel
  bool signed_bytes;  // int8 activations are -128 … 127, not 0 … 255
  bool adds_pairs_in_16_bits;  // of int8 products; that bounds the weights, see packed.h
  bool splits_int16;  // an int16 is two bytes, in words of high bytes and words of low ones; see packed.h
  int column_words;   // words of integers of one column that stand side by side in a packed panel
  void (*multiply[dtype_count])(const Product&, int first_panel, int last_panel);     // by Dtype
  void (*quantise[dtype_count])(const float* x, const Depth&, const Rows&, int row);  // by Dtype; null for float32
  void (*layer_norm)(const float* x, const float* weight, const float* bias, float eps, int size, float* y);
  void (*rms_norm)(const float* x, const float* weight, float eps, int size, float* y);
  AttentionKernels attention, rounded_attention;  // of float32, and of the other dtypes
  void (*largest)(const float* x, std::ptrdiff_t stride, int rows, int columns, float* best);  // whole vectors
  void (*rotate)(float* x, const float* cos, const float* sin, int head_size, int heads);
  double (*multiply_adds)(long rounds);  // runs this many rounds of float32 FMAs; returns the number of FMAs
};

// All dtypes but float32 multiply integers of 16 bits in the attention of texts with at least this many tokens. In shorter
// ones, rounding the numbers would take longer than it saves.
constexpr int shortest_int16_attention = 64;

// packed.h says why: 8191 · 262176 < 2^31.
constexpr int largest_int16_activation = 8191;

// The tables of the instruction sets that this machine supports, best first. The last is always "scalar".
struct KernelList {
  const Kernels* const* begin() const { return table; }
  const Kernels* const* end() const { return table + count; }
  const Kernels* table[8];
  int count;
};
KernelList available_kernels();

}  // namespace pellucid
