#include "encoder.h"

#include <algorithm>
#include <cmath>
#include <iterator>

#include "workspace.h"

namespace pellucid {
namespace {

// About how many multiply-adds a core does in a nanosecond, by dtype, and how many bytes of weights it reads. And what one
// more worker costs: to start it, and for each step. Only the number of workers for one short call depends on these.
constexpr double multiply_adds_per_ns[dtype_count] = {60, 110, 150, 110, 120}, bytes_per_ns = 20;
constexpr double bytes_per_weight[dtype_count] = {4, 2, 1, 2, 0.5625};
constexpr double ns_per_start = 15000, ns_per_step = 150;

}  // namespace

Encoder::PackedNorms::PackedNorms(const Norms& norms, int size) {
  if (norms.before) before.emplace(*norms.before, size);
  if (norms.after) after.emplace(*norms.after, size);
  if (norms.sum) sum.emplace(*norms.sum, size);
}

Encoder::Encoder(const Kernels& kernels, Dtype dtype, int hidden, const Embeddings& embeddings)
    : kernels_(kernels),
      attention_(dtype == Dtype::float32 ? kernels.attention : kernels.rounded_attention),
      dtype_(dtype),
      hidden_(hidden),
      embeddings_(embeddings),
      embedding_norms_({std::nullopt, std::nullopt, embeddings.norm}, embeddings.size),
      bias_stride_(0),
      sums_stay_(!embeddings.norm || embeddings.projection) {
  if (embeddings.projection) {
    projection_.emplace(kernels, dtype, std::vector<Linear>{*embeddings.projection});
    embeddings_.projection.reset();  // The model's own copy is not needed any more.
  }
  const std::size_t distances = 2 * size(embeddings.longest) - 1, heads = size(embeddings.bias_heads);
  if (embeddings.places) {
    places_ = Array<std::int32_t>(distances);
    std::copy_n(embeddings.places, distances, places_.data());
    embeddings_.places = places_.data();
  }
  if (!embeddings.relative_bias) return;
  relative_bias_ = Array<float>(heads * distances + slack);
  bias_stride_ = static_cast<std::ptrdiff_t>(distances);
  std::fill_n(relative_bias_.data(), heads * distances + slack, 0.0f);
  std::copy_n(embeddings.relative_bias, heads * distances, relative_bias_.data());
  embeddings_.relative_bias = relative_bias_.data();
}

void Encoder::add_layer(const LayerWeights& w) {
  intermediate_ = w.intermediate.out;
  // A gated feed-forward multiplies two vectors. Their product has outliers (Yang et al., "Activation Spikes in
  // GLU-Based LLMs", 2024) that would leave few of 8 bits for the other numbers.
  const Dtype output_dtype = w.gate && dtype_ == Dtype::int8 ? Dtype::int16 : dtype_;
  std::optional<Packed> gate;
  if (w.gate) gate.emplace(kernels_, dtype_, std::vector<Linear>{*w.gate});
  layers_.push_back({Packed(kernels_, dtype_, {w.query, w.key, w.value}),
                     Packed(kernels_, dtype_, {w.attention_output}), std::move(gate),
                     Packed(kernels_, dtype_, {w.intermediate}), Packed(kernels_, output_dtype, {w.output}),
                     PackedNorms(w.attention_norms, hidden_), PackedNorms(w.feed_forward_norms, hidden_), w.heads,
                     w.kv_heads, w.head_size, w.activation, w.before, w.after, w.turns,
                     pack_places(w.place_keys, w.heads, w.head_size),
                     pack_places(w.place_queries, w.heads, w.head_size), std::nullopt, std::nullopt, 0.0f});
  Layer& layer = layers_.back();
  if (w.query_norm) layer.query_norm.emplace(*w.query_norm, w.head_size);
  if (w.key_norm) layer.key_norm.emplace(*w.key_norm, w.head_size);
  const int products = 1 + (w.place_keys != nullptr) + (w.place_queries != nullptr);
  layer.scale = w.scale ? *w.scale : 1 / std::sqrt(static_cast<float>(w.head_size * products));
  order_.push_back(static_cast<int>(layers_.size()) - 1);
  const auto only_sum = [](const Norms& norms) { return norms.sum && !norms.before; };
  sums_stay_ = sums_stay_ || !only_sum(w.attention_norms) || !only_sum(w.feed_forward_norms);
}

// Packs the vectors of relative positions like the keys of a text: for each head [panels, head_size, panel].
Array<float> Encoder::pack_places(const float* vectors, int heads, int head_size) const {
  if (!vectors) return {};
  const int panel = kernels_.panel, places = embeddings_.place_count;
  const std::size_t padded = round_up(size(places), size(panel));
  Array<float> packed(padded * size(heads) * size(head_size) + slack);
  std::fill_n(packed.data(), padded * size(heads) * size(head_size) + slack, 0.0f);
  for (int place = 0; place < places; ++place) {
    for (int head = 0; head < heads; ++head) {
      const float* from = vectors + (static_cast<std::ptrdiff_t>(place) * heads + head) * head_size;
      float* to = packed.data() + (size(head) * padded + size(place / panel * panel)) * size(head_size) + place % panel;
      for (int k = 0; k < head_size; ++k) to[static_cast<std::ptrdiff_t>(k) * panel] = from[k];
    }
  }
  return packed;
}

void Encoder::add_layer_again(int number) { order_.push_back(number); }

void Encoder::add_final_norm(const Norm& norm) {
  final_norm_.emplace(norm, hidden_);
  sums_stay_ = true;
}

// Adds the rows of the word, position and token type tables, in the same order as the reference engine.
void Encoder::embed(std::int32_t id, std::int32_t position, std::int8_t segment, float* x) const {
  const int count = embeddings_.size;
  const float* word = embeddings_.word.row(size(id), size(count), x);
  if (word != x) std::copy_n(word, count, x);
  if (embeddings_.scale != 1) {
    for (int i = 0; i < count; ++i) x[i] *= embeddings_.scale;
  }
  if (embeddings_.position) {
    const float* row = embeddings_.position + static_cast<std::ptrdiff_t>(position) * count;
    for (int i = 0; i < count; ++i) x[i] += row[i];
  }
  if (embeddings_.token_type) {
    const float* row = embeddings_.token_type + static_cast<std::ptrdiff_t>(segment) * count;
    for (int i = 0; i < count; ++i) x[i] += row[i];
  }
}

// How many workers are worth starting for a call of so many tokens that all of them share.
int Encoder::useful_workers(int tokens, int most) const {
  const double hidden = hidden_, layers = static_cast<double>(order_.size());
  const double heads = 2.0 * (layers_.front().heads + layers_.front().kv_heads) * layers_.front().head_size;
  const double weights = hidden * (heads + (gated() ? 3 : 2) * intermediate_) * layers;
  const double work = std::max(tokens * weights / multiply_adds_per_ns[int(dtype_)],
                               weights * bytes_per_weight[int(dtype_)] / bytes_per_ns);
  const double steps = 8 * layers;
  return pellucid::useful_workers(work, ns_per_start + steps * ns_per_step, most);
}

bool Encoder::run(const Batch& batch, float* out, int threads, const std::function<bool()>& should_stop) const {
  if (batch.texts == 0) return true;
  struct Counter {
    explicit Counter(std::atomic<int>& calls) : count(calls), others(calls.fetch_add(1)) {}
    ~Counter() { --count; }
    std::atomic<int>& count;
    const int others;
  } calls(calls_);

  Stop stop(should_stop);
  const std::int32_t* offsets = batch.offsets;
  const int tokens = offsets[batch.texts];
  std::vector<Chunk> own = cut_for_each(offsets, batch.texts, threads), shared;
  int workers = threads;
  if (static_cast<int>(own.size()) < threads) {
    // All workers share all chunks. But one worker does it all if there is little work, or while another call is running:
    // then several would wait for cores and for each other.
    workers = calls.others == 0 ? useful_workers(tokens, threads) : 1;
    shared = cut_for_all(offsets, batch.texts, workers);
    own.clear();
  } else {
    // Each worker takes one chunk after another through all layers, and waits for no other worker. But texts so long that
    // the others would be done before are shared, first.
    const int fair = std::max(tokens_per_chunk, tokens / threads);
    const auto is_long = [&](const Chunk& chunk) { return threads > 1 && tokens_of(chunk, offsets) > fair; };
    std::copy_if(own.begin(), own.end(), std::back_inserter(shared), is_long);
    own.erase(std::remove_if(own.begin(), own.end(), is_long), own.end());
  }
  std::optional<Workspace> common;
  if (!shared.empty()) common.emplace(*this, shared, offsets, workers);
  std::vector<Workspace> workspaces;
  for (int i = 0; i < workers && !own.empty(); ++i) workspaces.emplace_back(*this, own, offsets, 1);
  Team team(workers);
  std::atomic<std::size_t> next{0};
  run_workers(workers, stop, [&](int rank) {
    Worker worker(team, rank, rank == 0);
    for (const Chunk& chunk : shared) {
      if (!stop.requested()) forward(batch, chunk, *common, worker, stop, out);
    }
    Team no_others(1);
    Worker alone(no_others, 0, rank == 0);
    for (std::size_t i; !stop.requested() && (i = next++) < own.size();) {
      forward(batch, own[i], workspaces[size(rank)], alone, stop, out);
    }
  });
  return !stop.requested();
}

}  // namespace pellucid
