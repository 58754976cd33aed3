// The forward pass: one chunk goes through all layers.
#include <algorithm>
#include <cstring>

#include "encoder.h"
#include "workspace.h"

namespace pellucid {
namespace {

// The fewest rows that a worker takes at a time, of a step that takes rows one by one.
constexpr int rows_per_unit = 8;

}  // namespace

// Applies the norms of each head's query and key, which are side by side in a row.
void Encoder::normalise_heads(const Layer& layer, float* queries_and_keys) const {
  const auto apply = [&](const std::optional<PackedNorm>& norm, int heads, float* x) {
    for (int head = 0; norm && head < heads; ++head, x += layer.head_size) norm->apply(kernels_, x, x);
  };
  apply(layer.query_norm, layer.heads, queries_and_keys);
  apply(layer.key_norm, layer.kv_heads, queries_and_keys + layer.heads * layer.head_size);
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
        norms.after->apply(kernels_, s, s);
        for (int i = 0; i < hidden_; ++i) s[i] += residual[row * w.stride + i];
      }
      if (norms.sum) norms.sum->apply(kernels_, s, next_before ? s : x);
      if (next_before) next_before->apply(kernels_, s, x);
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
        embedding_norms_.sum->apply(kernels_, s, x);
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
    if (layer.query_norm || layer.key_norm || layer.turns >= 0) {
      each_row([&](int row) {
        float* heads = w.inner.data() + row * w.wide;
        normalise_heads(layer, heads);
        if (layer.turns < 0) return;
        const Turns& turns = batch.turns[size(layer.turns)];
        const std::ptrdiff_t start = static_cast<std::ptrdiff_t>(batch.positions[first_token + row]) * (head_size / 2);
        // Queries and keys are side by side, so one call rotates both.
        kernels_.rotate(heads, turns.cos + start, turns.sin + start, head_size, layer.heads + layer.kv_heads);
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

}  // namespace pellucid
