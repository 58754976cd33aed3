// The product y = activation(x Wᵀ + bias) · factor + residual, over weights packed in panels.
//
// A tile of y, a few rows by one panel, stays in registers while k runs. Each step takes one word from every row of x
// and `panel` words of weights (Goto and van de Geijn, "Anatomy of High-Performance Matrix Multiplication", 2008).
// Every element of y sums over k in the same fixed order, whichever rows share its tile. So a text has the same bits in
// any batch.
#pragma once

#include <type_traits>

#include "elementwise.h"
#include "kernels.h"

namespace pellucid {

// One step of k in each dtype.
template <class S>
struct DotFloat32 {
  using Sum = typename S::F;
  static Sum zero() { return S::zero(); }
  static Sum step(Sum sum, typename S::W x, typename S::W w) { return S::dot(sum, x, w); }
  static typename S::F value(Sum sum) { return sum; }
};
template <class S>
struct DotInt16 {
  using Sum = typename S::W;
  static Sum zero() { return S::zero_words(); }
  static Sum step(Sum sum, typename S::W x, typename S::W w) { return S::dot_int16(sum, x, w); }
  static typename S::F value(Sum sum) { return S::to_float(sum); }
};
template <class S>
struct DotInt8 : DotInt16<S> {
  using Sum = typename S::W;
  static Sum step(Sum sum, typename S::W x, typename S::W w) { return S::dot_int8(sum, x, w); }
};
template <class S>
struct DotBfloat16 : DotFloat32<S> {
  using Sum = typename S::F;
  static Sum step(Sum sum, typename S::W x, typename S::W w) { return S::dot_bfloat16(sum, x, w); }
};

// The number of columns in a panel.
template <class S>
constexpr int panel_width = S::tile_vectors * S::lanes;

// How far ahead to prefetch weights, in words (16 KiB). For one short text, nearly all the time goes into reading
// weights from memory, and the processors' own prefetchers stop at each page of 4 KiB.
constexpr int prefetch_distance = 4096;

// A set whose instructions take more than one word of a row has tiles of its own, such as those in simd/neon_tiles.h: a
// Tile has multiply(x, x_stride, w, w_stride, depth), and then value(row, vector) of its sums.
template <class S, class Dot>
constexpr bool has_own_tile = false;
template <class S, class Dot>
constexpr int tile_rows = S::tile_rows;
template <class S, class Dot, int rows>
struct Tile;

// Computes the sums of one tile over `depth` words, and calls finish(row, vector, value) with each vector of them.
template <class S, class Dot, int rows, class Finish>
[[gnu::always_inline]] inline void multiply_tile(const std::uint32_t* x, std::ptrdiff_t x_stride,
                                                 const std::uint32_t* w, std::ptrdiff_t w_stride, int depth,
                                                 Finish finish) {
  constexpr int vectors = S::tile_vectors;
  if constexpr (has_own_tile<S, Dot>) {
    Tile<S, Dot, rows> tile;
    tile.multiply(x, x_stride, w, w_stride, depth);
    for (int i = 0; i < rows; ++i) {
      for (int v = 0; v < vectors; ++v) finish(i, v, tile.value(i, v));
    }
  } else {
    typename Dot::Sum sums[rows][vectors];
#pragma GCC unroll 16
    for (int i = 0; i < rows; ++i) {
#pragma GCC unroll 16
      for (int v = 0; v < vectors; ++v) sums[i][v] = Dot::zero();
    }
    for (int k = 0; k < depth; ++k, w += w_stride) {
      for (int j = 0; j < panel_width<S>; j += 16) __builtin_prefetch(w + prefetch_distance + j);
      typename S::W weights[vectors];
#pragma GCC unroll 16
      for (int v = 0; v < vectors; ++v) weights[v] = S::load_words(w + v * S::lanes);
#pragma GCC unroll 16
      for (int i = 0; i < rows; ++i) {
        const auto word = S::broadcast(x + i * x_stride + k);
#pragma GCC unroll 16
        for (int v = 0; v < vectors; ++v) sums[i][v] = Dot::step(sums[i][v], word, weights[v]);
      }
    }
#pragma GCC unroll 16
    for (int i = 0; i < rows; ++i) {
#pragma GCC unroll 16
      for (int v = 0; v < vectors; ++v) finish(i, v, Dot::value(sums[i][v]));
    }
  }
}

// Calls use(first row, number of rows as a compile-time constant) for each tile. Tiles have nearly equal heights,
// because a tile of few rows would spend its time waiting for its own sums. `use` must take the number from the
// constant's type, and must not call the constant's functions: all instruction sets would share them.
template <class S, int rows, class Use>
void call_with_rows(int height, int first, Use use) {
  if constexpr (rows > 0) {
    if (height == rows) return use(first, std::integral_constant<int, rows>());
    call_with_rows<S, rows - 1>(height, first, use);
  }
}
template <class S, class Dot, class Use>
void each_tile(int rows, Use use) {
  constexpr int most = tile_rows<S, Dot>;
  const int tiles = (rows + most - 1) / most;
  for (int t = 0; t < tiles; ++t) {
    const int first = static_cast<int>(std::int64_t{rows} * t / tiles);
    const int last = static_cast<int>(std::int64_t{rows} * (t + 1) / tiles);
    call_with_rows<S, most>(last - first, first, use);
  }
}

// The groups of a block. Their weights, in one panel, stay in the first-level cache while all rows use them. No group is
// longer.
constexpr int words_per_block = 192;

// Where the scales and offsets of a group are: those of the first row of a tile, and, for int8, the sums of the panel's
// weights. Some dtypes have none of them. Those pointers are null, and nothing may be added to null.
template <class S, Dtype dtype>
struct GroupScales {
  GroupScales(const Product& p, int first_row, int panel, int group) : groups(p.weights.depth.groups) {
    const std::ptrdiff_t first = static_cast<std::ptrdiff_t>(first_row) * groups + group;
    if constexpr (is_integer<dtype>) scale = p.x.scale + first;
    if constexpr (dtype == Dtype::int8) {
      offset = p.x.offset + first;
      sums = p.weights.sums + (static_cast<std::ptrdiff_t>(group) * p.weights.panels + panel) * panel_width<S>;
    }
  }

  int groups;
  const float *scale = nullptr, *offset = nullptr, *sums = nullptr;
};

// Scales the sums of row i of a tile, in one vector of columns from `column` on, and adds them to those of the groups
// before.
template <class S, Dtype dtype>
[[gnu::always_inline]] inline typename S::F add_group(const GroupScales<S, dtype>& group, int i, int column,
                                                      typename S::F value, typename S::F before) {
  if constexpr (dtype == Dtype::int8) {
    before = S::fma(S::set(group.offset[i * group.groups]), S::load(group.sums + column), before);
  }
  if constexpr (is_integer<dtype>) {
    return S::fma(S::set(group.scale[i * group.groups]), value, before);
  } else {
    return S::add(before, value);
  }
}

// Where a group begins: in the rows of x from `first_row` on, and in the weights of a panel.
template <class S>
struct GroupWords {
  GroupWords(const Product& p, int first_row, int panel, int group) {
    const Depth& depth = p.weights.depth;
    const int start = group * depth.group_words;
    x = p.x.words + first_row * p.x.stride + start;
    w = p.weights.words + (static_cast<std::ptrdiff_t>(panel) * depth.words + start) * panel_width<S>;
    count = depth.words - start < depth.group_words ? depth.words - start : depth.group_words;
  }

  const std::uint32_t *x, *w;
  int count;
};

// Computes the sums of one tile over one group, and adds them to those of the groups before, which are in `total`.
template <class S, class Dot, Dtype dtype, int rows>
[[gnu::always_inline]] inline void multiply_group(const Product& p, int first_row, int panel, int group, float* total) {
  if constexpr (dtype == Dtype::int4) {
    Dot::template multiply_group<rows>(p, first_row, panel, group, total);
  } else {
    constexpr int width = panel_width<S>;
    const GroupWords<S> words(p, first_row, panel, group);
    const GroupScales<S, dtype> scales(p, first_row, panel, group);
    multiply_tile<S, Dot, rows>(words.x, p.x.stride, words.w, width, words.count, [&](int i, int v, typename S::F value) {
      float* to = total + i * width + v * S::lanes;
      const auto before = group == 0 ? S::zero() : S::load(to);
      S::store(to, add_group<S, dtype>(scales, i, v * S::lanes, value, before));
    });
  }
}

// Writes a tile of y, from its sums: applies the weights' scale, the bias, the activation, the factor and the residual.
template <class S, Dtype dtype>
void finish_tile(const Product& p, int first_row, int rows, int panel, const float* total) {
  constexpr int width = panel_width<S>;
  const float* bias = p.weights.bias + panel * width;
  const float* scale = p.weights.scale + panel * width;
  with_activation<S, dtype>(p.activation, [&](auto activation) {
    for (int i = 0; i < rows; ++i) {
      const std::ptrdiff_t at = (first_row + i) * p.stride + panel * width;
      for (int v = 0; v < width; v += S::lanes) {
        auto y = S::load(total + i * width + v);
        if constexpr (is_integer<dtype>) {
          y = S::fma(y, S::load(scale + v), S::load(bias + v));
        } else {
          y = S::add(y, S::load(bias + v));
        }
        y = activation(y);
        if (p.factor) y = S::mul(y, S::load(p.factor + at + v));
        if (p.residual) y = S::add(y, S::load(p.residual + at + v));
        S::store(p.y + at + v, y);
      }
    }
  });
}

// Copies the columns of a panel.
template <class S>
void copy_rows(const float* from, std::ptrdiff_t from_stride, float* to, std::ptrdiff_t to_stride, int rows) {
  for (int i = 0; i < rows; ++i) {
    std::memcpy(to + i * to_stride, from + i * from_stride, panel_width<S> * sizeof(float));
  }
}

// Computes the columns of the panels first_panel … last_panel - 1, one block of groups after the other. y has the sums
// of the blocks before.
template <class S, class Dot, Dtype dtype>
void multiply(const Product& p, int first_panel, int last_panel) {
  constexpr int width = panel_width<S>;
  const int groups = p.weights.depth.groups, in_block = words_per_block / p.weights.depth.group_words;
  for (int panel = first_panel; panel < last_panel; ++panel) {
    for (int first = 0, last; first < groups; first = last) {
      last = groups - first < in_block ? groups : first + in_block;
      each_tile<S, Dot>(p.rows, [&](int first_row, auto constant) {
        constexpr int rows = decltype(constant)::value;
        alignas(64) float total[rows * width];
        float* y = p.y + first_row * p.stride + panel * width;
        if (first > 0) copy_rows<S>(y, p.stride, total, width, rows);
        for (int group = first; group < last; ++group) {
          multiply_group<S, Dot, dtype, rows>(p, first_row, panel, group, total);
        }
        if (last == groups) {
          finish_tile<S, dtype>(p, first_row, rows, panel, total);
        } else {
          copy_rows<S>(total, width, y, p.stride, rows);
        }
      });
    }
  }
}

}  // namespace pellucid
