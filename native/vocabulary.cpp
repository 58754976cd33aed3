#include "vocabulary.h"

#include <algorithm>
#include <cmath>

#include "operand.h"

namespace pellucid {
namespace {

constexpr int max_panel = 64;  // No instruction set has more columns in a panel.

}  // namespace

// The memory of one call. Each worker has its own `scores`: those of the block's rows, for one panel of the decoder.
struct Vocabulary::Workspace {
  Workspace(const Vocabulary& v, int rows, int threads)
      : hidden_stride(static_cast<std::ptrdiff_t>(round_up(size(v.hidden_), 16) + 16)),
        stride(v.transform_.stride()),
        input(size(rows) * size(int(hidden_stride)) + slack),
        x(size(rows) * size(int(stride)) + slack),
        scores_size(size(rows) * size(v.kernels_.panel) + slack),
        scores(scores_size * size(threads)),
        input_operand(v.kernels_, v.dtype_, rows, v.hidden_),
        operand(v.kernels_, v.dtype_, rows, v.width_) {}

  std::ptrdiff_t hidden_stride, stride;
  Array<float> input, x;
  std::size_t scores_size;
  Array<float> scores;
  Operand input_operand, operand;
};

Vocabulary::Vocabulary(const Kernels& kernels, Dtype dtype, const Linear& transform, Activation activation,
                       const std::optional<Norm>& norm, const Linear& decoder)
    : kernels_(kernels),
      dtype_(dtype),
      hidden_(transform.in),
      width_(transform.out),
      size_(decoder.out),
      activation_(activation),
      transform_(kernels, dtype, {transform}),
      decoder_(kernels, dtype, {decoder}) {
  if (norm) norm_.emplace(*norm, width_);
}

// Takes the rows first … first + rows - 1 of some texts through the layers, and adds their scores to those of the texts.
// Every worker of a team runs this.
void Vocabulary::block(const Texts& texts, int first, int rows, Workspace& w, Worker& worker) const {
  const auto each_row = [&](auto use) {
    worker.share(rows, 1, [&](int row, int last) {
      for (; row < last; ++row) use(row);
    });
  };
  each_row([&](int row) {
    float* x = w.input.data() + row * w.hidden_stride;
    std::copy_n(texts.vectors + static_cast<std::ptrdiff_t>(first + row) * hidden_, hidden_, x);
    w.input_operand.prepare(x, row);
  });
  multiply(kernels_, dtype_,
           {w.input_operand.rows(w.input.data(), w.hidden_stride), rows, transform_.panels(), activation_, nullptr,
            nullptr, w.x.data(), w.stride},
           worker);
  each_row([&](int row) {
    float* x = w.x.data() + row * w.stride;
    if (norm_) norm_->apply(kernels_, x, x);
    w.operand.prepare(x, row);
  });
  const int columns = kernels_.panel;
  float* scores = w.scores.data() + size(worker.place()) * w.scores_size;
  const Panels all = decoder_.panels();
  const std::int32_t* after = std::upper_bound(texts.offsets, texts.offsets + texts.count, first);
  const int first_text = static_cast<int>(after - texts.offsets) - 1;
  worker.each(all.panels, [&](int panel) {
    const std::ptrdiff_t start = static_cast<std::ptrdiff_t>(panel) * columns;
    Panels one = all;
    one.words += panel * all.panel_words;
    one.scale += start;
    if (one.sums) one.sums += start;
    one.bias += start;
    kernels_.multiply[int(dtype_)]({w.operand.rows(w.x.data(), w.stride), rows, one, Activation::identity, nullptr,
                                    nullptr, scores, columns},
                                   0, 1);
    const int used = std::min(columns, size_ - static_cast<int>(start));  // The last panel may have fewer.
    for (int text = first_text; text < texts.count && texts.offsets[text] < first + rows; ++text) {
      const int from = std::max(texts.offsets[text], first) - first;
      const int to = std::min(texts.offsets[text + 1], first + rows) - first;
      float* out = texts.out + static_cast<std::ptrdiff_t>(text) * size_ + start;
      pool(scores + static_cast<std::ptrdiff_t>(from) * columns, to - from, used, texts.together, out);
    }
  });
}

// Adds the scores of a text's rows, for the columns of one panel, to those of the text.
void Vocabulary::pool(const float* scores, int rows, int used, Together together, float* out) const {
  const int columns = kernels_.panel;
  if (together == Together::largest) {
    float best[max_panel];
    std::copy_n(out, used, best);
    std::fill(best + used, best + columns, 0.0f);
    kernels_.largest(scores, columns, rows, columns, best);
    std::copy_n(best, used, out);
    return;
  }
  for (int row = 0; row < rows; ++row, scores += columns) {
    for (int i = 0; i < used; ++i) {
      if (!(scores[i] <= 0)) {  // NaN counts too.
        const float log = std::log1p(scores[i]);
        out[i] += together == Together::sum_of_logs ? log : std::log1p(log);
      }
    }
  }
}

bool Vocabulary::run(const Texts& texts, int threads, const std::function<bool()>& should_stop) const {
  std::fill_n(texts.out, size(texts.count) * size(size_), 0.0f);
  const int rows = texts.offsets[texts.count];
  if (rows == 0) return true;
  Stop stop(should_stop);
  Workspace workspace(*this, std::min(rows, rows_per_block), threads);
  Team team(threads);
  run_workers(threads, stop, [&](int rank) {
    Worker worker(team, rank, rank == 0);
    for (int first = 0; first < rows; first += rows_per_block) {
      if (rank == 0) stop.poll();
      if (stop.requested()) return;
      block(texts, first, std::min(rows - first, rows_per_block), workspace, worker);
    }
  });
  return !stop.requested();
}

}  // namespace pellucid
