#include "packed.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "int4_weights.h"
#include "rounding.h"

namespace pellucid {
namespace {

// The largest integer 256 · high + low, of two signed bytes.
constexpr float largest_split = 127 * 256 + 127;

float largest_magnitude(const float* w, int size) {
  float largest = 0;
  for (int k = 0; k < size; ++k) largest = std::max(largest, std::fabs(w[k]));
  return largest;
}

template <class Use>
void each_group(const Depth& depth, int per_word, Use use) {
  const int size = depth.group_words * per_word;
  for (int g = 0; g < depth.groups; ++g) use(g, g * size, std::min(size, depth.features - g * size));
}

// The scale that keeps Σ|q| ≤ limit in each group. Rounding adds at most 1/2 to each |q|, so a group of n weights has
// Σ|q| ≤ Σ|w| / scale + n / 2.
float int16_scale(const Depth& depth, const float* weight, float largest) {
  constexpr double limit = 2147483647.0 / largest_int16_activation;
  double scale = double{largest_magnitude(weight, depth.features)} / largest;
  each_group(depth, 2, [&](int, int start, int size) {
    double total = 0;
    for (int k = start; k < start + size; ++k) total += std::fabs(weight[k]);
    scale = std::max(scale, total / (limit - 0.5 * size - 1));
  });
  return static_cast<float>(scale * (1 + 1e-6));
}

// The scale that keeps |q0| + |q1| ≤ 128 for neighbours. Rounding adds at most 1/2 to each, so they have
// |q0| + |q1| ≤ (|w0| + |w1|) / scale + 1.
float int8_scale_of_pairs(const Depth& depth, const float* weight) {
  float largest = 0;
  for (int k = 0; k < depth.features; k += 2) {
    const float next = k + 1 < depth.features ? std::fabs(weight[k + 1]) : 0;
    largest = std::max(largest, std::fabs(weight[k]) + next);
  }
  return largest / 127 * (1 + 1e-6f);
}

float int8_scale(const Depth& depth, const float* weight) {
  return largest_magnitude(weight, depth.features) / 127 * (1 + 1e-6f);
}

// Calls store(k, q) for each weight.
template <class Store>
void round_weights(const Depth& depth, const float* weight, Column& column, Store store) {
  if (column.scale < 1e-30f) column.scale = 0;  // 1 / scale could overflow, and such weights are practically zero.
  const float inverse = column.scale > 0 ? 1 / column.scale : 0;
  for (int k = 0; k < depth.features; ++k) {
    store(static_cast<std::size_t>(k), static_cast<int>(round_to_nearest(weight[k] * inverse)));
  }
}

// Writes the words of a panel's columns, `side` words of each at a time. The columns from `count` on are zeros.
void interleave(const Column* columns, std::size_t count, std::size_t width, std::size_t depth, std::size_t side,
                std::uint32_t* out) {
  constexpr std::size_t block = 16;  // of words: so that few lines of the cache are in use
  for (std::size_t first = 0; first < depth; first += block) {
    const std::size_t last = std::min(first + block, depth);
    for (std::size_t j = 0; j < width; ++j) {
      for (std::size_t k = first; k < last; ++k) {
        out[(k / side * width + j) * side + k % side] = j < count ? columns[j].words[k] : 0;
      }
    }
  }
}

bool has_integers(Dtype dtype) { return dtype == Dtype::int16 || dtype == Dtype::int8; }

}  // namespace

Depth::Depth(const Kernels& kernels, Dtype dtype, int count) : features(count) {
  const bool in_tiles = dtype == Dtype::bfloat16;
  const bool has_bytes = dtype == Dtype::int8 || dtype == Dtype::int4;
  const int per_word = dtype == Dtype::float32 ? 1 : has_bytes ? 4 : 2;
  const int longest_group = in_tiles ? 384 : dtype == Dtype::int4 ? int4_group : 192;
  // What one step of a product takes of a row. A step of split integers has words of high bytes, and as many of low ones.
  const int halves = dtype == Dtype::int16 && kernels.splits_int16 ? 2 : 1;
  const int step = in_tiles                ? words_per_tile
                   : dtype == Dtype::int4 ? int4_group / 4
                   : has_integers(dtype)  ? halves * kernels.column_words
                                          : 1;
  const auto in_steps = [&](int n) { return (n + step - 1) / step * step; };
  words = in_steps((features + per_word - 1) / per_word);
  groups = (features + longest_group - 1) / longest_group;
  group_words = in_steps((words + groups - 1) / groups);
  groups = (words + group_words - 1) / group_words;
}

void quantise_column(const Kernels& kernels, Dtype dtype, const Depth& depth, const float* weight, Column& column) {
  column.words.assign(static_cast<std::size_t>(depth.words), 0);
  column.sums.assign(dtype == Dtype::int8 ? static_cast<std::size_t>(depth.groups) : 0, 0);
  column.scale = 1;
  auto* bytes = reinterpret_cast<std::int8_t*>(column.words.data());
  if (dtype == Dtype::float32) {
    std::memcpy(column.words.data(), weight, static_cast<std::size_t>(depth.features) * sizeof(float));
  } else if (dtype == Dtype::bfloat16) {
    for (int k = 0; k < depth.features; ++k) {
      const std::uint16_t rounded = to_bfloat16(weight[k]);
      std::memcpy(bytes + static_cast<std::size_t>(k) * sizeof rounded, &rounded, sizeof rounded);
    }
  } else if (dtype == Dtype::int16 && kernels.splits_int16) {
    column.scale = int16_scale(depth, weight, largest_split);
    const auto run = 4 * static_cast<std::size_t>(kernels.column_words);
    round_weights(depth, weight, column, [&](std::size_t k, int q) {
      const std::size_t at = k / run * 2 * run + k % run;
      bytes[at] = static_cast<std::int8_t>((q + 128) >> 8);
      bytes[at + run] = static_cast<std::int8_t>(q);
    });
  } else if (dtype == Dtype::int16) {
    column.scale = int16_scale(depth, weight, 32767);
    round_weights(depth, weight, column, [&](std::size_t k, int q) {
      const auto pair_half = static_cast<std::int16_t>(q);
      std::memcpy(bytes + k * sizeof pair_half, &pair_half, sizeof pair_half);
    });
  } else if (dtype == Dtype::int4) {
    round_to_int4(depth, weight, column);
  } else {
    column.scale = kernels.adds_pairs_in_16_bits ? int8_scale_of_pairs(depth, weight) : int8_scale(depth, weight);
    round_weights(depth, weight, column, [&](std::size_t k, int q) { bytes[k] = static_cast<std::int8_t>(q); });
    each_group(depth, 4, [&](int g, int start, int size) {
      int total = 0;
      for (int k = start; k < start + size; ++k) total += bytes[k];
      column.sums[static_cast<std::size_t>(g)] = static_cast<float>(total);
    });
  }
}

Packed::Packed(const Kernels& kernels, Dtype dtype, const std::vector<Linear>& layers)
    : dtype_(dtype), depth_(kernels, dtype, layers.front().in), columns_(0), panel_words_(0), panel_(kernels.panel) {
  for (const Linear& layer : layers) columns_ += static_cast<std::size_t>(layer.out);
  const auto width = static_cast<std::size_t>(panel_), depth = static_cast<std::size_t>(depth_.words);
  const std::size_t side = has_integers(dtype) ? static_cast<std::size_t>(kernels.column_words) : 1;
  columns_ = round_up(columns_, width);
  panel_words_ = width * depth;
  if (dtype == Dtype::int4) panel_words_ = static_cast<std::size_t>(depth_.groups) * (int4_words * width + width / 2);
  // AMX reads whole tiles, so it may read beyond the last words of int8.
  words_ = Array<std::uint32_t>(columns_ / width * panel_words_ + (words_per_tile - 1) * width);
  scale_ = Array<float>(columns_);
  bias_ = Array<float>(columns_);
  if (dtype == Dtype::int8) sums_ = Array<float>(columns_ * static_cast<std::size_t>(depth_.groups));

  // Panel by panel: quantise the columns, then interleave them.
  std::vector<Column> columns(width);
  std::vector<float> floats(static_cast<std::size_t>(depth_.features));  // one row of weights
  std::size_t done = 0;      // columns that are quantised
  std::size_t in_panel = 0;  // of which these are in the current panel
  const auto write_panel = [&] {
    std::uint32_t* out = words_.data() + (done - in_panel) / width * panel_words_;
    if (dtype == Dtype::int4) {
      write_int4_panel(depth_, columns.data(), in_panel, width, out);
    } else {
      interleave(columns.data(), in_panel, width, depth, side, out);
    }
    in_panel = 0;
  };
  for (const Linear& layer : layers) {
    for (int row = 0; row < layer.out; ++row) {
      Column& column = columns[in_panel];
      const float* weight = layer.weight.row(static_cast<std::size_t>(row), floats.size(), floats.data());
      quantise_column(kernels, dtype, depth_, weight, column);
      scale_[done] = column.scale;
      bias_[done] = layer.bias[row];
      for (std::size_t g = 0; g < column.sums.size(); ++g) sums_[g * columns_ + done] = column.sums[g];
      ++done;
      if (++in_panel == width) write_panel();
    }
  }
  if (in_panel) write_panel();
  for (std::size_t j = done; j < columns_; ++j) {  // The columns that fill the last panel.
    scale_[j] = bias_[j] = 0;
    if (dtype != Dtype::int8) continue;
    for (std::size_t g = 0; g < static_cast<std::size_t>(depth_.groups); ++g) sums_[g * columns_ + j] = 0;
  }
}

Panels Packed::panels() const {
  return {depth_,        static_cast<int>(columns_) / panel_, static_cast<std::ptrdiff_t>(panel_words_),
          words_.data(), scale_.data(), sums_.data(), bias_.data()};
}

PackedNorm::PackedNorm(const Norm& norm, int n) : size(n), eps(norm.eps) {
  const auto pack = [&](const float* numbers) {
    const std::size_t padded = static_cast<std::size_t>(n) + slack;
    Array<float> packed(padded);
    std::fill_n(packed.data(), padded, 0.0f);
    std::copy_n(numbers, n, packed.data());
    return packed;
  };
  weight = pack(norm.weight);
  if (norm.bias) bias = pack(norm.bias);
}

void PackedNorm::apply(const Kernels& kernels, const float* x, float* y) const {
  if (bias.data()) {
    kernels.layer_norm(x, weight.data(), bias.data(), eps, size, y);
  } else {
    kernels.rms_norm(x, weight.data(), eps, size, y);
  }
}

}  // namespace pellucid
