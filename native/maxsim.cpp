#include "maxsim.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <vector>

#include "operand.h"

namespace pellucid {
namespace {

// At most so many products are in memory at a time for each worker, 64 KB, so they stay in the second-level cache.
constexpr int products_per_block = 16384;

// A worker takes documents with about this many rows at a time.
constexpr int rows_per_unit = 2048;

// Below this number of multiply-adds, a second thread would start too late to help.
constexpr double min_work_for_threads = 1e7;

std::vector<float> zeros(int n) { return std::vector<float>(size(n)); }

}  // namespace

MaxSim::MaxSim(const Kernels& kernels, const float* query, int tokens, int size)
    : kernels_(kernels),
      tokens_(tokens),
      size_(size),
      query_(kernels, Dtype::float32, {{query, zeros(tokens).data(), tokens, size}}),
      columns_(query_.panels().panels * kernels.panel),
      rows_per_block_(std::max(1, products_per_block / columns_)) {}

bool MaxSim::run(const Documents& documents, int threads, const std::function<bool()>& should_stop) const {
  std::vector<int> starts{0};  // the first document of each unit of work
  for (int i = 1; i < documents.count; ++i) {
    if (documents.offsets[i] - documents.offsets[starts.back()] >= rows_per_unit) starts.push_back(i);
  }
  const int units = static_cast<int>(starts.size());
  starts.push_back(documents.count);
  const double work = double(documents.offsets[documents.count]) * tokens_ * size_;
  const int workers = std::min({threads, units, 1 + static_cast<int>(std::min(work / min_work_for_threads, 1e6))});
  std::vector<Scratch> scratch;
  for (int i = 0; i < workers; ++i) {
    const std::size_t products = pellucid::size(rows_per_block_) * pellucid::size(int(query_.stride())) + slack;
    scratch.push_back({Array<float>(products), Array<float>(pellucid::size(columns_) + slack)});
  }
  Stop stop(should_stop);
  std::atomic<int> next{0};
  run_workers(workers, stop, [&](int rank) {
    for (int i; !stop.requested() && (i = next++) < units;) {
      if (rank == 0) stop.poll();
      score(documents, starts[pellucid::size(i)], starts[pellucid::size(i) + 1], scratch[pellucid::size(rank)]);
    }
  });
  return !stop.requested();
}

// Scores the documents first … last - 1. A block of rows may end within a document; then `best` is kept for the next.
void MaxSim::score(const Documents& documents, int first, int last, const Scratch& scratch) const {
  const std::int32_t* offsets = documents.offsets;
  const auto start_over = [&] { std::fill_n(scratch.best.data(), columns_, -INFINITY); };
  int document = first;
  start_over();
  const std::ptrdiff_t end = offsets[last];
  for (std::ptrdiff_t row = offsets[first]; row < end; row += rows_per_block_) {
    const std::ptrdiff_t after = std::min<std::ptrdiff_t>(row + rows_per_block_, end);
    // The kernels only read the vectors, each from its first number to its last.
    auto* words = reinterpret_cast<std::uint32_t*>(const_cast<float*>(documents.vectors + row * size_));
    const Product product{{words, size_, nullptr, nullptr}, static_cast<int>(after - row), query_.panels(),
                          Activation::identity, nullptr, nullptr, scratch.products.data(), query_.stride()};
    kernels_.multiply[int(Dtype::float32)](product, 0, product.weights.panels);
    for (std::ptrdiff_t from = row; document < last; start_over()) {
      const std::ptrdiff_t to = std::min<std::ptrdiff_t>(offsets[document + 1], after);
      const float* products = scratch.products.data() + (from - row) * query_.stride();
      kernels_.largest(products, query_.stride(), static_cast<int>(to - from), columns_, scratch.best.data());
      if (offsets[document + 1] > after) break;
      finish(documents, document++, scratch.best.data());
      from = to;
    }
  }
  while (document < last) finish(documents, document++, scratch.best.data());  // Empty ones at the end.
}

void MaxSim::finish(const Documents& documents, int document, const float* best) const {
  double sum = 0;
  for (int i = 0; i < tokens_; ++i) sum += best[i];
  const bool is_empty = documents.offsets[document] == documents.offsets[document + 1];
  documents.scores[document] = is_empty ? empty_document : static_cast<float>(sum);
}

}  // namespace pellucid
