// The forward pass of a transformer, for batches without padding. The structs below hold everything in which
// model families differ.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "chunks.h"
#include "kernels.h"
#include "memory.h"
#include "packed.h"
#include "pooling.h"
#include "stored.h"
#include "team.h"

namespace pellucid {

// The norms around a sublayer f, which turns x into sum(x + after(f(before(x)))).
struct Norms {
  std::optional<Norm> before, after, sum;
};

// The embedding tables. They are not copied: they stay mapped from the model's file, and only the rows of tokens that
// occur are ever read. Their rows have the hidden size, unless a linear layer follows, which gives them that size.
struct Embeddings {
  int size;
  StoredNumbers word;       // [vocabulary, size]
  const float* position;    // [positions, size], or null
  const float* token_type;  // [types, size], or null
  std::optional<Norm> norm;
  std::optional<Linear> projection;  // follows the norm
  const float* relative_bias;  // [heads, 2 · longest - 1], with column longest - 1 for the distance 0; or null
  int bias_heads;              // rows of relative_bias
  int longest;                 // the longest text for which there are distances, in tokens
  const std::int32_t* places;  // the relative position for each distance, [2 · longest - 1], query - key; or null
  int place_count;             // the number of relative positions
  float scale = 1;             // of the rows of `word`
};

struct LayerWeights {
  Linear query, key, value, attention_output;
  Norms attention_norms;
  std::optional<Linear> gate;
  Linear intermediate, output;
  Norms feed_forward_norms;
  int heads;     // query heads
  int kv_heads;  // key and value heads; each serves heads / kv_heads query heads
  int head_size;
  Activation activation;
  int before, after;  // how many tokens before itself and after itself a token looks at
  int turns;          // index into Batch::turns; -1 if the layer has no rotations
  // The keys and queries of relative positions, [place_count, heads · head_size], in DeBERTa; else null.
  const float* place_keys = nullptr;
  const float* place_queries = nullptr;
  std::optional<Norm> query_norm{}, key_norm{};  // of each head's query and key, before they are rotated
  std::optional<float> scale{};                  // of attention scores; 1 / √head_size if there is none
};

// Several texts, end to end. Text i owns the tokens offsets[i] … offsets[i + 1] - 1.
struct Batch {
  const std::int32_t* ids;
  const std::int32_t* positions;  // rows of the position table and of the turns
  const std::int32_t* offsets;
  int texts;
  const std::int8_t* segments;  // rows of the token type table, or null if all are 0
  const std::int32_t* wanted;   // the one token of each text whose vector is wanted; or null if all are
  std::vector<Turns> turns;
  // Tokens look only at this many of their text's tokens, the first ones; null if they look at all.
  const std::int32_t* attended = nullptr;
  // How each text's vectors are pooled; the results are put side by side. Empty if the vectors themselves are wanted.
  std::vector<Pooling> poolings{};
  const std::int32_t* skipped = nullptr;  // the first tokens of each text that are not pooled; null if all are
};

class Encoder {
 public:
  Encoder(const Kernels& kernels, Dtype dtype, int hidden, const Embeddings& embeddings);

  // Adds a layer and packs its weights, which are not needed afterwards. All layers must have the same heads and sizes.
  void add_layer(const LayerWeights& weights);

  // Adds a layer that has the weights of an earlier one.
  void add_layer_again(int number);

  // Adds the norm that follows the last layer.
  void add_final_norm(const Norm& norm);

  // Computes the token vectors and writes them to out [tokens, hidden]; or, if one token of each text is wanted, their
  // vectors to out [texts, hidden], with the same bits; or, if they are pooled, the results to out [texts, poolings · hidden].
  // Calls should_stop() about every 50 ms, from this thread; if that returns true, run() ends early and returns false.
  // Several threads may call run() at the same time.
  bool run(const Batch& batch, float* out, int threads, const std::function<bool()>& should_stop) const;

 private:
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
    int before, after, turns;
    Array<float> place_keys, place_queries;  // packed, head after head; empty if the layer has none
    std::optional<PackedNorm> query_norm, key_norm;
    float scale;  // of attention scores
  };
  struct Workspace;
  class AttentionStep;

  bool gated() const { return layers_.front().gate.has_value(); }
  AttentionMemory attention_memory(int tokens) const;
  bool shares_queries(const Chunk& chunk, const std::int32_t* offsets, int workers) const;
  std::size_t packed_together(const Chunk& chunk, const std::int32_t* offsets, int workers) const;
  Array<float> pack_places(const float* vectors, int heads, int head_size) const;
  void forward(const Batch&, const Chunk&, Workspace&, Worker&, Stop&, float* out) const;
  void normalise_heads(const Layer&, float* queries_and_keys) const;
  void attend(const Batch&, const Chunk&, const Layer&, const std::int32_t* wanted, Workspace&, Worker&, Stop&) const;
  void write(const Batch&, const Chunk&, const Workspace&, Worker&, float* out) const;
  void embed(std::int32_t id, std::int32_t position, std::int8_t segment, float* x) const;
  int useful_workers(int tokens, int most) const;

  const Kernels& kernels_;
  const AttentionKernels& attention_;
  const Dtype dtype_;
  const int hidden_;
  int intermediate_ = 0;  // the same for all layers
  Embeddings embeddings_;
  PackedNorms embedding_norms_;
  std::optional<PackedNorm> final_norm_;
  Array<float> relative_bias_;
  Array<std::int32_t> places_;
  std::ptrdiff_t bias_stride_;
  bool sums_stay_;  // true if a sum is still needed after it was normalised
  std::optional<Packed> projection_;
  std::vector<Layer> layers_;
  std::vector<int> order_;  // the layers in the order in which texts go through them
  mutable std::atomic<int> calls_{0};
};

}  // namespace pellucid
