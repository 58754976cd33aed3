// The forward pass of a BERT-like encoder over ragged batches. What families differ in is in these structs.
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
};

struct Shape {
  int hidden;
  int heads;
  float layer_norm_eps;
  Activation activation;
  bool norm_first;  // what products add to are their sums so far, rather than the normalised rows they worked on
};

// Tables stay where they are, mapped from the model's file: only the rows of tokens that occur are ever read.
struct Embeddings {
  const float* word;        // [vocabulary, hidden]
  const float* position;    // [positions, hidden], or null
  const float* token_type;  // [hidden], or null
  Norm norm;
  const float* relative_bias;  // [heads, 2 · longest - 1], by key's place - query's place + longest - 1; or null
  int longest;
};

struct LayerWeights {
  Linear query, key, value, attention_output;
  Norm attention_norm;  // follows the attention's sum
  std::optional<Linear> gate;
  Linear intermediate, output;
  Norm feed_forward_norm;  // follows the feed-forward's sum
  int window;              // how many tokens on each side a token looks at
  int turns;               // which of a batch's turns it takes; -1 for none
};

// Several texts end to end: text i owns offsets[i] … offsets[i + 1] - 1.
struct Batch {
  const std::int32_t* ids;
  const std::int32_t* positions;  // rows of the position table, and of the turns
  const std::int32_t* offsets;
  int texts;
  std::vector<Turns> turns;
};

class Encoder {
 public:
  Encoder(const Kernels& kernels, Dtype dtype, const Shape& shape, const Embeddings& embeddings);

  // Packs the weights; they are not needed afterwards.
  void add_layer(const LayerWeights& weights);

  // Token vectors to out [tokens, hidden]. Returns false if `stop` said so, asked about every 50 ms from this thread.
  // May be called from several threads at once.
  bool run(const Batch& batch, float* out, int threads, const std::function<bool()>& stop) const;

 private:
  struct PackedNorm {
    PackedNorm(const Norm& norm, int size);
    Array<float> weight, bias;
  };
  struct Layer {
    Packed attention_input, attention_output;
    std::optional<Packed> gate;
    Packed intermediate, output;
    PackedNorm attention_norm, feed_forward_norm;
    int window, turns;
  };
  struct Chunk;
  struct Workspace;

  struct Plan;

  bool gated() const { return layers_.front().gate.has_value(); }
  Plan cut(const Batch&, int tokens_per_chunk) const;
  void forward(const Batch&, const Chunk&, Workspace&, Team&, int rank, Stop* asker, const Stop&, float* out) const;
  void embed(std::int32_t id, std::int32_t position, float* x) const;
  bool worth_sharing(int tokens) const;

  const Kernels& kernels_;
  const Dtype dtype_;
  const Shape shape_;
  int intermediate_ = 0;  // as the layers have it
  Embeddings embeddings_;
  PackedNorm embedding_norm_;
  Array<float> relative_bias_;
  std::ptrdiff_t bias_stride_;
  std::vector<Layer> layers_;
  mutable std::atomic<int> calls_{0};
};

}  // namespace pellucid
