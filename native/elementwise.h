// The work on single numbers and on single rows: activations, exponentials, norms, rotations,
// quantisation.
#pragma once

#include <cstdint>
#include <cstring>

#include "kernels.h"

namespace pellucid {

// 2^(f + n) for f in [-1/2, 1/2]. 2^f is a minimax polynomial of our own, with a relative error of 7.5e-8. Then n is
// added to the bits of the exponent.
template <class S>
typename S::F exp2_parts(typename S::F f, typename S::W n) {
  auto y = S::set(0.00132764f);
  y = S::fma(y, f, S::set(0.00967554f));
  y = S::fma(y, f, S::set(0.05550713f));
  y = S::fma(y, f, S::set(0.2402212f));
  y = S::fma(y, f, S::set(0.69314697f));
  return S::scale(S::fma(y, f, S::set(1.0f)), n);
}

// e^x, to a relative error of 2e-7. x is clamped to ±87, where the result is a normal number. Here and below, max and
// min take the constant first: x86 returns the second operand if one of them is NaN, and so NaN stays NaN.
template <class S>
typename S::F exponential(typename S::F x) {
  const auto log2_e = S::set(1.44269504f);
  x = S::max(S::set(-87.0f), S::min(S::set(87.0f), x));
  const auto n = S::round(S::mul(x, log2_e));
  return exp2_parts<S>(S::fma(x, log2_e, S::sub(S::zero(), S::to_float(n))), n);
}

// x Φ(x), computed as max(x, 0) - |x| Φ(-|x|), with Φ(-z) = e^(-z²/2) R(z), where R is a rational least-squares fit of
// our own. The error is below 1e-7 · max(1, |x|). The usual ½ x (1 + erf(x/√2)) is less accurate for negative x, where
// the sum 1 + erf cancels.
template <class S>
typename S::F gelu(typename S::F x) {
  const auto z = S::min(S::set(12.0f), S::max(x, S::sub(S::zero(), x)));  // Φ(-12) is 0 in float32.
  const auto square = S::mul(z, z), rate = S::set(-0.72134752f);          // e^(-z²/2) = 2^(-z² log2(e) / 2)
  const auto n = S::round(S::mul(square, rate));
  const auto e = exp2_parts<S>(S::fma(square, rate, S::sub(S::zero(), S::to_float(n))), n);
  auto p = S::set(-0.00010750395f);
  p = S::fma(p, z, S::set(0.0370705722f));
  p = S::fma(p, z, S::set(0.1953617335f));
  p = S::fma(p, z, S::set(0.5000004314f));
  auto q = S::set(0.0885945628f);
  q = S::fma(q, z, S::set(0.5224217472f));
  q = S::fma(q, z, S::set(1.1886243844f));
  q = S::fma(q, z, S::set(1.0f));
  return S::sub(S::max(S::zero(), x), S::div(S::mul(S::mul(z, e), p), q));
}

// The same for the other dtypes, whose rounding is coarser than this: x (½ + t Q(t²)), where t is x within ±4.4, and Q
// is a minimax polynomial of our own. The error is below 4e-5 + 2e-7 · |x|. There is no division, and no exponential.
template <class S>
typename S::F rough_gelu(typename S::F x) {
  const auto t = S::max(S::set(-4.4f), S::min(S::set(4.4f), x));
  const auto square = S::mul(t, t);
  auto q = S::set(3.56961058e-11f);
  q = S::fma(q, square, S::set(-3.75423737e-09f));
  q = S::fma(q, square, S::set(1.74092733e-07f));
  q = S::fma(q, square, S::set(-4.7250478e-06f));
  q = S::fma(q, square, S::set(8.42953232e-05f));
  q = S::fma(q, square, S::set(-0.00105500955f));
  q = S::fma(q, square, S::set(0.00964309648f));
  q = S::fma(q, square, S::set(-0.0660765618f));
  q = S::fma(q, square, S::set(0.39876169f));
  return S::mul(x, S::fma(q, t, S::set(0.5f)));
}

template <class S>
typename S::F silu(typename S::F x) {
  return S::div(x, S::add(S::set(1.0f), exponential<S>(S::sub(S::zero(), x))));
}

// ½ x (1 + tanh u) for u = √(2/π) (x + 0.044715 x³), which equals x sigmoid(2u).
template <class S>
typename S::F gelu_tanh(typename S::F x) {
  const auto u2 = S::mul(S::mul(S::set(1.59576912f), x), S::fma(S::mul(S::set(0.044715f), x), x, S::set(1.0f)));
  return S::div(x, S::add(S::set(1.0f), exponential<S>(S::sub(S::zero(), u2))));
}

// Calls use(f), where f applies the activation to one vector of a product's results. So the choice is made once, outside
// the loops of use.
template <class S, Dtype dtype, class Use>
void with_activation(Activation activation, Use use) {
  using F = typename S::F;
  switch (activation) {
    case Activation::identity: return use([](F x) { return x; });
    case Activation::gelu:
      return use([](F x) {
        if constexpr (dtype == Dtype::float32) {
          return gelu<S>(x);
        } else {
          return rough_gelu<S>(x);
        }
      });
    case Activation::gelu_tanh: return use([](F x) { return gelu_tanh<S>(x); });
    case Activation::relu: return use([](F x) { return S::max(S::zero(), x); });
    case Activation::silu: return use([](F x) { return silu<S>(x); });
  }
}

// Calls use(i, left) for each whole vector of a row, where `left` is the number of features from i on. Rows are padded
// to whole vectors. A caller masks the last vector where numbers beyond `size` must not count.
template <class S, class Use>
void each_vector(int size, Use use) {
  for (int i = 0; i < size; i += S::lanes) use(i, size - i);
}

// Layer normalisation (Ba et al., 2016): first the mean, then the variance around it. x and y may be the same array. What
// follows the last number of y stays as it is.
template <class S>
void layer_norm(const float* x, const float* weight, const float* bias, float eps, int size, float* y) {
  auto total = S::zero();
  each_vector<S>(size, [&](int i, int left) { total = S::add(total, S::first(S::load(x + i), left, S::zero())); });
  const auto mean = S::set(S::sum(total) / static_cast<float>(size));
  auto squares = S::zero();
  each_vector<S>(size, [&](int i, int left) {
    const auto d = S::first(S::sub(S::load(x + i), mean), left, S::zero());
    squares = S::fma(d, d, squares);
  });
  const float variance = S::sum(squares) / static_cast<float>(size);
  const auto scale = S::set(1.0f / __builtin_sqrtf(variance + eps));
  each_vector<S>(size, [&](int i, int left) {
    const auto z = S::mul(S::sub(S::load(x + i), mean), scale);
    S::store(y + i, S::first(S::fma(z, S::load(weight + i), S::load(bias + i)), left, S::load(y + i)));
  });
}

// Root mean square normalisation (Zhang and Sennrich, 2019). x and y may be the same array. What follows the last number of
// y stays as it is.
template <class S>
void rms_norm(const float* x, const float* weight, float eps, int size, float* y) {
  auto squares = S::zero();
  each_vector<S>(size, [&](int i, int left) {
    const auto v = S::first(S::load(x + i), left, S::zero());
    squares = S::fma(v, v, squares);
  });
  const auto scale = S::set(1.0f / __builtin_sqrtf(S::sum(squares) / static_cast<float>(size) + eps));
  each_vector<S>(size, [&](int i, int left) {
    const auto z = S::mul(S::mul(S::load(x + i), scale), S::load(weight + i));
    S::store(y + i, S::first(z, left, S::load(y + i)));
  });
}

// Raises each number of `best` to the largest number of its column; to NaN if one is NaN or infinite.
template <class S>
void largest(const float* x, std::ptrdiff_t stride, int rows, int columns, float* best) {
  for (int i = 0; i < columns; i += S::lanes) {
    auto y = S::load(best + i);
    auto zeros = S::zero();  // A maximum forgets NaN, but 0 · x is 0 for all finite x only.
    for (int row = 0; row < rows; ++row) {
      const auto value = S::load(x + row * stride + i);
      y = S::max(value, y);
      zeros = S::fma(value, S::zero(), zeros);
    }
    S::store(best + i, S::add(y, zeros));
  }
}

// Rotates each head of a row, in place (Su et al., "RoFormer", 2021). Number i of a head's first half and number i of
// its second half are a pair.
template <class S>
void rotate(float* x, const float* cos, const float* sin, int head_size, int heads) {
  const int half = head_size / 2;
  for (int head = 0; head < heads; ++head, x += head_size) {
    for (int i = 0; i < half; ++i) {
      const float first = x[i], second = x[half + i];
      x[i] = first * cos[i] - second * sin[i];
      x[half + i] = second * cos[i] + first * sin[i];
    }
  }
}

// Calls use(group, first feature, number of features) for each group of a row.
template <class Use>
void each_group(const Depth& depth, int per_word, Use use) {
  const int size = depth.group_words * per_word;
  for (int g = 0, start = 0; g < depth.groups; ++g, start += size) {
    use(g, start, depth.features - start < size ? depth.features - start : size);
  }
}

// Below this, 1 / scale could overflow, and the numbers of a group are practically equal.
constexpr float smallest_range = 1e-30f;

// How a set stores integers, see Kernels. A set may say otherwise.
template <class S>
constexpr bool splits_int16 = false;
template <class S>
constexpr int column_words = 1;

// Stores the integers of one vector, which begins at feature k of a row.
template <class S>
void store_int16(std::uint32_t* row, int k, typename S::W x) {
  if constexpr (splits_int16<S>) {
    constexpr int run = 4 * column_words<S>;
    S::store_split(reinterpret_cast<std::int8_t*>(row) + k / run * 2 * run + k % run, run, x);
  } else {
    S::store_int16(reinterpret_cast<std::int16_t*>(row) + k, x);
  }
}

// Quantises a row symmetrically: x ≈ scale · q, with |q| ≤ largest_int16_activation. A row with NaN or infinity gets
// the scale NaN, so its products become NaN too.
template <class S>
void quantise_int16(const float* x, const Depth& depth, const Rows& out, int row) {
  std::uint32_t* q = out.words + row * out.stride;
  each_group(depth, 2, [&](int g, int start, int size) {
    auto highest = S::zero(), finite = S::zero();
    each_vector<S>(size, [&](int i, int left) {
      const auto v = S::first(S::load(x + start + i), left, S::zero());
      highest = S::max(highest, S::max(v, S::sub(S::zero(), v)));
      finite = S::fma(v, S::zero(), finite);
    });
    const float top = S::largest(highest), zero = S::sum(finite);  // 0, or NaN if a number is not finite
    const bool usable = top > smallest_range && zero == 0;
    const auto inverse = S::set(usable ? largest_int16_activation / top : 0.0f);
    out.scale[row * depth.groups + g] = top / largest_int16_activation + zero;
    each_vector<S>(size, [&](int i, int left) {
      const auto v = usable ? S::first(S::load(x + start + i), left, S::zero()) : S::zero();
      store_int16<S>(q, start + i, S::round(S::mul(v, inverse)));
    });
  });
}

// Rounds a row to bfloat16, and fills the last words with zeros.
template <class S>
void quantise_bfloat16(const float* x, const Depth& depth, const Rows& out, int row) {
  auto* words = out.words + row * out.stride;
  auto* q = reinterpret_cast<std::uint16_t*>(words);
  const int used = depth.features / 2;
  std::memset(words + used, 0, static_cast<std::size_t>(depth.words - used) * sizeof(std::uint32_t));
  each_vector<S>(depth.features, [&](int i, int left) {
    S::store_bfloat16(q + i, S::first(S::load(x + i), left, S::zero()));
  });
}

// Quantises a row asymmetrically: x ≈ offset + scale · q, with q in 0 … 255. Where bytes are signed, q - 128 is stored,
// and 128 · scale is added to the offset.
template <class S>
void quantise_int8(const float* x, const Depth& depth, const Rows& out, int row) {
  constexpr float lowest_byte = S::signed_bytes ? -128 : 0;
  auto* q = reinterpret_cast<std::uint8_t*>(out.words + row * out.stride);
  each_group(depth, 4, [&](int g, int start, int size) {
    auto high = S::set(x[start]), low = high, finite = S::zero();
    each_vector<S>(size, [&](int i, int left) {
      const auto v = S::first(S::load(x + start + i), left, low);
      high = S::max(high, v);
      low = S::min(low, v);
      finite = S::fma(v, S::zero(), finite);
    });
    const float top = S::largest(high), bottom = -S::largest(S::sub(S::zero(), low));
    const float zero = S::sum(finite) + (top - bottom) * 0;  // 0, or NaN if a number is not finite
    const bool usable = top - bottom > smallest_range && zero == 0;
    const float scale = usable ? (top - bottom) / 255 : 0;
    const auto inverse = S::set(usable ? 255 / (top - bottom) : 0), shift = S::set(usable ? bottom : 0);
    out.scale[row * depth.groups + g] = scale;
    out.offset[row * depth.groups + g] = bottom - lowest_byte * scale + zero;
    each_vector<S>(size, [&](int i, int left) {
      const auto v = usable ? S::first(S::load(x + start + i), left, shift) : S::zero();
      S::store_int8(q + start + i, S::round(S::fma(S::sub(v, shift), inverse, S::set(lowest_byte))));
    });
  });
}

}  // namespace pellucid
