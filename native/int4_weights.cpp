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

// The integers of a group of normal numbers, rounded with a scale that is sought among a few.
//
// The number farthest from zero becomes about -8: the scale may be negative, so either sign can have that. Dividing it by
// 7, 7.5, … 9 and rounding gives five choices of integers. Each has a best scale, that of least squares; and the choice with
// the smallest squared error wins. With the first scale alone, the error of normal numbers is 6 % larger.
struct Int4Group {
  explicit Int4Group(const float* w) {
    const float top = *std::max_element(w, w + int4_group, [](float a, float b) { return std::fabs(a) < std::fabs(b); });
    float sum = 0;
    for (int k = 0; k < int4_group; ++k) sum += w[k] * 0;
    if (std::isnan(sum)) scale = std::numeric_limits<float>::quiet_NaN();
    if (std::isnan(sum) || std::fabs(top) < smallest_weight) return;

    float ratio[int4_group], least = std::numeric_limits<float>::infinity();
    for (int k = 0; k < int4_group; ++k) ratio[k] = w[k] / top;
    for (const float steps : {8.0f, 7.0f, 7.5f, 8.5f, 9.0f}) {
      float q[int4_group], products = 0, squares = 0, error = 0;
      for (int k = 0; k < int4_group; ++k) {
        q[k] = std::min(7.0f, std::max(-8.0f, round_to_nearest(-ratio[k] * steps)));
        products += ratio[k] * q[k];
        squares += q[k] * q[k];
      }
      const float rounded = from_bfloat16(to_bfloat16(products / squares * top)), step = rounded / top;
      for (int k = 0; k < int4_group; ++k) error += (ratio[k] - step * q[k]) * (ratio[k] - step * q[k]);
      if (!(error < least)) continue;
      least = error;
      scale = rounded;
      for (int k = 0; k < int4_group; ++k) u[k] = static_cast<std::uint8_t>(static_cast<int>(q[k]) + 8);
    }
  }

  float scale = 0;
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
