// MaxSim, the score of late interaction (Khattab and Zaharia, "ColBERT", 2020): each token of a query is compared with
// each token of a document by a dot product. The score is the sum, over the query's tokens, of the largest one.
#pragma once

#include <cstdint>
#include <functional>

#include "kernels.h"
#include "memory.h"
#include "packed.h"
#include "team.h"

namespace pellucid {

// The score of a document without tokens: below any real one. sentence-transformers has the same number.
constexpr float empty_document = -1e9f;

// Several documents, end to end, and where their scores go.
struct Documents {
  const float* vectors;         // [rows, size]
  const std::int32_t* offsets;  // Document i owns the rows offsets[i] … offsets[i + 1] - 1.
  int count;
  float* scores;                // [count]
};

// A query, ready to be compared with any number of documents.
class MaxSim {
 public:
  // The query is [tokens, size], with at least one token. It is copied.
  MaxSim(const Kernels& kernels, const float* query, int tokens, int size);

  // Computes the scores. A document's score depends on the document and the query alone. Calls should_stop() now and
  // then, from this thread; if that returns true, run() ends early and returns false.
  bool run(const Documents& documents, int threads, const std::function<bool()>& should_stop) const;

 private:
  // What one worker needs.
  struct Scratch {
    Array<float> products;  // of some rows with all tokens of the query, [rows, stride]
    Array<float> best;      // of one document
  };
  void score(const Documents& documents, int first, int last, const Scratch& scratch) const;
  void finish(const Documents& documents, int document, const float* best) const;

  const Kernels& kernels_;
  const int tokens_, size_;
  Packed query_;
  int columns_, rows_per_block_;
};

}  // namespace pellucid
