// The forward pass of a transformer encoder over ragged batches. What families differ in is in these structs.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "kernels.h"
#include "memory.h"
#include "packed.h"
#include "team.h"

namespace pellucid {

struct Norm {
  const float* weight;  // [hidden]
  const float* bias;    // [hidden]
  float eps;
};

// Around a sublayer f, which changes x to sum(x + after(f(before(x)))).
struct Norms {
  std::optional<Norm> before, after, sum;
};

// Tables stay where they are, mapped from the model's file: only the rows of tokens that occur are ever read.
struct Embeddings {
  const float* word;        // [vocabulary, hidden]
  const float* position;    // [positions, hidden], or null
  const float* token_type;  // [types, hidden], or null
  std::optional<Norm> norm;
  const float* relative_bias;  // [heads, 2 · longest - 1], by key's place - query's place + longest - 1; or null
  int bias_heads;
  int longest;
};

struct LayerWeights {
  Linear query, key, value, attention_output;
  Norms attention_norms;
  std::optional<Linear> gate;
  Linear intermediate, output;
  Norms feed_forward_norms;
  int heads;     // that query
  int kv_heads;  // that have keys and values, each for heads / kv_heads that query
  int head_size;
  Activation activation;
  int window;  // how many tokens on each side a token looks at
  int turns;   // which of a batch's turns it takes; -1 for none
};

// Several texts end to end: text i owns offsets[i] … offsets[i + 1] - 1.
struct Batch {
  const std::int32_t* ids;
  const std::int32_t* positions;  // rows of the position table, and of the turns
  const std::int32_t* offsets;
  int texts;
  const std::int8_t* segments;  // rows of the token type table, or null if all are 0
  std::vector<Turns> turns;
};

class Encoder {
 public:
  Encoder(const Kernels& kernels, Dtype dtype, int hidden, const Embeddings& embeddings);

  // Packs the weights; they are not needed afterwards. All layers have as many heads, and are as wide.
  void add_layer(const LayerWeights& weights);

  // What follows the last layer.
  void add_final_norm(const Norm& norm);

  // Token vectors to out [tokens, hidden]. Returns false if `stop` said so, asked about every 50 ms from this thread.
  // May be called from several threads at once.
  bool run(const Batch& batch, float* out, int threads, const std::function<bool()>& stop) const;

 private:
  struct PackedNorm {
    PackedNorm(const Norm& norm, int size);
    Array<float> weight, bias;
    float eps;
  };
  struct PackedNorms {
    PackedNorms(const Norms& norms, int size);
    std::optional<PackedNorm> before, after, sum;
  };
  struct Layer {
    Packed attention_input, attention_output;
    std::optional<Packed> gate;
    Packed intermediate, output;
    PackedNorms attention_norms, feed_forward_norms;
    int heads, kv_heads, head_size;
    Activation activation;
    int window, turns;
  };
  struct Chunk;
  struct Workspace;

  struct Plan;

  bool gated() const { return layers_.front().gate.has_value(); }
  Plan cut(const Batch&, int tokens_per_chunk) const;
  void forward(const Batch&, const Chunk&, Workspace&, Team&, int rank, Stop* asker, const Stop&, float* out) const;
  void embed(std::int32_t id, std::int32_t position, std::int8_t segment, float* x) const;
  bool worth_sharing(int tokens) const;

  const Kernels& kernels_;
  const Dtype dtype_;
  const int hidden_;
  int intermediate_ = 0;  // as the layers have it
  Embeddings embeddings_;
  PackedNorms embedding_norms_;
  std::optional<PackedNorm> final_norm_;
  Array<float> relative_bias_;
  std::ptrdiff_t bias_stride_;
  bool sums_stay_;  // whether a sum is still needed when it has been normalised
  std::vector<Layer> layers_;
  mutable std::atomic<int> calls_{0};
};

}  // namespace pellucid
