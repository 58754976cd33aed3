// Tests of the core alone, to run under the sanitizers and, for Arm, under an emulator. They compare every instruction
// set of the machine with plain loops in double, or in 64-bit integers where sums must be exact.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "encoder.h"
#include "maxsim.h"
#include "operand.h"
#include "packed.h"
#include "static.h"
#include "tests/checks.h"
#include "vocabulary.h"

using namespace pellucid;

namespace {

bool has_integers(Dtype dtype) { return dtype == Dtype::int16 || dtype == Dtype::int8; }

// The bfloat16 at feature k of a row of packed words.
double bfloat16(const std::uint32_t* words, int k) {
  const std::uint32_t bits = k % 2 ? words[k / 2] & 0xffff0000 : words[k / 2] << 16;
  float x;
  std::memcpy(&x, &bits, sizeof x);
  return x;
}

// The integer at feature k of a row of words. int8 activations are unsigned, unless the kernels say otherwise.
int integer(const Kernels& kernels, Dtype dtype, const std::uint32_t* words, int k, bool is_signed) {
  const auto* bytes = reinterpret_cast<const char*>(words);
  const auto signed_byte = [&](int at) {
    std::int8_t q;
    std::memcpy(&q, bytes + at, sizeof q);
    return int{q};
  };
  if (dtype == Dtype::int4) return signed_byte(k);
  if (dtype == Dtype::int8) return is_signed ? signed_byte(k) : signed_byte(k) & 255;
  if (kernels.splits_int16) {  // 4 or 8 high bytes, then as many low ones
    const int run = 4 * kernels.column_words, high = 2 * (k - k % run) + k % run;
    return 256 * signed_byte(high) + signed_byte(high + run);
  }
  std::int16_t q;
  std::memcpy(&q, bytes + 2 * k, sizeof q);
  return q;
}

// The number from 0 to 15 at feature k of a column of int4.
int nibble(const Column& column, int k) {
  const auto* bytes = reinterpret_cast<const std::uint8_t*>(column.words.data());
  const int byte = bytes[k / 8 * 4 + k % 4];
  return k % 8 < 4 ? byte & 15 : byte >> 4;
}

// Compares a product of the kernels with the exact one. That is computed in double for float32, and for bfloat16 from the
// numbers that both sides were rounded to; for integers, it is computed in 64 bits, from those.
void check_product(const Kernels& kernels, Dtype dtype, int rows, int features, int columns,
                   const std::vector<float>& x_values, const std::vector<float>& weight) {
  const std::vector<float> bias = normal(size(columns));
  const Packed packed(kernels, dtype, {{weight.data(), bias.data(), columns, features}});
  const Depth depth(kernels, dtype, features);
  const std::ptrdiff_t stride = features + 64, q_stride = depth.words + 32;
  std::vector<float> x(size(rows) * size(int(stride)) + 64, NAN);  // NaN wherever the kernels must not read
  for (int i = 0; i < rows; ++i) std::copy_n(&x_values[size(i) * size(features)], features, &x[size(i) * size(int(stride))]);
  const int padded_rows = (rows + rows_per_tile - 1) / rows_per_tile * rows_per_tile;
  std::vector<std::uint32_t> words(size(padded_rows) * size(int(q_stride)) + 64, 0xffffffff);  // NaN as bfloat16
  std::vector<float> scale(size(rows * depth.groups)), offset(scale);
  Rows left{reinterpret_cast<std::uint32_t*>(x.data()), stride, nullptr, nullptr};
  if (dtype != Dtype::float32) {
    left = {words.data(), q_stride, scale.data(), offset.data()};
    for (int i = 0; i < rows; ++i) kernels.quantise[int(dtype)](&x[size(i) * size(int(stride))], depth, left, i);
  }
  std::vector<float> y(size(rows) * size(int(packed.stride())) + 64), residual = normal(y.size());
  const std::vector<float> factor = normal(y.size());
  const bool gated = rows % 2 == 0;
  const Product product{left, rows, packed.panels(), Activation::identity, gated ? factor.data() : nullptr,
                        residual.data(), y.data(), packed.stride()};
  kernels.multiply[int(dtype)](product, 0, product.weights.panels);

  Column column;
  const int group_size = depth.group_words * (dtype == Dtype::int8 ? 4 : 2);
  for (int n = 0; n < columns; ++n) {
    quantise_column(kernels, dtype, depth, &weight[size(n) * size(features)], column);
    for (int i = 0; i < rows; ++i) {
      double expected = 0, magnitude = 1e-6;
      if (dtype == Dtype::float32) {
        for (int k = 0; k < features; ++k) {
          const double term =
              double(x[size(i) * size(int(stride)) + size(k)]) * weight[size(n) * size(features) + size(k)];
          expected += term, magnitude += std::fabs(term);
        }
      } else if (dtype == Dtype::bfloat16) {
        for (int k = 0; k < 2 * depth.words; ++k) {
          const double term = bfloat16(&words[size(i) * size(int(q_stride))], k) * bfloat16(column.words.data(), k);
          CHECK(k < features || term == 0, "feature %d of %d", k, features);
          expected += term, magnitude += std::fabs(term);
        }
      } else if (dtype == Dtype::int4) {
        for (int g = 0; g < depth.groups; ++g) {
          int sum = 0, q_sum = 0;
          for (int k = g * 32; k < std::min(features, (g + 1) * 32); ++k) {
            const int q = integer(kernels, dtype, &words[size(i) * size(int(q_stride))], k, true);
            sum += nibble(column, k) * q;
            q_sum += 8 * q;
          }
          const double both = double(scale[size(i * depth.groups + g)]) * column.scales[size(g)];
          expected += both * (sum - q_sum);
          magnitude += std::fabs(both) * (std::abs(sum) + std::abs(q_sum));
        }
      } else {
        for (int g = 0; g < depth.groups; ++g) {
          std::int64_t sum = 0, q_sum = 0;
          for (int k = g * group_size; k < std::min(features, (g + 1) * group_size); ++k) {
            const int q = integer(kernels, dtype, column.words.data(), k, true);
            sum += std::int64_t{integer(kernels, dtype, &words[size(i) * size(int(q_stride))], k, kernels.signed_bytes)} * q;
            q_sum += q;
          }
          CHECK(std::llabs(sum) < std::int64_t{1} << 31, "%s: a sum of %lld", name(dtype), static_cast<long long>(sum));
          const std::size_t at = size(i * depth.groups + g);
          const double from_offset = dtype == Dtype::int8 ? double(offset[at]) * double(q_sum) : 0;
          expected += (double(scale[at]) * double(sum) + from_offset) * column.scale;
          magnitude += (std::fabs(double(scale[at]) * double(sum)) + std::fabs(from_offset)) * column.scale;
        }
      }
      const std::size_t at = size(i) * size(int(packed.stride())) + size(n);
      const double times = gated ? double(factor[at]) : 1;
      expected = (expected + double(bias[size(n)])) * times + residual[at];
      magnitude = (magnitude + std::fabs(bias[size(n)])) * std::fabs(times) + std::fabs(residual[at]);
      // The error bound of this many roundings by half a unit (Higham, "Accuracy and Stability", 2002).
      const double roundings = has_integers(dtype) || dtype == Dtype::int4 ? 4 * depth.groups + 5 : features + 5;
      CHECK(std::fabs(y[at] - expected) <= roundings * 0x1p-24 * magnitude, "%s %dx%dx%d at %d, %d: %g, not %g", name(dtype), rows,
            features, columns, i, n, double(y[at]), expected);
    }
  }
}

void products(const Kernels& kernels) {
  for (const Dtype dtype : dtypes) {
    for (const int features : {1, 2, 3, 5, 16, 63, 192, 193, 384, 769}) {
      for (const int rows : {1, 2, 5, 13, 29}) {
        const int columns = 1 + (features * 7 + rows) % 70;
        check_product(kernels, dtype, rows, features, columns, normal(size(rows * features), 3),
                      normal(size(columns * features)));
      }
    }
    // The worst cases for an accumulator: equal numbers, as large as possible, of both signs; and one large number
    // among small ones.
    for (const int features : {192, 768, 1536}) {
      for (const float sign : {1.0f, -1.0f}) {
        std::vector<float> x(size(4 * features), sign * 100), weight(size(3 * features), 1e3f);
        x[0] = -sign;  // Without this, a group of equal numbers would have no range.
        check_product(kernels, dtype, 4, features, 3, x, weight);
        for (std::size_t k = 0; k < weight.size(); k += 2) weight[k] = -1e3f, x[k % x.size()] = -sign * 100;
        check_product(kernels, dtype, 4, features, 3, x, weight);
        std::fill(weight.begin(), weight.end(), 1e-3f);
        weight[7] = sign * 1e3f;
        check_product(kernels, dtype, 4, features, 3, x, weight);
      }
    }
    // Only zeros; and numbers near the limits of float.
    for (const float spread : {0.0f, 1e-40f, 1e-30f, 1e15f}) {
      check_product(kernels, dtype, 3, 20, 5, normal(60, spread), normal(100, spread));
    }
  }
}

// int8 has the same bits in tiles and without.
void bytes_in_tiles() {
  instruction_set = "tile model";
  const Kernels plain = kernels<ScalarBlock>("without tiles");
  for (const int features : {1, 64, 200, 312, 384, 1024}) {
    for (const int rows : {1, 16, 17, 32, 75}) {
      const int columns = 70;
      const std::vector<float> x = normal(size(rows * features) + 64), weight = normal(size(columns * features));
      const std::vector<float> bias = normal(size(columns));
      const Packed packed(plain, Dtype::int8, {{weight.data(), bias.data(), columns, features}});
      const Operand operand(plain, Dtype::int8, rows, features);
      for (int i = 0; i < rows; ++i) operand.prepare(&x[size(i * features)], i);
      std::vector<float> expected(size(rows) * size(int(packed.stride())), NAN), found(expected);
      const auto multiply_into = [&](const Kernels& table, std::vector<float>& y) {
        const Product product{operand.rows(nullptr, 0), rows, packed.panels(), Activation::relu, nullptr, nullptr,
                              y.data(), packed.stride()};
        table.multiply[int(Dtype::int8)](product, 0, product.weights.panels);
      };
      multiply_into(plain, expected);
      multiply_into(tile_kernels, found);
      for (int i = 0; i < rows; ++i) {
        const std::size_t start = size(i) * size(int(packed.stride()));
        CHECK(std::memcmp(&expected[start], &found[start], size(columns) * sizeof(float)) == 0, "%d features, row %d of %d",
              features, i, rows);
      }
    }
  }
}

// Weights and activations are rounded to the nearest bfloat16; of two that are equally near, to the even one.
void bfloat16_numbers(const Kernels& kernels) {
  std::vector<float> x = normal(1000, 10);
  for (int exponent = -126; exponent < 127; ++exponent) {
    for (const int eighths : {0, 1, 3, 4, 5, 7, 8, 12, 15, 20}) {  // 4, 12 and 20 are halfway between two numbers.
      const auto value = static_cast<float>(std::ldexp(128 + eighths / 8.0, exponent - 7));
      x.push_back(value), x.push_back(-value);
    }
  }
  for (const float value : {0.0f, -0.0f, INFINITY, -INFINITY, NAN, 3.4e38f}) x.push_back(value);
  std::uint32_t bits = 0x7f800001;  // a NaN whose upper half alone is infinity
  x.emplace_back(), std::memcpy(&x.back(), &bits, sizeof bits);
  const int features = static_cast<int>(x.size());
  const Depth depth(kernels, Dtype::bfloat16, features);
  Column column;
  quantise_column(kernels, Dtype::bfloat16, depth, x.data(), column);
  const Operand operand(kernels, Dtype::bfloat16, 1, features);
  std::vector<float> padded = x;
  padded.resize(x.size() + 64, NAN);
  operand.prepare(padded.data(), 0);
  const Rows row = operand.rows(nullptr, 0);
  for (int k = 0; k < features; ++k) {
    double expected = x[size(k)];
    if (std::isfinite(expected) && expected != 0) {
      int exponent;
      std::frexp(expected, &exponent);
      expected = std::ldexp(std::nearbyint(std::ldexp(expected, 8 - exponent)), exponent - 8);
      if (std::fabs(expected) >= std::ldexp(1.0, 128)) expected = std::copysign(INFINITY, expected);
    }
    for (const double found : {bfloat16(column.words.data(), k), bfloat16(row.words, k)}) {
      CHECK(std::isnan(expected) ? std::isnan(found) : found == expected && std::signbit(found) == std::signbit(expected),
            "%g becomes %g, not %g", double(x[size(k)]), found, expected);
    }
  }
  for (int k = features; k < 2 * depth.words; ++k) CHECK(bfloat16(row.words, k) == 0, "feature %d of %d", k, features);
}

// int4 is nearer to the weights than their largest number, divided by -8, makes it alone. Rows are rounded to the nearest byte.
void numbers_of_int4(const Kernels& kernels) {
  for (const int features : {1, 31, 32, 33, 100, 384}) {
    for (const float spread : {0.0f, 1e-35f, 1e-20f, 0.02f, 1e10f}) {
      for (const bool has_outlier : {false, true}) {
        std::vector<float> x = normal(size(features), spread);
        if (has_outlier) x[size(features / 2)] *= 50;
        const Depth depth(kernels, Dtype::int4, features);
        CHECK(depth.groups == (features + 31) / 32, "%d groups of %d features", depth.groups, features);
        Column column;
        quantise_column(kernels, Dtype::int4, depth, x.data(), column);
        const Operand operand(kernels, Dtype::int4, 1, features);
        std::vector<float> padded = x;
        padded.resize(x.size() + 64, NAN);
        operand.prepare(padded.data(), 0);
        const Rows row = operand.rows(nullptr, 0);
        for (int g = 0; g < depth.groups; ++g) {
          const int start = 32 * g, end = std::min(features, start + 32);
          double top = 0, error = 0, plain_error = 0, sum = 0;
          for (int k = start; k < end; ++k) {
            if (std::fabs(x[size(k)]) > std::fabs(top)) top = x[size(k)];
          }
          for (int k = start; k < end; ++k) {
            const double v = x[size(k)], byte = integer(kernels, Dtype::int4, row.words, k, true);
            const double plain = top == 0 ? 0 : std::clamp(std::nearbyint(v * -8 / top), -8.0, 7.0) * top / -8;
            error += std::pow(v - double(column.scales[size(g)]) * (nibble(column, k) - 8), 2);
            plain_error += std::pow(v - plain, 2);
            sum += byte;
            CHECK(std::fabs(v - double(row.scale[g]) * byte) <= std::fmax(std::fabs(top) / 253.9, 1e-30), "%d features, at %d", features, k);
          }
          // The scale has 8 significant bits, so it may be wrong by 1/256, and so may the number farthest from zero.
          CHECK(error <= plain_error + (std::pow(top / 255, 2) + 1e-60) * (end - start), "%d features, group %d: %g, not %g", features, g, error, plain_error);
          CHECK(row.offset[g] == -8 * row.scale[g] * static_cast<float>(sum), "%d features, group %d", features, g);
        }
        for (int k = features; k < 32 * depth.groups; ++k) {
          CHECK(integer(kernels, Dtype::int4, row.words, k, true) == 0, "%d features, at %d", features, k);
        }
      }
    }
  }
}

void bounds(const Kernels& kernels) {
  for (const int features : {1, 2, 7, 192, 384, 1537}) {
    for (const float spread : {1e-20f, 0.02f, 1e10f}) {
      for (const bool alike : {false, true}) {
        const std::vector<float> weight = alike ? std::vector<float>(size(features), spread) : normal(size(features), spread);
        Column column;
        const Depth wide(kernels, Dtype::int16, features), narrow(kernels, Dtype::int8, features);
        quantise_column(kernels, Dtype::int16, wide, weight.data(), column);
        for (int g = 0; g < wide.groups; ++g) {
          std::int64_t total = 0;
          for (int k = g * wide.group_words * 2; k < std::min(features, (g + 1) * wide.group_words * 2); ++k) {
            total += std::abs(integer(kernels, Dtype::int16, column.words.data(), k, true));
          }
          CHECK(total * largest_int16_activation < std::int64_t{1} << 31, "%d features", features);
        }
        quantise_column(kernels, Dtype::int8, narrow, weight.data(), column);
        int largest = 0;
        for (int k = 0; k < features; k += 2) {
          const int q = std::abs(integer(kernels, Dtype::int8, column.words.data(), k, true));
          const int next = k + 1 < features ? std::abs(integer(kernels, Dtype::int8, column.words.data(), k + 1, true)) : 0;
          if (kernels.adds_pairs_in_16_bits) CHECK(q + next <= 128, "%d features", features);
          largest = std::max({largest, q, next});
        }
        CHECK(kernels.adds_pairs_in_16_bits ? largest <= 127 : largest == 127, "%d features", features);
      }
    }
  }
}

// Activations, through a product with one feature and a weight of 1.
void activations(const Kernels& kernels) {
  const float one = 1, none = 0;
  std::vector<float> x;
  for (float v = -30; v <= 30; v += 0.0007f) x.push_back(v);
  for (const float v : {0.0f, -0.0f, 1e-30f, -1e-30f, 1e4f, -1e4f, 3e38f, -3e38f}) x.push_back(v);
  const int rows = static_cast<int>(x.size());
  const auto run = [&](Dtype dtype, Activation activation, double absolute, double relative, auto exact) {
    const Packed packed(kernels, dtype, {{&one, &none, 1, 1}});
    std::vector<float> y(x.size() * size(int(packed.stride())) + 64);
    const Operand operand(kernels, dtype, rows, 1);
    std::vector<float> padded(64, NAN);
    for (int i = 0; i < rows; ++i) padded[0] = x[size(i)], operand.prepare(padded.data(), i);
    const Product product{operand.rows(x.data(), 1), rows, packed.panels(), activation, nullptr, nullptr, y.data(), packed.stride()};
    kernels.multiply[int(dtype)](product, 0, product.weights.panels);
    for (int i = 0; i < rows; ++i) {
      const double v = x[size(i)], found = y[size(i) * size(int(packed.stride()))], expected = exact(v);
      if (has_integers(dtype) && std::fabs(v) > 1e30) continue;  // There the sums of integers, as floats, are infinite.
      CHECK(std::fabs(found - expected) <= std::fmax(absolute, relative * std::fabs(v)), "%s, activation %d of %g: %g, not %g",
            name(dtype), int(activation), v, found, expected);
    }
  };
  const auto gelu = [](double v) { return 0.5 * v * std::erfc(-v / std::sqrt(2.0)); };
  run(Dtype::float32, Activation::gelu, 1e-7, 1e-7, gelu);
  run(Dtype::int16, Activation::gelu, 5e-5, 3e-6, gelu);
  run(Dtype::float32, Activation::gelu_tanh, 4e-7, 4e-7, [](double v) {
    return 0.5 * v * (1 + std::tanh(std::sqrt(2 / std::acos(-1.0)) * (v + 0.044715 * v * v * v)));
  });
  run(Dtype::float32, Activation::relu, 0, 0, [](double v) { return v > 0 ? v : 0; });
  run(Dtype::float32, Activation::silu, 4e-7, 4e-7, [](double v) { return v / (1 + std::exp(-v)); });
}

void norms(const Kernels& kernels) {
  for (const int n : {1, 2, 15, 16, 17, 384, 385}) {
    std::vector<float> x = normal(size(n + 64), 5), weight = normal(size(n + 64)), bias = normal(size(n + 64)), y(size(n + 64), 7);
    std::fill(x.begin() + n, x.end(), NAN);
    double squares = 0;
    for (int i = 0; i < n; ++i) squares += double(x[size(i)]) * x[size(i)] / n;
    kernels.rms_norm(x.data(), weight.data(), 1e-5f, n, y.data());
    for (int i = 0; i < n; ++i) {
      const double expected = x[size(i)] / std::sqrt(squares + 1e-5) * weight[size(i)];
      CHECK(std::fabs(y[size(i)] - expected) < 1e-6 * (1 + std::fabs(expected)), "%d features at %d: %g, not %g", n, i, double(y[size(i)]), expected);
    }
    for (float& v : x) v += 100;
    kernels.layer_norm(x.data(), weight.data(), bias.data(), 1e-5f, n, y.data());
    CHECK(std::all_of(y.begin() + n, y.end(), [](float v) { return v == 7; }), "%d features", n);
    double mean = 0, variance = 0;
    for (int i = 0; i < n; ++i) mean += x[size(i)] / double(n);
    for (int i = 0; i < n; ++i) variance += (x[size(i)] - mean) * (x[size(i)] - mean) / n;
    for (int i = 0; i < n; ++i) {
      const double expected = (x[size(i)] - mean) / std::sqrt(variance + 1e-5) * weight[size(i)] + bias[size(i)];
      // The mean of numbers around 100 is off by a few units in the last place. Dividing by the deviation magnifies
      // that.
      const double bound = 16 * 0x1p-24 * 115 / std::sqrt(variance + 1e-5) * std::fabs(weight[size(i)]) + 1e-6;
      CHECK(std::fabs(y[size(i)] - expected) < bound, "%d features at %d: %g, not %g", n, i, double(y[size(i)]), expected);
    }
  }
}

// Vectors [count, size], packed as the core packs the keys of a text: [panels, size, panel].
std::vector<float> in_panels(const std::vector<float>& vectors, int count, int length, int panel) {
  std::vector<float> packed(size((count + panel - 1) / panel * panel * length) + 64, 0.0f);
  for (int i = 0; i < count; ++i) {
    for (int k = 0; k < length; ++k) packed[size((i / panel * length + k) * panel + i % panel)] = vectors[size(i * length + k)];
  }
  return packed;
}

// What the 16-bit attention reads in place of some rows of x: multiples of the rows' largest number / `largest`.
void round_rows(std::vector<float>& x, std::size_t first, std::ptrdiff_t stride, int rows, int columns, float largest) {
  float top = 0;
  const auto each = [&](auto use) {
    for (int i = 0; i < rows; ++i) {
      for (int k = 0; k < columns; ++k) use(x[first + size(i) * size(int(stride)) + size(k)]);
    }
  };
  each([&](float v) { top = std::max(top, std::fabs(v)); });
  const float inverse = largest / top;
  each([&](float& v) { v = std::nearbyint(v * inverse) * (top / largest); });
}

// How far the rounding of exponentials can move a weighted mean of values, if all errors are as large as they can be and
// have the worst signs.
double weight_bound(const std::vector<double>& e, double total, const float* values, std::ptrdiff_t stride) {
  const double largest = *std::max_element(e.begin(), e.end()), sum = total / largest;  // as if the largest were 1
  const double step = std::max(8.0, std::min(sum, 256.0)) / 262000;
  double bound = 0;
  for (std::size_t j = 0; j < e.size(); ++j) {
    if (e[j] > 0) bound += step / 2 / sum * std::fabs(values[j * size(int(stride))]);
  }
  return bound;
}

void attention(const Kernels& kernels, Dtype dtype) {
  constexpr int everything = 1 << 30, places = 38;
  for (const int head_size : {1, 3, 8, 32, 64, 70}) {
    for (const int tokens : {1, 2, 15, 33, 70, 131, 300}) {
      if (tokens > 256 && head_size != 32) continue;
      // How far a query looks before and after itself: as in encoders with and without a window, and in decoders.
      const std::pair<int, int> reaches[] = {{everything, everything}, {0, 0}, {1, 1}, {5, 5}, {16, 16}, {40, 40},
                                             {everything, 0}, {40, 0}, {0, everything}, {3, 50}};
      for (const auto& [before, after] : reaches) {
        const bool biased = (tokens + before + head_size) % 2 == 0;
        const bool by_query = !biased && tokens % 3 != 0, by_key = !biased && tokens % 3 != 1;  // products with places
        const int first = tokens % 2 ? 0 : tokens / 3;
        const int width = 2 * head_size;  // a head, and a neighbour that may be read but must not count
        const std::ptrdiff_t stride = 3 * width + 5, out_stride = head_size + 3;
        std::vector<float> qkv = normal(size(tokens) * size(int(stride)) + 64, 2);
        std::vector<float> out(size(tokens) * size(int(out_stride)), NAN);
        const std::vector<float> bias = normal(size(2 * tokens) + 64, 2);
        const std::vector<float> keys = normal(size(places * head_size)), queries = normal(keys.size());
        const auto packed_keys = in_panels(keys, places, head_size, kernels.panel);
        const auto packed_queries = in_panels(queries, places, head_size, kernels.panel);
        std::vector<std::int32_t> place_of;
        for (int distance = 1 - tokens; distance < tokens; ++distance) {
          place_of.push_back(std::clamp(distance + places / 2, 0, places - 1));
        }
        const Places all{by_query ? packed_keys.data() : nullptr, by_key ? packed_queries.data() : nullptr,
                         by_query || by_key ? place_of.data() + tokens - 1 : nullptr, by_query || by_key ? places : 0};
        const AttentionKernels& own = dtype == Dtype::float32 ? kernels.attention : kernels.rounded_attention;
        const AttentionMemory memory = own.memory(tokens, head_size, all.count);
        std::vector<float> packed(memory.packed, NAN), scratch(memory.scratch, NAN);
        Attention a{qkv.data(), qkv.data() + width, qkv.data() + 2 * width, stride, tokens, first, tokens, head_size, 0.3f,
                    before, after, biased ? bias.data() + tokens - 1 : nullptr, all, out.data(), out_stride,
                    tokens % 2 == 1, packed.data(), scratch.data()};
        own.pack_keys(a);
        for (const int last : {(first + tokens) / 2, tokens}) {  // As if two workers shared the queries.
          a.last = last;
          if (a.first < a.last) own.attend(a);
          a.first = last;
        }
        std::vector<float> exact = qkv;  // With relative positions, these are multiplied with numbers that are not rounded.
        const bool rounds = own.attend != kernels.attention.attend && tokens >= shortest_int16_attention;
        if (rounds) {
          // The largest integers whose products cannot overflow, for each head of the widths above.
          const float largest = head_size <= 32 ? 8191 : head_size == 64 ? 5791 : 5537;
          for (int i = 0; i < tokens; ++i) round_rows(qkv, size(i) * size(int(stride)), stride, 1, head_size, largest);
          round_rows(qkv, size(width), stride, tokens, head_size, largest);
          round_rows(qkv, size(2 * width), stride, tokens, head_size, largest_int16_activation);
        }
        for (int i = 0; i < first; ++i) CHECK(std::isnan(out[size(i) * size(int(out_stride))]), "query %d", i);
        for (int i = first; i < tokens; ++i) {
          const int low = std::max(0, i - before), high = std::min(tokens - 1, i + after);
          std::vector<double> e(size(tokens));
          double total = 0;
          for (int j = low; j <= high; ++j) {
            const int place = place_of[size(tokens - 1 + i - j)];
            double s = 0;
            for (int d = 0; d < head_size; ++d) {
              const double query = qkv[size(i) * size(int(stride)) + size(d)];
              const double key = qkv[size(j) * size(int(stride)) + size(width + d)];
              s += query * key;
              if (by_query) s += double(exact[size(i) * size(int(stride)) + size(d)]) * keys[size(place * head_size + d)];
              if (by_key) s += double(exact[size(j) * size(int(stride)) + size(width + d)]) * queries[size(place * head_size + d)];
            }
            e[size(j)] = std::exp(s * 0.3f + (biased ? bias[size(tokens - 1 + j - i)] : 0) - 60);
            total += e[size(j)];
          }
          for (int d = 0; d < head_size; ++d) {
            double expected = 0;
            for (int j = low; j <= high; ++j) {
              expected += e[size(j)] / total * qkv[size(j) * size(int(stride)) + size(2 * width + d)];
            }
            const double found = out[size(i) * size(int(out_stride)) + size(d)];
            // The 16-bit attention rounds each exponential by at most half of largest / 32750 or of total / 262000.
            const double rounded = !rounds ? 0 : weight_bound(e, total, &qkv[size(2 * width + d)], stride);
            CHECK(std::fabs(found - expected) < 1e-4 + rounded, "%s, %d tokens, a head of %d, %d before and %d after: %g, not %g", name(dtype),
                  tokens, head_size, before, after, found, expected);
          }
        }
      }
    }
  }
}

void rotations(const Kernels& kernels) {
  for (const int head_size : {2, 4, 32, 64, 70}) {
    const int heads = 3, half = head_size / 2;
    const std::vector<float> x = normal(size(heads * head_size)), angle = normal(size(half), 3);
    std::vector<float> cos(size(half)), sin(cos), y = x;
    for (int i = 0; i < half; ++i) cos[size(i)] = std::cos(angle[size(i)]), sin[size(i)] = std::sin(angle[size(i)]);
    kernels.rotate(y.data(), cos.data(), sin.data(), head_size, heads);
    for (int at = 0; at < heads * head_size; ++at) {
      const int i = at % head_size, pair = i < half ? at + half : at - half;
      const double turn = angle[size(i % half)], sign = i < half ? -1 : 1;
      const double expected = x[size(at)] * std::cos(turn) + sign * x[size(pair)] * std::sin(turn);
      CHECK(std::fabs(y[size(at)] - expected) < 1e-6, "a head of %d at %d", head_size, at);
    }
  }
}

// A whole encoder: it computes the same bits however the texts are batched and if only one token of each is wanted, and
// it stops when asked to. An old family has a position table and norms after its sums, and here uses a layer twice. A new
// one has rotations, a window, a gate, and norms before its sublayers, and here shorter embeddings. A decoder also looks only
// back, and has root mean square norms, also of its heads.
enum class Kind { old, modern, decoder };
void encoders(const Kernels& kernels, Kind kind) {
  const bool is_new = kind != Kind::old, is_decoder = kind == Kind::decoder;
  const int hidden = 36, inner = 50, heads = 3, longest = 70, layers = 2, embedding = is_new ? 20 : hidden;
  const auto word = normal(size(20 * hidden)), position = normal(size(longest * hidden)), type = normal(size(2 * hidden));
  const auto vector = normal(size(inner)), bias = normal(size(heads * (2 * longest - 1)));
  const auto square = normal(size(hidden * hidden), 0.2f), up = normal(size(inner * hidden), 0.2f), down = normal(size(hidden * inner), 0.2f);
  const Norm norm{vector.data(), is_decoder ? nullptr : vector.data(), 1e-5f};
  const std::optional<Norm> head_norm = is_decoder ? std::optional(norm) : std::nullopt;
  const Norms first = is_new ? Norms{norm, norm, {}} : Norms{{}, {}, norm}, second = is_new ? Norms{norm, {}, {}} : first;
  const Linear same{square.data(), vector.data(), hidden, hidden}, wider{up.data(), vector.data(), inner, hidden},
      narrow{square.data(), vector.data(), hidden / heads, hidden};
  const auto cos = normal(size(longest * hidden / heads / 2)), sin = normal(cos.size());
  const std::vector<Turns> turns{{cos.data(), sin.data()}};
  for (const Dtype dtype : dtypes) {
    Encoder encoder(kernels, dtype, hidden,
                    {embedding, word.data(), is_new ? nullptr : position.data(), type.data(), norm,
                     is_new ? std::optional(Linear{square.data(), vector.data(), hidden, embedding}) : std::nullopt,
                     is_new ? nullptr : bias.data(), heads, longest, nullptr, 0, is_decoder ? 3.0f : 1.0f});
    for (int layer = 0; layer < layers; ++layer) {
      encoder.add_layer({same, is_new ? narrow : same, is_new ? narrow : same, same, first,
                         is_new ? std::optional(wider) : std::nullopt, wider,
                         {down.data(), vector.data(), hidden, inner}, second, heads, is_new ? 1 : heads, hidden / heads,
                         Activation::gelu, is_new && layer ? 5 : 1 << 30, is_decoder ? 0 : is_new && layer ? 5 : 1 << 30,
                         is_new ? 0 : -1, nullptr, nullptr, head_norm, head_norm,
                         is_decoder ? std::optional(0.2f) : std::nullopt});
    }
    if (is_new) encoder.add_final_norm(norm);
    if (!is_new) encoder.add_layer_again(0);
    std::vector<std::int32_t> ids, positions, offsets{0}, wanted;
    std::vector<std::int8_t> segments;
    for (int text = 0; text < 60; ++text) {
      for (int t = 0; t < 1 + (text * 7) % longest; ++t) ids.push_back((text + t) % 20), positions.push_back(t), segments.push_back(t % 3 == 0);
      offsets.push_back(static_cast<std::int32_t>(ids.size()));
      wanted.push_back(text % 3 ? 0 : (text * 7) % longest);
    }
    std::vector<float> alone(ids.size() * size(hidden)), together(alone.size());
    for (int text = 0; text < 60; ++text) {
      const std::int32_t start = offsets[size(text)], end = offsets[size(text) + 1] - start, own[] = {0, end};
      CHECK(encoder.run({&ids[size(start)], &positions[size(start)], own, 1, &segments[size(start)], nullptr, turns}, &alone[size(start * hidden)], 1, [] { return false; }), "one text");
    }
    for (const int threads : {1, 2, 3, 16}) {
      std::fill(together.begin(), together.end(), NAN);
      CHECK(encoder.run({ids.data(), positions.data(), offsets.data(), 60, segments.data(), nullptr, turns}, together.data(), threads, [] { return false; }), "all texts");
      CHECK(std::memcmp(alone.data(), together.data(), alone.size() * sizeof(float)) == 0, "%s on %d threads", name(dtype), threads);
      std::vector<float> rows(60 * size(hidden), NAN);
      CHECK(encoder.run({ids.data(), positions.data(), offsets.data(), 60, segments.data(), wanted.data(), turns}, rows.data(), threads, [] { return false; }), "one token each");
      for (int text = 0; text < 60; ++text) {
        const float* expected = &alone[size((offsets[size(text)] + wanted[size(text)]) * hidden)];
        CHECK(std::memcmp(expected, &rows[size(text * hidden)], size(hidden) * sizeof(float)) == 0, "%s, text %d", name(dtype), text);
      }
    }
    std::vector<std::int32_t> many_ids, many_positions, many_offsets{0};
    for (int text = 0; text < 40000; ++text) {
      for (int t = 0; t < 10; ++t) many_ids.push_back(t), many_positions.push_back(t);
      many_offsets.push_back(static_cast<std::int32_t>(many_ids.size()));
    }
    std::vector<float> out(many_ids.size() * size(hidden));
    CHECK(!encoder.run({many_ids.data(), many_positions.data(), many_offsets.data(), 40000, nullptr, nullptr, turns}, out.data(), 3, [] { return true; }), "stop");
  }
}

// The head of a masked language model must give the sum or the largest of each text's scores, whatever the threads, and
// the same bits for a text alone.
void vocabularies(const Kernels& kernels) {
  constexpr int hidden = 20, width = 12, vocabulary = 101, texts = 40;
  const std::vector<float> dense = normal(size(width * hidden), 0.3f), dense_bias = normal(size(width));
  const std::vector<float> norm_weight = normal(size(width)), norm_bias = normal(size(width));
  const std::vector<float> decoder = normal(size(vocabulary * width), 0.5f), decoder_bias = normal(size(vocabulary));
  std::vector<std::int32_t> offsets{0};
  for (int text = 0; text < texts; ++text) offsets.push_back(offsets.back() + text * 5 % 23);  // The first is empty.
  const int rows = offsets.back();
  const std::vector<float> vectors = normal(size(rows * hidden));
  for (const Dtype dtype : dtypes) {
    const Vocabulary head(kernels, dtype, {dense.data(), dense_bias.data(), width, hidden}, Activation::relu,
                          Norm{norm_weight.data(), norm_bias.data(), 1e-5f},
                          {decoder.data(), decoder_bias.data(), vocabulary, width});
    for (const Together together : {Together::largest, Together::sum_of_logs, Together::sum_of_logs_of_logs}) {
      std::vector<float> all(size(texts * vocabulary)), one(size(vocabulary));
      for (const int threads : {1, 2, 5}) {
        std::fill(all.begin(), all.end(), NAN);
        CHECK(head.run({vectors.data(), offsets.data(), texts, together, all.data()}, threads, [] { return false; }),
              "all texts");
        for (int text = 0; text < texts; ++text) {
          const std::int32_t start = offsets[size(text)], own[] = {0, offsets[size(text) + 1] - start};
          CHECK(head.run({&vectors[size(start * hidden)], own, 1, together, one.data()}, 1, [] { return false; }),
                "one text");
          CHECK(std::memcmp(one.data(), &all[size(text * vocabulary)], size(vocabulary) * sizeof(float)) == 0,
                "%s, text %d on %d threads", name(dtype), text, threads);
        }
      }
      for (int text = 0; text < texts && dtype == Dtype::float32; ++text) {
        std::vector<double> expected(size(vocabulary));
        for (int row = offsets[size(text)]; row < offsets[size(text) + 1]; ++row) {
          std::vector<double> x(width);
          double mean = 0, variance = 1e-5;
          for (int i = 0; i < width; ++i) {
            x[size(i)] = dense_bias[size(i)];
            for (int k = 0; k < hidden; ++k) {
              x[size(i)] += double(dense[size(i * hidden + k)]) * vectors[size(row * hidden + k)];
            }
            x[size(i)] = std::max(0.0, x[size(i)]);
            mean += x[size(i)] / width;
          }
          for (int i = 0; i < width; ++i) variance += (x[size(i)] - mean) * (x[size(i)] - mean) / width;
          for (int n = 0; n < vocabulary; ++n) {
            double score = decoder_bias[size(n)];
            for (int i = 0; i < width; ++i) {
              const double z = (x[size(i)] - mean) / std::sqrt(variance) * norm_weight[size(i)] + norm_bias[size(i)];
              score += z * decoder[size(n * width + i)];
            }
            score = std::max(0.0, score);
            double& total = expected[size(n)];
            if (together == Together::largest) total = std::max(total, score);
            if (together == Together::sum_of_logs) total += std::log1p(score);
            if (together == Together::sum_of_logs_of_logs) total += std::log1p(std::log1p(score));
          }
        }
        for (int n = 0; n < vocabulary; ++n) {
          const double found = all[size(text * vocabulary + n)];
          CHECK(std::fabs(found - expected[size(n)]) <= 1e-5 * (1 + expected[size(n)]), "text %d, token %d: %g, not %g",
                text, n, found, expected[size(n)]);
        }
      }
    }
  }
}

// The means of a static model, compared with loops in double. A text has the same bits alone and with others.
void static_models() {
  instruction_set = "static";
  constexpr int rows = 50, vocabulary = 90, texts = 700;
  std::uniform_int_distribution<std::int32_t> any_row(0, rows - 1), any_length(0, 40);
  for (const int width : {1, 3, 32, 64, 100}) {
    for (const Stored stored : {Stored::float32, Stored::float16, Stored::bfloat16, Stored::int8}) {
      for (const bool plain : {true, false}) {
        const int ids_end = plain ? rows : vocabulary;
        std::vector<float> values(size(rows * width));
        std::vector<std::uint16_t> halves(values.size());
        std::vector<std::int8_t> bytes(values.size());
        for (std::size_t i = 0; i < values.size(); ++i) {
          // A float16 is a sign, an exponent and a fraction: zero, subnormal numbers and the largest ones are among them.
          const int exponent = static_cast<int>(generator() % 31), fraction = static_cast<int>(generator() % 1024);
          const bool is_negative = generator() % 2;
          halves[i] = static_cast<std::uint16_t>((is_negative << 15) | (exponent << 10) | fraction);
          bytes[i] = static_cast<std::int8_t>(generator() % 256);
          const double half = exponent ? std::ldexp(1024 + fraction, exponent - 25) : std::ldexp(fraction, -24);
          values[i] = stored == Stored::float16 ? static_cast<float>(is_negative ? -half : half)
                      : stored == Stored::int8  ? static_cast<float>(bytes[i])
                                                : normal(1)[0];
          if (stored == Stored::bfloat16) {  // The upper half of a float. The lower one must be zero here.
            std::uint32_t bits;
            std::memcpy(&bits, &values[i], sizeof bits);
            halves[i] = static_cast<std::uint16_t>(bits >> 16);
            bits &= 0xffff0000;
            std::memcpy(&values[i], &bits, sizeof bits);
          }
        }
        const bool in_halves = stored == Stored::float16 || stored == Stored::bfloat16;
        const void* table_rows = in_halves               ? static_cast<const void*>(halves.data())
                                 : stored == Stored::int8 ? static_cast<const void*>(bytes.data())
                                                          : values.data();
        // As floats, each row has exactly the numbers that it stands for.
        std::vector<float> room(size(width));
        for (int row = 0; row < rows; ++row) {
          const float* found = StoredNumbers(table_rows, stored).row(size(row), size(width), room.data());
          CHECK(std::equal(found, found + width, &values[size(row * width)]), "row %d", row);
        }
        std::vector<std::int32_t> mapping(size(vocabulary));
        for (std::int32_t& row : mapping) row = any_row(generator);
        const std::vector<float> weights = normal(size(vocabulary));
        const TokenTable table{{table_rows, stored}, size(width), plain ? nullptr : mapping.data(), plain ? nullptr : weights.data()};
        std::vector<std::int32_t> ids, offsets{0};
        for (int text = 0; text < texts; ++text) {
          for (int n = any_length(generator); n > 0; --n) ids.push_back(static_cast<std::int32_t>(generator() % static_cast<unsigned>(ids_end)));
          offsets.push_back(static_cast<std::int32_t>(ids.size()));
        }
        std::vector<float> together(size(texts * width), NAN), alone(together);
        for (const int threads : {1, 2, 16}) {
          CHECK(mean_rows(table, ids.data(), offsets.data(), texts, together.data(), threads, [] { return false; }), "all texts");
          for (int text = 0; text < texts; ++text) {
            const std::int32_t own[] = {0, offsets[size(text) + 1] - offsets[size(text)]};
            float* const out = &alone[size(text * width)];
            CHECK(mean_rows(table, ids.data() + offsets[size(text)], own, 1, out, threads, [] { return false; }), "one text");
            for (int i = 0; i < width; ++i) {
              double sum = 0, magnitude = 0;
              for (std::int32_t t = offsets[size(text)]; t < offsets[size(text) + 1]; ++t) {
                const std::int32_t id = ids[size(t)];
                const double value = double{values[size((plain ? id : mapping[size(id)]) * width + i)]} * (plain ? 1 : weights[size(id)]);
                sum += value, magnitude += std::abs(value);
              }
              const double expected = own[1] ? sum / own[1] : 0;
              CHECK(std::abs(out[i] - expected) <= 4e-6 * magnitude / std::max(1, own[1]), "text %d: %g, not %g", text, out[i], expected);
            }
          }
          CHECK(std::memcmp(alone.data(), together.data(), alone.size() * sizeof(float)) == 0, "on %d threads", threads);
        }
        CHECK(mean_rows(table, ids.data(), offsets.data(), 0, nullptr, 2, [] { return false; }), "no texts");
      }
    }
  }
  std::printf("static models: done\n");
}

// The scores of late interaction: each is the sum of the largest products, and has the same bits on any number of threads.
void scores(const Kernels& kernels) {
  for (const int tokens : {1, 5, 32, 33, 200}) {
    for (const int width : {1, 17, 48, 128}) {
      const std::vector<int> lengths{0, 0, 1, 7, 300, 0, 2000, 3, 600, 2100, 0, 0};
      std::vector<std::int32_t> offsets{0};
      for (const int length : lengths) offsets.push_back(offsets.back() + length);
      const std::vector<float> query = normal(size(tokens * width)), vectors = normal(size(offsets.back() * width));
      const int count = static_cast<int>(lengths.size());
      std::vector<float> found(lengths.size()), again(found);
      const MaxSim maxsim(kernels, query.data(), tokens, width);
      CHECK(maxsim.run({vectors.data(), offsets.data(), count, found.data()}, 1, [] { return false; }), "one thread");
      for (const int threads : {2, 5}) {
        CHECK(maxsim.run({vectors.data(), offsets.data(), count, again.data()}, threads, [] { return false; }), "%d threads", threads);
        CHECK(std::memcmp(found.data(), again.data(), found.size() * sizeof(float)) == 0, "%d threads", threads);
      }
      for (int document = 0; document < count; ++document) {
        double expected = 0;
        for (int i = 0; i < tokens; ++i) {
          double best = -INFINITY;
          for (int j = offsets[size(document)]; j < offsets[size(document) + 1]; ++j) {
            double product = 0;
            for (int k = 0; k < width; ++k) product += double(query[size(i * width + k)]) * vectors[size(j * width + k)];
            best = std::max(best, product);
          }
          expected += best;
        }
        if (lengths[size(document)] == 0) expected = empty_document;
        CHECK(std::fabs(found[size(document)] - expected) < 1e-5 * (1 + std::fabs(expected)), "%d tokens of %d: %g, not %g", tokens, width, found[size(document)], expected);
      }
    }
  }
}

// cpu.cpp must find the same instruction sets as the compiler's runtime.
void instruction_sets() {
#if defined(__x86_64__) && !defined(_WIN32)
  const auto listed = [](const char* set_name) {
    const KernelList list = available_kernels();
    return std::any_of(list.begin(), list.end(), [&](const Kernels* k) { return std::strcmp(k->name, set_name) == 0; });
  };
  const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
  const bool avx512 = avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                      __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
  CHECK(listed("avx2") == avx2, "avx2");
  CHECK(listed("avx512") == avx512, "avx512");
  const bool vnni = avx512 && __builtin_cpu_supports("avx512vnni");
  CHECK(listed("avx512_vnni") == vnni, "avx512_vnni");
  CHECK(listed("avx512_bf16") == (vnni && __builtin_cpu_supports("avx512bf16")), "avx512_bf16");
  CHECK(!listed("amx") || listed("avx512_bf16"), "amx");
#endif
}

}  // namespace

// With the name of an instruction set, this tests that one only, which must be the best one that this machine has.
int main(int count, char** arguments) {
  const std::string only = count > 1 ? arguments[1] : "";
  const std::string best = (*available_kernels().begin())->name;
  if (!only.empty() && best != only) {
    std::printf("the best instruction set is %s, not %s\n", best.c_str(), only.c_str());
    return EXIT_FAILURE;
  }
  instruction_sets();
  if (only.empty()) {
    static_models();
    bytes_in_tiles();
  }
  for (const Kernels* kernels : all_kernels()) {
    if (!only.empty() && only != kernels->name) continue;
    instruction_set = kernels->name;
    bounds(*kernels);
    bfloat16_numbers(*kernels);
    numbers_of_int4(*kernels);
    products(*kernels);
    activations(*kernels);
    norms(*kernels);
    for (const Dtype dtype : {Dtype::float32, Dtype::int16, Dtype::bfloat16}) attention(*kernels, dtype);
    rotations(*kernels);
    vocabularies(*kernels);
    scores(*kernels);
    for (const Kind kind : {Kind::old, Kind::modern, Kind::decoder}) encoders(*kernels, kind);
    std::printf("%s: done\n", kernels->name);
    std::fflush(stdout);
  }
  std::printf(failures ? "%d failures\n" : "all passed\n", failures);
  return failures ? EXIT_FAILURE : EXIT_SUCCESS;
}
