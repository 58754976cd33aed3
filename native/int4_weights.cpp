#include "int4_weights.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "rounding.h"

namespace pellucid {
namespace {

// Below this, 1 / w could overflow, and the weights of a group are practically zero.
constexpr float smallest_weight = 1e-30f;

// A group is eight vectors of four numbers.
typedef float Floats __attribute__((vector_size(16)));
constexpr int lanes = 4, vectors = int4_group / lanes;

float sum(Floats x) { return (x[0] + x[1]) + (x[2] + x[3]); }

// The integers of a group, with the best of a few scales.
//
// The number farthest from zero becomes about -8: the scale may be negative, so either sign can have that. Dividing it by
// 7.25, 8 or 8.75 and rounding gives three choices of integers. Each has a best scale, that of least squares; and the choice
// with the smallest squared error wins. That error is 8.2 % of normally distributed weights. It would be 8.6 % if the number
// farthest from zero always became -8, and 8.1 % with many choices.
struct Int4Group {
  explicit Int4Group(const float* w) {
    float largest = 0, least = 0, zero = 0;
    for (int k = 0; k < int4_group; ++k) {
      largest = std::max(largest, w[k]);
      least = std::min(least, w[k]);
      zero += w[k] * 0;
    }
    scale = zero;  // or NaN if a weight is not finite
    const float top = largest >= -least ? largest : least;
    if (zero != 0 || std::fabs(top) < smallest_weight) return;

    Floats ratio[vectors], best[vectors];
    std::memcpy(ratio, w, sizeof ratio);
    for (Floats& r : ratio) r *= 1 / top;
    float smallest = std::numeric_limits<float>::infinity();
    for (const float steps : {7.25f, 8.0f, 8.75f}) {
      Floats q[vectors], products = {}, squares = {}, errors = {};
      for (int v = 0; v < vectors; ++v) {
        q[v] = round_to_nearest(ratio[v] * -steps);
        q[v] = q[v] > 7 ? q[v] * 0 + 7 : q[v] < -8 ? q[v] * 0 - 8 : q[v];
        products += ratio[v] * q[v];
        squares += q[v] * q[v];
      }
      const float rounded = from_bfloat16(to_bfloat16(sum(products) / sum(squares) * top)), step = rounded / top;
      for (int v = 0; v < vectors; ++v) errors += (ratio[v] - q[v] * step) * (ratio[v] - q[v] * step);
      const float error = sum(errors);
      if (!(error < smallest)) continue;
      smallest = error;
      scale = rounded;
      std::memcpy(best, q, sizeof q);
    }
    for (int k = 0; k < int4_group; ++k) u[k] = static_cast<std::uint8_t>(static_cast<int>(best[k / lanes][k % lanes]) + 8);
  }

  float scale;
  std::uint8_t u[int4_group] = {};
};

}  // namespace

void round_to_int4(const Depth& depth, const float* weight, Column& column) {
  const auto groups = static_cast<std::size_t>(depth.groups);
  column.words.assign(groups * int4_words, 0);
  column.scales.assign(groups, 0);
  auto* bytes = reinterpret_cast<std::uint8_t*>(column.words.data());
  for (std::size_t g = 0; g < groups; ++g) {
    float w[int4_group] = {};
    const int start = static_cast<int>(g) * int4_group;
    std::copy_n(weight + start, std::min(int4_group, depth.features - start), w);
    const Int4Group group(w);
    column.scales[g] = group.scale;
    for (int k = 0; k < int4_group; k += 8) {
      for (int i = 0; i < 4; ++i) *bytes++ = static_cast<std::uint8_t>(group.u[k + i] | group.u[k + 4 + i] << 4);
    }
  }
}

void write_int4_panel(const Depth& depth, const Column* columns, std::size_t count, std::size_t width,
                      std::uint32_t* out) {
  for (std::size_t g = 0; g < static_cast<std::size_t>(depth.groups); ++g) {
    for (std::size_t k = 0; k < int4_words; ++k) {
      for (std::size_t c = 0; c < width; ++c) *out++ = c < count ? columns[c].words[g * int4_words + k] : 0;
    }
    const auto bits = [&](std::size_t c) -> std::uint32_t { return c < count ? to_bfloat16(columns[c].scales[g]) : 0; };
    for (std::size_t c = 0; c < width / 2; ++c) *out++ = bits(c) | bits(c + width / 2) << 16;
  }
}

}  // namespace pellucid
