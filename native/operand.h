// Rows of activations, ready to be multiplied with packed weights.
#pragma once

#include <algorithm>

#include "kernels.h"
#include "memory.h"
#include "team.h"

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
    // AMX reads whole tiles of rows, which may begin at any row.
    words_ = Array<std::uint32_t>((size(rows) + rows_per_tile - 1) * size(int(stride_)));
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

// The most rows of a product that are computed together, so that they stay in the second-level cache while the weights
// pass.
constexpr int rows_per_block = 256;

// How the workers of a team share a product: in blocks of rows by blocks of panels. Each number of y sums over k alone,
// so this changes no bit.
struct Grid {
  Grid(int rows, int panels, int units) {
    // Each block of rows reads all weights. So rows are cut further only if there are not enough panels, and never so
    // that a block has less than about a tile of them.
    constexpr int fewest_rows = 16;
    row_blocks = (rows + rows_per_block - 1) / rows_per_block;
    panel_blocks = std::clamp((units + row_blocks - 1) / row_blocks, 1, panels);
    const int needed = (units + panel_blocks - 1) / panel_blocks;
    row_blocks = std::max(row_blocks, std::min(needed, rows / fewest_rows));
  }
  int row_blocks, panel_blocks;
};

// Computes the block `unit` of a product.
inline void multiply_block(const Kernels& kernels, Dtype dtype, Product p, const Grid& grid, int unit) {
  const auto part = [](int n, int i, int of) { return static_cast<int>(std::int64_t{n} * i / of); };
  const int block = unit / grid.panel_blocks, panels = unit % grid.panel_blocks;
  const std::ptrdiff_t first = part(p.rows, block, grid.row_blocks);
  p.rows = part(p.rows, block + 1, grid.row_blocks) - static_cast<int>(first);
  p.x.words += first * p.x.stride;
  if (p.x.scale) p.x.scale += first * p.weights.depth.groups;
  if (p.x.offset) p.x.offset += first * p.weights.depth.groups;
  if (p.factor) p.factor += first * p.stride;
  if (p.residual) p.residual += first * p.stride;
  p.y += first * p.stride;
  kernels.multiply[int(dtype)](p, part(p.weights.panels, panels, grid.panel_blocks),
                               part(p.weights.panels, panels + 1, grid.panel_blocks));
}

// Computes a product together with the other workers.
inline void multiply(const Kernels& kernels, Dtype dtype, const Product& product, Worker& worker) {
  const double columns = double(product.weights.panels) * kernels.panel;
  const double multiply_adds = product.rows * columns * product.weights.depth.features;
  const Grid grid(product.rows, product.weights.panels, worker.units_of(multiply_adds));
  worker.each(grid.row_blocks * grid.panel_blocks,
              [&](int unit) { multiply_block(kernels, dtype, product, grid, unit); });
}

}  // namespace pellucid
