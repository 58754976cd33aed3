// The products of gemm.h with tiles: Intel's AMX (Intel's manual, volume 1, "Programming with Intel AMX"). A tile is a
// register of 16 rows of 16 words. One instruction multiplies two tiles and adds the product to a third.
//
// A block of y, two by two tiles, stays in tiles while k runs. Each of its rows is computed from that row of x alone, in
// a fixed order. So a text has the same bits in any batch.
//
// `Tiles` is the class of simd/amx.h, or the model of it in tests/tile_model.h. An object of it lives as long as one
// worker's share of a product.
#pragma once

#include "gemm.h"

namespace pellucid {

constexpr int block_rows = 2 * rows_per_tile, block_width = 2 * words_per_tile;

// A block has tiles 0 and 1, and, if it is tall, 2 and 3 below them. Rows of x go to tiles 4 and 5, weights to 6 and 7.
template <bool tall, class Tiles>
void clear_block(Tiles& tiles) {
  tiles.template clear<0>();
  tiles.template clear<1>();
  if constexpr (tall) {
    tiles.template clear<2>();
    tiles.template clear<3>();
  }
}

template <bool tall, class Tiles>
void load_block(Tiles& tiles, const float* from, std::ptrdiff_t stride) {
  tiles.template load<0>(from, stride);
  tiles.template load<1>(from + words_per_tile, stride);
  if constexpr (tall) {
    tiles.template load<2>(from + rows_per_tile * stride, stride);
    tiles.template load<3>(from + rows_per_tile * stride + words_per_tile, stride);
  }
}

template <bool tall, class Tiles, class Word>
void store_block(Tiles& tiles, Word* to, std::ptrdiff_t stride) {
  tiles.template store<0>(to, stride);
  tiles.template store<1>(to + words_per_tile, stride);
  if constexpr (tall) {
    tiles.template store<2>(to + rows_per_tile * stride, stride);
    tiles.template store<3>(to + rows_per_tile * stride + words_per_tile, stride);
  }
}

// Adds the products of `words` words of each row of x with those of a panel.
template <Dtype dtype, bool tall, class Tiles>
void add_products(Tiles& tiles, const std::uint32_t* x, std::ptrdiff_t x_stride, const std::uint32_t* w, int words) {
  for (int k = 0; k < words; k += words_per_tile, w += words_per_tile * block_width) {
    tiles.template load<6>(w, block_width);
    tiles.template load<7>(w + words_per_tile, block_width);
    tiles.template load<4>(x + k, x_stride);
    tiles.template add_product<dtype, 0, 4, 6>();
    tiles.template add_product<dtype, 1, 4, 7>();
    if constexpr (tall) {
      tiles.template load<5>(x + rows_per_tile * x_stride + k, x_stride);
      tiles.template add_product<dtype, 2, 5, 6>();
      tiles.template add_product<dtype, 3, 5, 7>();
    }
  }
}

// Computes one group of a block of bfloat16, and adds it to the groups before, which are in y. The last group finishes
// the block.
template <class S, bool tall, class Tiles>
void multiply_bfloat16_group(Tiles& tiles, const Product& p, int first_row, int rows, int panel, int group) {
  const GroupWords<S> words(p, first_row, panel, group);
  float* y = p.y + first_row * p.stride + panel * block_width;
  const bool whole = rows % rows_per_tile == 0;  // Otherwise, y has no room for whole tiles.
  alignas(64) float sums[block_rows * block_width];
  if (group == 0) {
    clear_block<tall>(tiles);
  } else if (whole) {
    load_block<tall>(tiles, y, p.stride);
  } else {
    copy_rows<S>(y, p.stride, sums, block_width, rows);
    load_block<tall>(tiles, sums, block_width);
  }
  add_products<Dtype::bfloat16, tall>(tiles, words.x, p.x.stride, words.w, words.count);
  if (group + 1 == p.weights.depth.groups) {
    store_block<tall>(tiles, sums, block_width);
    finish_tile<S, Dtype::bfloat16>(p, first_row, rows, panel, sums);
  } else if (whole) {
    store_block<tall>(tiles, y, p.stride);
  } else {
    store_block<tall>(tiles, sums, block_width);
    copy_rows<S>(sums, block_width, y, p.stride, rows);
  }
}

// Calls use(first row, number of rows, constant) for each block of rows. The constant is true for two tiles of rows.
template <class S, class Use>
void each_block(int rows, Use use) {
  for (int first = 0; first < rows; first += block_rows) {
    const int count = rows - first < block_rows ? rows - first : block_rows;
    if (count > rows_per_tile) {
      use(first, count, std::true_type());
    } else {
      use(first, count, std::false_type());
    }
  }
}

template <class S, class Tiles>
void multiply_bfloat16_in_tiles(const Product& p, int first_panel, int last_panel) {
  static_assert(panel_width<S> == block_width);
  Tiles tiles;
  for (int panel = first_panel; panel < last_panel; ++panel) {
    for (int group = 0; group < p.weights.depth.groups; ++group) {
      each_block<S>(p.rows, [&](int first_row, int rows, auto tall) {
        multiply_bfloat16_group<S, decltype(tall)::value>(tiles, p, first_row, rows, panel, group);
      });
    }
  }
}

// Computes the sums of a block over one group of bytes, and adds them to those of the groups before, which are in
// `total`. The integers are exact, so the bits are those of gemm.h.
template <class S, bool tall, class Tiles>
void multiply_int8_group(Tiles& tiles, const Product& p, int first_row, int rows, int panel, int group, float* total) {
  const GroupWords<S> words(p, first_row, panel, group);
  const int in_tiles = words.count / words_per_tile * words_per_tile, rest = words.count - in_tiles;
  clear_block<tall>(tiles);
  add_products<Dtype::int8, tall>(tiles, words.x, p.x.stride, words.w, in_tiles);
  if (rest) {  // The weights go on with those of the next group, or with spare memory. Zeros leave them out.
    alignas(64) std::uint32_t last[block_rows * words_per_tile] = {};
    for (int i = 0; i < rows; ++i) {
      const std::uint32_t* x = words.x + i * p.x.stride + in_tiles;
      std::memcpy(last + i * words_per_tile, x, static_cast<std::size_t>(rest) * sizeof *x);
    }
    add_products<Dtype::int8, tall>(tiles, last, words_per_tile, words.w + in_tiles * block_width, words_per_tile);
  }
  alignas(64) std::uint32_t sums[block_rows * block_width];
  store_block<tall>(tiles, sums, block_width);
  const GroupScales<S, Dtype::int8> scales(p, first_row, panel, group);
  for (int i = 0; i < rows; ++i) {
    for (int v = 0; v < block_width; v += S::lanes) {
      float* to = total + i * block_width + v;
      const auto value = S::to_float(S::load_words(sums + i * block_width + v));
      const auto before = group == 0 ? S::zero() : S::load(to);
      S::store(to, add_group<S, Dtype::int8>(scales, i, v, value, before));
    }
  }
}

template <class S, class Tiles>
void multiply_int8_in_tiles(const Product& p, int first_panel, int last_panel) {
  Tiles tiles;
  const int groups = p.weights.depth.groups, together = words_per_block / p.weights.depth.group_words;
  for (int panel = first_panel; panel < last_panel; ++panel) {
    for (int first = 0, last; first < groups; first = last) {
      last = groups - first < together ? groups : first + together;
      each_block<S>(p.rows, [&](int first_row, int rows, auto tall) {
        alignas(64) float total[block_rows * block_width];
        float* y = p.y + first_row * p.stride + panel * block_width;
        if (first > 0) copy_rows<S>(y, p.stride, total, block_width, rows);
        for (int group = first; group < last; ++group) {
          multiply_int8_group<S, decltype(tall)::value>(tiles, p, first_row, rows, panel, group, total);
        }
        if (last == groups) {
          finish_tile<S, Dtype::int8>(p, first_row, rows, panel, total);
        } else {
          copy_rows<S>(total, block_width, y, p.stride, rows);
        }
      });
    }
  }
}

// The same table, but with the products of bfloat16 and int8 in tiles.
template <class S, class Tiles>
constexpr Kernels with_tiles(Kernels table) {
  table.multiply[int(Dtype::bfloat16)] = multiply_bfloat16_in_tiles<S, Tiles>;
  table.multiply[int(Dtype::int8)] = multiply_int8_in_tiles<S, Tiles>;
  return table;
}

}  // namespace pellucid
