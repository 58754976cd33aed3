// The head of a masked language model: it gives each token of a text a score for each token of the vocabulary. Only what
// a text's tokens have together is kept, so there is never a score for each of its tokens in memory.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>

#include "kernels.h"
#include "memory.h"
#include "packed.h"
#include "team.h"

namespace pellucid {

// How the scores of a text's tokens become one: the largest one, at least 0; or the sum of log(1 + x), or of
// log(1 + log(1 + x)), over all scores x > 0.
enum class Together { largest, sum_of_logs, sum_of_logs_of_logs };

// Several texts, end to end, and where their scores go.
struct Texts {
  const float* vectors;         // [rows, hidden]
  const std::int32_t* offsets;  // Text i owns the rows offsets[i] … offsets[i + 1] - 1.
  int count;
  Together together;
  float* out;  // [count, vocabulary]
};

class Vocabulary {
 public:
  // The layers first turn each token vector into norm(activation(transform(x))). The decoder then has a row for each
  // token of the vocabulary. All weights are copied.
  Vocabulary(const Kernels& kernels, Dtype dtype, const Linear& transform, Activation activation,
             const std::optional<Norm>& norm, const Linear& decoder);

  // Computes the scores of texts. Calls should_stop() now and then, from this thread; if that returns true, run() ends
  // early and returns false. Several threads may call run() at the same time.
  bool run(const Texts& texts, int threads, const std::function<bool()>& should_stop) const;

 private:
  struct Workspace;
  void block(const Texts& texts, int first, int rows, Workspace& w, Worker& worker) const;
  void pool(const float* scores, int rows, int used, Together together, float* out) const;

  const Kernels& kernels_;
  const Dtype dtype_;
  const int hidden_, width_, size_;  // of a token vector, of a row of the decoder, and of the vocabulary
  const Activation activation_;
  Packed transform_, decoder_;
  std::optional<PackedNorm> norm_;
};

}  // namespace pellucid
