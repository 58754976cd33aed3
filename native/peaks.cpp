#include "peaks.h"

#include <algorithm>
#include <chrono>
#include <vector>

#include "packed.h"
#include "team.h"

namespace pellucid {
namespace {

// Runs work() on all threads for this many seconds. work() returns the number of its operations. Returns the operations
// per nanosecond, which are GFLOP/s.
template <class Work>
double measure_rate(int threads, double seconds, Work work) {
  using Clock = std::chrono::steady_clock;
  std::vector<double> rates(static_cast<std::size_t>(threads), 0.0);
  const std::function<bool()> never_stop = [] { return false; };
  Stop stop(never_stop);
  run_workers(threads, stop, [&](int rank) {
    double operations = 0, elapsed = 0;
    for (const auto start = Clock::now(); elapsed < seconds;) {
      operations += work(rank);
      elapsed = std::chrono::duration<double>(Clock::now() - start).count();
    }
    rates[static_cast<std::size_t>(rank)] = operations / elapsed;
  });
  double total = 0;
  for (const double r : rates) total += r;
  return total / 1e9;
}

}  // namespace

double multiply_add_peak(const Kernels& kernels, int threads, double seconds) {
  return measure_rate(threads, seconds, [&](int) { return 2 * kernels.multiply_adds(100000); });
}

double product_peak(const Kernels& kernels, Dtype dtype, int threads, double seconds) {
  constexpr int rows = 120, features = 384;
  constexpr int spare = 4096;  // for the last tile of rows, and for whole vectors
  const std::vector<float> weight(features * features, 0.01f), bias(features, 0.0f);
  const Packed packed(kernels, dtype, {{weight.data(), bias.data(), features, features}});
  const Array<float> x(rows * features + spare);
  std::fill_n(x.data(), rows * features + spare, 0.0f);  // Zeros in every dtype.
  const std::vector<float> scale(static_cast<std::size_t>(rows * packed.panels().depth.groups), 1.0f);
  std::vector<Array<float>> y;
  for (int i = 0; i < threads; ++i) y.emplace_back(rows * static_cast<std::size_t>(packed.stride()) + 64);
  const Rows left{reinterpret_cast<std::uint32_t*>(x.data()), features, const_cast<float*>(scale.data()),
                  const_cast<float*>(scale.data())};
  return measure_rate(threads, seconds, [&](int rank) {
    const Product product{left,    rows, packed.panels(), Activation::identity,
                          nullptr, nullptr, y[static_cast<std::size_t>(rank)].data(), packed.stride()};
    kernels.multiply[int(dtype)](product, 0, product.weights.panels);
    return 2.0 * rows * features * features;
  });
}

}  // namespace pellucid
