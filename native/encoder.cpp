#include "encoder.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <iterator>

#include "operand.h"

namespace pellucid {
namespace {

// In a longer text, one layer can take seconds, so the attention also polls whether to stop.
constexpr int long_text = 512;

// The fewest rows that a worker takes at a time, of a step that takes rows one by one.
constexpr int rows_per_unit = 8;

// The queries of one head that a worker takes at a time, if several share a head. Each packs the keys for itself, so fewer
// would cost more than they gain.
constexpr int queries_per_block = 128;

// About how many multiply-adds a core does in a nanosecond, by dtype, and how many bytes of weights it reads. And what one
// more worker costs: to start it, and for each step. Only the number of workers for one short call depends on these.
constexpr double multiply_adds_per_ns[dtype_count] = {60, 110, 150, 110, 120}, bytes_per_ns = 20;
constexpr double bytes_per_weight[dtype_count] = {4, 2, 1, 2, 0.5625};
constexpr double ns_per_start = 15000, ns_per_step = 150;

}  // namespace

// The memory that one team works in, for a chunk of `rows` tokens. Its size grows with the chunk and with the longest
// text. A chunk has at most tokens_per_chunk tokens for each worker, or is one longer text. `inner` holds first the
// queries, keys and values side by side, and then the intermediate vectors of the feed-forward; it is wide enough for
// either, as is `gate`.
//
// Each sublayer adds its result to the residual stream. If a norm follows every sum, the residual stream is `x`, and
// one buffer for sums is enough. Otherwise it is the previous sum, which is still read while the next sum is written,
// so there are two buffers.
struct Encoder::Workspace {
  // For some of a call's chunks.
  Workspace(const Encoder& e, const std::vector<Chunk>& chunks, const std::int32_t* offsets, int threads)
      : Workspace(e, largest(chunks, [&](const Chunk& c) { return tokens_of(c, offsets); }),
                  largest(chunks, [&](const Chunk& c) {
                    int longest = 0;
                    for (int text = c.first; text < c.last; ++text) {
                      longest = std::max(longest, offsets[text + 1] - offsets[text]);
                    }
                    return longest;
                  }),
                  threads) {}

  Workspace(const Encoder& e, int rows, int longest, int threads)
      : stride(e.layers_.front().attention_output.stride()),
        context_stride(static_cast<std::ptrdiff_t>(
            // The padding keeps rows from being a multiple of 4 KiB apart, where they would share one set of the cache.
            round_up(size(e.layers_.front().heads * e.layers_.front().head_size), 16) + 16)),
        wide(std::max(e.layers_.front().attention_input.stride(), e.layers_.front().intermediate.stride())),
        x(size(rows) * size(int(stride)) + slack),
        sum(size(rows) * size(int(stride)) + slack),
        next_sum(e.sums_stay_ ? size(rows) * size(int(stride)) + slack : 0),
        context(size(rows) * size(int(context_stride)) + slack),
        inner(size(rows) * size(int(wide)) + slack),
        gate(e.gated() ? size(rows) * size(int(wide)) + slack : 0),
        scratch_size(e.kernels_.attention_scratch[int(e.dtype_)](longest, e.layers_.front().head_size,
                                                                 e.embeddings_.place_count)),
        scratch(scratch_size * size(threads)),
        narrow_operand(e.kernels_, e.dtype_, rows, e.hidden_),
        wide_operand(e.kernels_, e.layers_.front().output.dtype(), rows, e.intermediate_) {
    const int features = e.layers_.front().heads * e.layers_.front().head_size;
    if (features != e.hidden_) own_context_operand.emplace(e.kernels_, e.dtype_, rows, features);
    if (e.projection_) embedding_operand.emplace(e.kernels_, e.dtype_, rows, e.embeddings_.size);
  }

  template <class Measure>
  static int largest(const std::vector<Chunk>& chunks, Measure measure) {
    int most = 0;
    for (const Chunk& chunk : chunks) most = std::max(most, measure(chunk));
    return most;
  }

  const Operand& context_operand() const { return own_context_operand ? *own_context_operand : narrow_operand; }

  std::ptrdiff_t stride, context_stride, wide;
  Array<float> x, sum, next_sum, context, inner, gate;
  std::size_t scratch_size;
  Array<float> scratch;
  Operand narrow_operand, wide_operand;
  std::optional<Operand> own_context_operand, embedding_operand;
};

Encoder::PackedNorms::PackedNorms(const Norms& norms, int size) {
  if (norms.before) before.emplace(*norms.before, size);
  if (norms.after) after.emplace(*norms.after, size);
  if (norms.sum) sum.emplace(*norms.sum, size);
}

Encoder::Encoder(const Kernels& kernels, Dtype dtype, int hidden, const Embeddings& embeddings)
    : kernels_(kernels),
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
                     w.kv_heads, w.head_size, w.activation, w.window, w.turns,
                     pack_places(w.place_keys, w.heads, w.head_size),
                     pack_places(w.place_queries, w.heads, w.head_size), 0.0f});
  const int products = 1 + (w.place_keys != nullptr) + (w.place_queries != nullptr);
  layers_.back().scale = 1 / std::sqrt(static_cast<float>(w.head_size * products));
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
  const float* word = embeddings_.word + static_cast<std::ptrdiff_t>(id) * count;
  std::copy_n(word, count, x);
  if (embeddings_.position) {
    const float* row = embeddings_.position + static_cast<std::ptrdiff_t>(position) * count;
    for (int i = 0; i < count; ++i) x[i] += row[i];
  }
  if (embeddings_.token_type) {
    const float* row = embeddings_.token_type + static_cast<std::ptrdiff_t>(segment) * count;
    for (int i = 0; i < count; ++i) x[i] += row[i];
  }
}

// Takes one chunk through all layers. Every worker of a team runs this, and takes a part of each step. The caller's own
// worker also finds out whether to stop.
void Encoder::forward(const Batch& batch, const Chunk& chunk, Workspace& w, Worker& worker, Stop& stop,
                      float* out) const {
  const int first_token = batch.offsets[chunk.first];
  int rows = tokens_of(chunk, batch.offsets);  // of which the last layer may need only one for each text
  const auto each_row = [&](auto use) {
    worker.share(rows, rows_per_unit, [&](int row, int last) {
      for (; row < last; ++row) use(row);
    });
  };
  const auto multiply = [&](const Packed& weights, const Rows& x, Activation activation, const float* factor,
                            const float* residual, float* y, std::ptrdiff_t stride) {
    pellucid::multiply(kernels_, weights.dtype(), {x, rows, weights.panels(), activation, factor, residual, y, stride},
                       worker);
  };
  const auto normalise = [&](const float* from, const PackedNorm& norm, float* to) {
    kernels_.layer_norm(from, norm.weight.data(), norm.bias.data(), norm.eps, hidden_, to);
  };
  const auto prepare = [&](const Operand& operand, const Array<float>& x, std::ptrdiff_t stride) {
    if (operand.is_quantised()) each_row([&](int row) { operand.prepare(x.data() + row * stride, row); });
  };
  float* residual = nullptr;
  float *sum = w.sum.data(), *next_sum = w.next_sum.data();
  const PackedNorms no_norms({}, hidden_);
  // Turns the result of a sublayer, in `sum`, into the next sublayer's residual and its input x. `sum` already includes
  // the residual, unless a norm must come before that addition.
  const auto normalise_sum = [&](const PackedNorms& norms, const std::optional<PackedNorm>& next_before) {
    each_row([&](int row) {
      float *s = sum + row * w.stride, *x = w.x.data() + row * w.stride;
      if (norms.after) {
        normalise(s, *norms.after, s);
        for (int i = 0; i < hidden_; ++i) s[i] += residual[row * w.stride + i];
      }
      if (norms.sum) normalise(s, *norms.sum, next_before ? s : x);
      if (next_before) normalise(s, *next_before, x);
      if (!norms.sum && !next_before) std::copy_n(s, hidden_, x);
      w.narrow_operand.prepare(x, row);
    });
    if (norms.sum && !next_before) {
      residual = w.x.data();
    } else {
      residual = sum;
      std::swap(sum, next_sum);
    }
  };
  // Computes the last product of a sublayer, from its rows `f`, and prepares the next sublayer.
  const auto finish_sublayer = [&](const Packed& weights, const Rows& f, const PackedNorms& norms,
                                   const std::optional<PackedNorm>& next_before) {
    multiply(weights, f, Activation::identity, nullptr, norms.after ? nullptr : residual, sum, w.stride);
    normalise_sum(norms, next_before);
  };

  each_row([&](int row) {
    const int token = first_token + row;
    embed(batch.ids[token], batch.positions[token], batch.segments ? batch.segments[token] : std::int8_t{0},
          sum + row * w.stride);
  });
  if (projection_) {
    each_row([&](int row) {
      float *s = sum + row * w.stride, *x = w.x.data() + row * w.stride;
      if (embedding_norms_.sum) {
        const PackedNorm& norm = *embedding_norms_.sum;
        kernels_.layer_norm(s, norm.weight.data(), norm.bias.data(), norm.eps, embeddings_.size, x);
      } else {
        std::copy_n(s, embeddings_.size, x);
      }
      w.embedding_operand->prepare(x, row);
    });
    multiply(*projection_, w.embedding_operand->rows(w.x.data(), w.stride), Activation::identity, nullptr, nullptr, sum,
             w.stride);
    normalise_sum(no_norms, layers_.front().attention_norms.before);
  } else {
    normalise_sum(embedding_norms_, layers_.front().attention_norms.before);
  }

  for (std::size_t step = 0; step < order_.size(); ++step) {
    const Layer& layer = layers_[size(order_[step])];
    const bool is_last = step + 1 == order_.size();
    const std::int32_t* wanted = is_last && batch.wanted ? batch.wanted + chunk.first : nullptr;
    const int head_size = layer.head_size;
    if (worker.is_caller()) stop.poll();
    if (stop.requested()) return;  // Workers need not agree: the others do all units of a step, or stop too.

    const Rows x = w.narrow_operand.rows(w.x.data(), w.stride);
    multiply(layer.attention_input, x, Activation::identity, nullptr, nullptr, w.inner.data(), w.wide);
    if (layer.turns >= 0) {
      const Turns& turns = batch.turns[size(layer.turns)];
      each_row([&](int row) {  // Queries and keys are side by side, so one call rotates both.
        const std::ptrdiff_t start = static_cast<std::ptrdiff_t>(batch.positions[first_token + row]) * (head_size / 2);
        kernels_.rotate(w.inner.data() + row * w.wide, turns.cos + start, turns.sin + start, head_size,
                        layer.heads + layer.kv_heads);
      });
    }
    attend(batch, chunk, layer, wanted, w, worker, stop);
    if (wanted) {
      // From here on, each row depends on itself alone, so the others are left out. Each text has a token, so no row is
      // overwritten before it is moved.
      worker.each(1, [&](int) {
        for (int text = 0; text < chunk.last - chunk.first; ++text) {
          const std::ptrdiff_t row = batch.offsets[chunk.first + text] - first_token + wanted[text];
          std::memmove(residual + text * w.stride, residual + row * w.stride, size(hidden_) * sizeof(float));
          std::memmove(w.context.data() + text * w.context_stride, w.context.data() + row * w.context_stride,
                       size(layer.heads * head_size) * sizeof(float));
        }
      });
      rows = chunk.last - chunk.first;
    }
    const Operand& context = w.context_operand();
    prepare(context, w.context, w.context_stride);
    finish_sublayer(layer.attention_output, context.rows(w.context.data(), w.context_stride), layer.attention_norms,
                    layer.feed_forward_norms.before);

    if (layer.gate) multiply(*layer.gate, x, layer.activation, nullptr, nullptr, w.gate.data(), w.wide);
    multiply(layer.intermediate, x, layer.gate ? Activation::identity : layer.activation,
             layer.gate ? w.gate.data() : nullptr, nullptr, w.inner.data(), w.wide);
    prepare(w.wide_operand, w.inner, w.wide);
    finish_sublayer(layer.output, w.wide_operand.rows(w.inner.data(), w.wide), layer.feed_forward_norms,
                    is_last ? final_norm_ : layers_[size(order_[step + 1])].attention_norms.before);
  }
  write(batch, chunk, w, worker, out);
}

// Computes the context of all tokens of a chunk, or of the wanted ones.
void Encoder::attend(const Batch& batch, const Chunk& chunk, const Layer& layer, const std::int32_t* wanted,
                     Workspace& w, Worker& worker, Stop& stop) const {
  const int head_size = layer.head_size, queries = layer.heads * head_size, keys = layer.kv_heads * head_size;
  const int heads_per_key = layer.heads / layer.kv_heads, texts = chunk.last - chunk.first;
  const bool has_places = layer.place_keys.data() || layer.place_queries.data();
  const float* bias = embeddings_.relative_bias;
  const std::int32_t* offsets = batch.offsets + chunk.first;
  const auto length = [&](int text) { return offsets[text + 1] - offsets[text]; };
  // Whether a head has one scale for all keys, or needs the products of all keys with places: then all keys are needed for
  // any query.
  const bool needs_all_keys = dtype_ != Dtype::float32 || has_places;

  // The queries first … last - 1 of one head in one text.
  const auto attend_head = [&](int text, int head, int first, int last) {
    const int tokens = length(text), attended = batch.attended ? batch.attended[chunk.first + text] : tokens;
    if (worker.is_caller() && tokens > long_text) stop.poll();
    if (stop.requested()) return;
    // The first key that a query looks at. It begins a panel, so that all sums have the same order.
    int start = needs_all_keys ? 0 : std::max(0, first - layer.window) / kernels_.panel * kernels_.panel;
    start = std::min(start, (attended - 1) / kernels_.panel * kernels_.panel);
    const int end = needs_all_keys || layer.window > tokens ? attended : std::min(attended, last + layer.window);
    const std::ptrdiff_t at = offsets[text] - offsets[0] + start;
    const float* row = w.inner.data() + at * w.wide;
    const float* key = row + queries + head / heads_per_key * head_size;
    const std::ptrdiff_t packed = static_cast<std::ptrdiff_t>(round_up(size(embeddings_.place_count),
                                                                       size(kernels_.panel))) * head_size * head;
    const auto of_head = [&](const Array<float>& all) { return all.data() ? all.data() + packed : nullptr; };
    const Places places{of_head(layer.place_keys), of_head(layer.place_queries),
                        embeddings_.places ? embeddings_.places + embeddings_.longest - 1 : nullptr,
                        embeddings_.place_count};
    kernels_.attend[int(dtype_)]({row + head * head_size, key, key + keys, w.wide, end - start, first - start,
                                  last - start, head_size, layer.scale, layer.window,
                                  bias ? bias + head * bias_stride_ + embeddings_.longest - 1 : nullptr, places,
                                  w.context.data() + at * w.context_stride + head * head_size, w.context_stride,
                                  w.scratch.data() + size(worker.place()) * w.scratch_size});
  };

  // Heads are shared; and each head's queries too, in blocks, if there are few heads and this does not repeat much work.
  const bool splits = !wanted && !has_places && texts * layer.heads < Worker::units_per_worker * worker.team_size() &&
                      worker.team_size() > 1;
  const auto blocks_of = [&](int text) {
    const bool is_cheap = dtype_ == Dtype::float32 || layer.window >= length(text);
    return splits && is_cheap ? (length(text) + queries_per_block - 1) / queries_per_block : 1;
  };
  int blocks_of_heads = 0;
  double multiply_adds = 0;
  for (int text = 0; text < texts; ++text) {
    blocks_of_heads += blocks_of(text) * layer.heads;
    multiply_adds += 2.0 * length(text) * std::min<double>(length(text), 2.0 * layer.window) * queries;
  }
  const int units = worker.units_of(multiply_adds);
  worker.share(blocks_of_heads, (blocks_of_heads + units - 1) / units, [&](int unit, int end) {
    for (int text = 0, before = 0; text < texts && unit < end; ++text) {
      const int blocks = blocks_of(text), tokens = length(text);
      while (unit < std::min(end, before + blocks * layer.heads)) {
        const int head = (unit - before) / blocks, next = std::min(end, before + (head + 1) * blocks);
        const int first = (unit - before) % blocks * queries_per_block, count = (next - unit) * queries_per_block;
        if (blocks == 1) {
          attend_head(text, head, wanted ? wanted[text] : 0, wanted ? wanted[text] + 1 : tokens);
        } else {
          attend_head(text, head, first, std::min(first + count, tokens));
        }
        unit = next;
      }
      before += blocks * layer.heads;
    }
  });
}

// Writes the results of a chunk, from the vectors in `x`.
void Encoder::write(const Batch& batch, const Chunk& chunk, const Workspace& w, Worker& worker, float* out) const {
  const int first_token = batch.offsets[chunk.first], texts = chunk.last - chunk.first;
  if (batch.poolings.empty()) {
    const int first_row = batch.wanted ? chunk.first : first_token;
    worker.share(batch.wanted ? texts : tokens_of(chunk, batch.offsets), rows_per_unit, [&](int row, int last) {
      for (; row < last; ++row) {
        std::copy_n(w.x.data() + row * w.stride, hidden_, out + std::ptrdiff_t{first_row + row} * hidden_);
      }
    });
    return;
  }
  worker.share(texts, 1, [&](int text, int last) {
    for (; text < last; ++text) {
      const int number = chunk.first + text, skipped = batch.skipped ? batch.skipped[number] : 0;
      const std::ptrdiff_t start = batch.offsets[number] + skipped - first_token;
      const int count = batch.offsets[number + 1] - batch.offsets[number] - skipped;
      float* to = out + std::ptrdiff_t{number} * hidden_ * static_cast<std::ptrdiff_t>(batch.poolings.size());
      for (const Pooling pooling : batch.poolings) {
        if (count > 0) {
          pool(pooling, w.x.data() + start * w.stride, w.stride, count, skipped, hidden_, to);
        } else {
          std::fill_n(to, hidden_, 0.0f);
        }
        to += hidden_;
      }
    }
  });
}

// How many workers are worth starting for a call of so many tokens that all of them share.
int Encoder::useful_workers(int tokens, int most) const {
  const double hidden = hidden_, layers = static_cast<double>(order_.size());
  const double weights = hidden * (4 * hidden + (gated() ? 3 : 2) * intermediate_) * layers;
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
