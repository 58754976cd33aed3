// Pooling: from the token vectors of a text to one vector. src/pellucid/layers/pooling.py defines it, and each number here
// is added up in the same order as there.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>

namespace pellucid {

enum class Pooling { cls, max, mean, mean_sqrt_length, weighted_mean, last_token };

// Pools `size` numbers of `count` rows, of which the first has position `skipped` in its text.
inline void pool(Pooling pooling, const float* rows, std::ptrdiff_t stride, int count, int skipped, int size, float* out) {
  if (pooling == Pooling::last_token) rows += (count - 1) * stride;
  const float first_weight = pooling == Pooling::weighted_mean ? static_cast<float>(skipped + 1) : 1.0f;
  for (int i = 0; i < size; ++i) out[i] = rows[i] * first_weight;
  if (pooling == Pooling::cls || pooling == Pooling::last_token) return;
  if (pooling == Pooling::max) {
    for (int row = 1; row < count; ++row) {
      const float* x = rows + row * stride;
      // A row with NaN gives NaN.
      for (int i = 0; i < size; ++i) out[i] = x[i] > out[i] || x[i] != x[i] ? x[i] : out[i];
    }
    return;
  }
  double total = first_weight;
  for (int row = 1; row < count; ++row) {
    const float* x = rows + row * stride;
    const float weight = pooling == Pooling::weighted_mean ? static_cast<float>(skipped + row + 1) : 1.0f;
    for (int i = 0; i < size; ++i) out[i] += x[i] * weight;
    total += weight;
  }
  const float sum = static_cast<float>(total);
  const float divisor = pooling == Pooling::mean_sqrt_length ? std::sqrt(sum) : sum;
  for (int i = 0; i < size; ++i) out[i] /= divisor;
}

}  // namespace pellucid
