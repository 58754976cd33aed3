#include "encoder.h"

#include <algorithm>
#include <cmath>
#include <cstring>

namespace pellucid {
namespace {

// A worker's texts go through the layers together until they have this many tokens: enough to make good use of each
// weight that is brought from memory, few enough for the rows to stay in the second-level cache.
constexpr int tokens_per_chunk = 256;

// Vectors are read whole, so the last row of an array may be read a little beyond its end.
constexpr std::size_t slack = 64;

// Of a text of more tokens, one layer can take seconds, so whether to stop is asked within it too.
constexpr int long_text = 512;

// Below this many multiply-adds a second thread would start too late to help.
constexpr double worth_a_thread = 1e7;

std::size_t size(int n) { return static_cast<std::size_t>(n); }

// Rows of activations as the kernels read them: floats as they are, or integers made from them.
class Operand {
 public:
  Operand(const Kernels& kernels, Dtype dtype, int rows, int features) : quantise_(kernels.quantise[int(dtype)]), depth_(dtype, features) {
    if (!quantise_) return;
    // Quantising writes whole vectors, up to 16 numbers too many.
    stride_ = static_cast<std::ptrdiff_t>(round_up(size(depth_.words) + 16, 16));
    words_ = Array<std::uint32_t>(size(rows) * size(int(stride_)));
    scale_ = Array<float>(size(rows) * size(depth_.groups));
    offset_ = Array<float>(size(rows) * size(depth_.groups));
  }

  bool integers() const { return quantise_ != nullptr; }

  // Makes ready one row of x; nothing to do for floats.
  void prepare(const float* x, int row) const {
    if (quantise_) quantise_(x, depth_, {words_.data(), stride_, scale_.data(), offset_.data()}, row);
  }

  Rows rows(float* x, std::ptrdiff_t stride) const {
    if (!quantise_) return {reinterpret_cast<std::uint32_t*>(x), stride, nullptr, nullptr};
    return {words_.data(), stride_, scale_.data(), offset_.data()};
  }

 private:
  void (*quantise_)(const float*, const Depth&, const Rows&, int);
  Depth depth_;
  std::ptrdiff_t stride_ = 0;
  Array<std::uint32_t> words_;
  Array<float> scale_, offset_;
};

}  // namespace

// Whole texts that go through the layers together.
struct Encoder::Chunk {
  int first, last;  // texts
};

struct Encoder::Plan {
  std::vector<Chunk> chunks;
  int rows = 0;     // tokens of the largest chunk
  int longest = 0;  // tokens of the longest text
};

// What one team works in, for a chunk of `rows` tokens. It grows with the chunk, and with the longest text: a chunk has
// at most tokens_per_chunk tokens for each worker, or is one longer text. `inner` and `gate` are as wide as the wider of
// what they hold in turn: queries, keys and values side by side, and what is between the two feed-forward products.
struct Encoder::Workspace {
  Workspace(const Encoder& e, int rows, int longest, int threads)
      : stride(e.layers_.front().attention_output.stride()),
        wide(std::max(e.layers_.front().attention_input.stride(), e.layers_.front().intermediate.stride())),
        x(size(rows) * size(int(stride)) + slack),
        sum(size(rows) * size(int(stride)) + slack),
        context(size(rows) * size(int(stride)) + slack),
        next_sum(e.shape_.norm_first ? size(rows) * size(int(stride)) + slack : 0),
        inner(size(rows) * size(int(wide)) + slack),
        gate(e.gated() ? size(rows) * size(int(wide)) + slack : 0),
        scratch_size(e.kernels_.attention_scratch(longest, e.shape_.hidden / e.shape_.heads)),
        scratch(scratch_size * size(threads)),
        narrow_operand(e.kernels_, e.dtype_, rows, e.shape_.hidden),
        wide_operand(e.kernels_, e.layers_.front().output.dtype(), rows, e.intermediate_) {}

  std::ptrdiff_t stride, wide;
  Array<float> x, sum, context, next_sum, inner, gate;
  std::size_t scratch_size;
  Array<float> scratch;
  Operand narrow_operand, wide_operand;
};

Encoder::PackedNorm::PackedNorm(const Norm& norm, int n) : weight(size(n) + slack), bias(size(n) + slack) {
  std::fill_n(weight.data(), size(n) + slack, 0.0f);
  std::fill_n(bias.data(), size(n) + slack, 0.0f);
  std::copy_n(norm.weight, n, weight.data());
  std::copy_n(norm.bias, n, bias.data());
}

Encoder::Encoder(const Kernels& kernels, Dtype dtype, const Shape& shape, const Embeddings& embeddings)
    : kernels_(kernels),
      dtype_(dtype),
      shape_(shape),
      embeddings_(embeddings),
      embedding_norm_(embeddings.norm, shape.hidden),
      bias_stride_(0) {
  if (!embeddings.relative_bias) return;
  const std::size_t distances = 2 * size(embeddings.longest) - 1, heads = size(shape.heads);
  relative_bias_ = Array<float>(heads * distances + slack);
  bias_stride_ = static_cast<std::ptrdiff_t>(distances);
  std::fill_n(relative_bias_.data(), heads * distances + slack, 0.0f);
  std::copy_n(embeddings.relative_bias, heads * distances, relative_bias_.data());
  embeddings_.relative_bias = relative_bias_.data();
}

void Encoder::add_layer(const LayerWeights& w) {
  const int panel = kernels_.panel;
  intermediate_ = w.intermediate.out;
  // What comes out of a gate is a product of two, with outliers (Yang et al., "Activation Spikes in GLU-Based LLMs",
  // 2024) that would leave few of 8 bits to the rest.
  const Dtype output = w.gate && dtype_ == Dtype::int8 ? Dtype::int16 : dtype_;
  std::optional<Packed> gate;
  if (w.gate) gate.emplace(dtype_, panel, std::vector<Linear>{*w.gate});
  layers_.push_back({Packed(dtype_, panel, {w.query, w.key, w.value}), Packed(dtype_, panel, {w.attention_output}),
                     std::move(gate), Packed(dtype_, panel, {w.intermediate}), Packed(output, panel, {w.output}),
                     PackedNorm(w.attention_norm, shape_.hidden), PackedNorm(w.feed_forward_norm, shape_.hidden),
                     w.window, w.turns});
}

// Word + position + token type, in the reference's order.
void Encoder::embed(std::int32_t id, std::int32_t position, float* x) const {
  const float* word = embeddings_.word + static_cast<std::ptrdiff_t>(id) * shape_.hidden;
  std::copy_n(word, shape_.hidden, x);
  if (embeddings_.position) {
    const float* place = embeddings_.position + static_cast<std::ptrdiff_t>(position) * shape_.hidden;
    for (int i = 0; i < shape_.hidden; ++i) x[i] += place[i];
  }
  if (embeddings_.token_type) {
    for (int i = 0; i < shape_.hidden; ++i) x[i] += embeddings_.token_type[i];
  }
}

// One chunk through all layers. Every worker of the team runs this, does its share of each step, and waits.
// Only the calling thread has an `asker`, which finds out whether to stop.
void Encoder::forward(const Batch& batch, const Chunk& chunk, Workspace& w, Team& team, int rank, Stop* asker,
                      const Stop& stop, float* out) const {
  const int first_token = batch.offsets[chunk.first];
  const int rows = batch.offsets[chunk.last] - first_token;
  const int hidden = shape_.hidden, head_size = hidden / shape_.heads;
  const float eps = shape_.layer_norm_eps;

  const auto each_row = [&](auto use) {
    for (auto [row, last] = team.share(rows, rank); row < last; ++row) use(row);
    team.wait();
  };
  const auto multiply = [&](const Packed& weights, const Rows& x, Activation activation, const float* factor,
                            const float* residual, float* y, std::ptrdiff_t stride) {
    const Product product{x, rows, weights.panels(), activation, factor, residual, y, stride};
    const auto [first, last] = team.share(product.weights.panels, rank);
    kernels_.multiply[int(weights.dtype())](product, first, last);
    team.wait();
  };
  const auto normalise = [&](const float* from, const PackedNorm& norm) {
    each_row([&](int row) {
      float* x = w.x.data() + row * w.stride;
      kernels_.layer_norm(from + row * w.stride, norm.weight.data(), norm.bias.data(), eps, hidden, x);
      w.narrow_operand.prepare(x, row);
    });
  };
  const auto prepare = [&](const Operand& operand, const Array<float>& x, std::ptrdiff_t stride) {
    if (operand.integers()) each_row([&](int row) { operand.prepare(x.data() + row * stride, row); });
  };
  // x + f(x), normalised into x. In a pre-norm encoder, what is added to is not x but what x was normalised from: the
  // sum before, which the new sum may not overwrite while it is read.
  const float* before = w.x.data();
  float *sum = w.sum.data(), *next_sum = w.next_sum.data();
  const auto add_and_normalise = [&](const Packed& weights, const Rows& f, const PackedNorm& norm) {
    multiply(weights, f, Activation::identity, nullptr, before, sum, w.stride);
    normalise(sum, norm);
    if (!shape_.norm_first) return;
    before = sum;
    std::swap(sum, next_sum);
  };

  each_row([&](int row) {
    const int token = first_token + row;
    embed(batch.ids[token], batch.positions[token], w.x.data() + row * w.stride);
  });
  normalise(w.x.data(), embedding_norm_);

  for (const Layer& layer : layers_) {
    if (asker) asker->ask();
    team.wait();  // so that all hear the same
    if (stop.told()) return;

    const Rows x = w.narrow_operand.rows(w.x.data(), w.stride);
    multiply(layer.attention_input, x, Activation::identity, nullptr, nullptr, w.inner.data(), w.wide);
    if (layer.turns >= 0) {
      const Turns& turns = batch.turns[size(layer.turns)];
      each_row([&](int row) {  // Queries and keys lie side by side.
        const std::ptrdiff_t place = static_cast<std::ptrdiff_t>(batch.positions[first_token + row]) * (head_size / 2);
        kernels_.rotate(w.inner.data() + row * w.wide, turns.cos + place, turns.sin + place, head_size, 2 * shape_.heads);
      });
    }
    {
      const auto [first, last] = team.share((chunk.last - chunk.first) * shape_.heads, rank);
      for (int unit = first; unit < last; ++unit) {
        const int text = unit / shape_.heads, head = unit % shape_.heads;
        const std::ptrdiff_t start = batch.offsets[chunk.first + text] - first_token;
        const int tokens = batch.offsets[chunk.first + text + 1] - batch.offsets[chunk.first + text];
        if (asker && tokens > long_text) asker->ask();
        if (stop.told()) break;
        const float* query = w.inner.data() + start * w.wide + head * head_size;
        const float* bias = embeddings_.relative_bias;
        if (bias) bias += head * bias_stride_ + embeddings_.longest - 1;
        kernels_.attend({query, query + hidden, query + 2 * hidden, w.wide, tokens, head_size,
                         1 / std::sqrt(static_cast<float>(head_size)), layer.window, bias,
                         w.context.data() + start * w.stride + head * head_size, w.stride,
                         w.scratch.data() + size(rank) * w.scratch_size});
      }
      team.wait();
    }
    prepare(w.narrow_operand, w.context, w.stride);
    add_and_normalise(layer.attention_output, w.narrow_operand.rows(w.context.data(), w.stride), layer.attention_norm);

    if (layer.gate) multiply(*layer.gate, x, shape_.activation, nullptr, nullptr, w.gate.data(), w.wide);
    multiply(layer.intermediate, x, layer.gate ? Activation::identity : shape_.activation,
             layer.gate ? w.gate.data() : nullptr, nullptr, w.inner.data(), w.wide);
    prepare(w.wide_operand, w.inner, w.wide);
    add_and_normalise(layer.output, w.wide_operand.rows(w.inner.data(), w.wide), layer.feed_forward_norm);
  }
  each_row([&](int row) {
    std::copy_n(w.x.data() + row * w.stride, hidden, out + static_cast<std::ptrdiff_t>(first_token + row) * hidden);
  });
}

bool Encoder::worth_sharing(int tokens) const {
  const double hidden = shape_.hidden, layers = static_cast<double>(layers_.size());
  return tokens * hidden * (4 * hidden + (gated() ? 3 : 2) * intermediate_) * layers > worth_a_thread;
}

// Whole texts in their order, together while they have no more tokens than `limit`.
Encoder::Plan Encoder::cut(const Batch& batch, int limit) const {
  Plan plan;
  for (int text = 0; text < batch.texts; ++text) {
    const int end = batch.offsets[text + 1];
    if (text == 0 || end - batch.offsets[plan.chunks.back().first] > limit) plan.chunks.push_back({text, text + 1});
    plan.chunks.back().last = text + 1;
    plan.longest = std::max(plan.longest, end - batch.offsets[text]);
    plan.rows = std::max(plan.rows, end - batch.offsets[plan.chunks.back().first]);
  }
  return plan;
}

bool Encoder::run(const Batch& batch, float* out, int threads, const std::function<bool()>& asked) const {
  if (batch.texts == 0) return true;
  struct Counter {
    explicit Counter(std::atomic<int>& calls) : count(calls), others(calls.fetch_add(1)) {}
    ~Counter() { --count; }
    std::atomic<int>& count;
    const int others;
  } calls(calls_);

  Stop stop(asked);
  const int tokens = batch.offsets[batch.texts];
  // Small chunks keep all workers busy to the end of a call; no smaller than pays.
  const Plan plan = cut(batch, std::clamp(tokens / (4 * threads), tokens_per_chunk / 4, tokens_per_chunk));
  const int chunks = static_cast<int>(plan.chunks.size());
  if (chunks >= threads) {
    // Each worker takes chunks and brings them through all layers, waiting for no one.
    std::vector<Workspace> workspaces;
    for (int i = 0; i < threads; ++i) workspaces.emplace_back(*this, plan.rows, plan.longest, 1);
    std::atomic<int> next{0};
    run_workers(threads, stop, [&](int rank, Team&) {
      Team alone(1);
      for (int i; !stop.told() && (i = next++) < chunks;) {
        forward(batch, plan.chunks[size(i)], workspaces[size(rank)], alone, 0, rank == 0 ? &stop : nullptr, stop, out);
      }
    });
  } else {
    // Fewer chunks than threads: all workers go through the layers together. Not if another call is at work: then
    // workers would wait for cores and for each other.
    const int workers = calls.others == 0 && worth_sharing(tokens) ? threads : 1;
    const Plan shared = cut(batch, tokens_per_chunk * workers);
    Workspace workspace(*this, shared.rows, shared.longest, workers);
    run_workers(workers, stop, [&](int rank, Team& team) {
      for (const Chunk& chunk : shared.chunks) {
        forward(batch, chunk, workspace, team, rank, rank == 0 ? &stop : nullptr, stop, out);
      }
    });
  }
  return !stop.told();
}

}  // namespace pellucid
