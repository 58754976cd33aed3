// How workers share the attention of a chunk.
#include <algorithm>

#include "encoder.h"
#include "workspace.h"

namespace pellucid {
namespace {

// In a longer text, one layer can take seconds, so the attention also polls whether to stop.
constexpr int long_text = 512;

// The queries of one head that a worker takes at a time, if several share a head.
constexpr int queries_per_block = 128;

// Values are packed if at least so many queries look at them.
constexpr int fewest_for_packed_values = 128;

}  // namespace

AttentionMemory Encoder::attention_memory(int tokens) const {
  return attention_.memory(tokens, layers_.front().head_size, embeddings_.place_count);
}

// Whether workers share the queries of a head: if there are few heads, and many queries. With relative positions, what is
// packed would take too much memory.
bool Encoder::shares_queries(const Chunk& chunk, const std::int32_t* offsets, int workers) const {
  const Layer& layer = layers_.front();
  return workers > 1 && embeddings_.place_count == 0 &&
         (chunk.last - chunk.first) * layer.kv_heads < Worker::units_per_worker * workers &&
         longest_of(chunk, offsets) * layer.heads > queries_per_block * layer.kv_heads;
}

// How many floats the packed keys and values of a chunk take, if workers share the queries.
std::size_t Encoder::packed_together(const Chunk& chunk, const std::int32_t* offsets, int workers) const {
  std::size_t total = 0;
  for (int text = chunk.first; text < chunk.last && shares_queries(chunk, offsets, workers); ++text) {
    total += attention_memory(offsets[text + 1] - offsets[text]).packed * size(layers_.front().kv_heads);
  }
  return total;
}

// The attention of one layer in one chunk, or only that of the wanted tokens.
class Encoder::AttentionStep {
 public:
  AttentionStep(const Encoder& encoder, const Batch& batch, const Chunk& chunk, const Layer& layer,
                const std::int32_t* wanted, Workspace& w, Worker& worker, Stop& stop)
      : encoder_(encoder),
        layer_(layer),
        offsets_(batch.offsets + chunk.first),
        attended_(batch.attended ? batch.attended + chunk.first : nullptr),
        wanted_(wanted),
        texts_(chunk.last - chunk.first),
        group_(layer.heads / layer.kv_heads),
        shares_queries_(!wanted && encoder.shares_queries(chunk, batch.offsets, worker.team_size())),
        w_(w),
        worker_(worker),
        stop_(stop) {}

  // A unit of work is a head of keys and values of one text, with all queries that share it. If workers share queries, then
  // the keys and values of all are packed first, and some queries of one head are a unit.
  void run() const {
    const int units = worker_.units_of(multiply_adds()), kv_heads = texts_ * layer_.kv_heads;
    const auto each_kv_head = [&](int least, auto use) {
      worker_.share(kv_heads, least, [&](int unit, int end) {
        for (; unit < end; ++unit) use(unit / layer_.kv_heads, unit % layer_.kv_heads);
      });
    };
    if (shares_queries_) {
      each_kv_head(1, [&](int text, int kv_head) { pack(text, kv_head, packed_in_chunk(text, kv_head)); });
      attend_in_blocks(units);
    } else {
      float* packed = w_.packed.data() + size(worker_.place()) * w_.attention.packed;
      each_kv_head((kv_heads + units - 1) / units, [&](int text, int kv_head) {
        pack(text, kv_head, packed);
        for (int head = kv_head * group_; head < (kv_head + 1) * group_; ++head) {
          attend(text, head, first_query(text), last_query(text), packed);
        }
      });
    }
  }

 private:
  int length(int text) const { return offsets_[text + 1] - offsets_[text]; }
  int first_query(int text) const { return wanted_ ? wanted_[text] : 0; }
  int last_query(int text) const { return wanted_ ? wanted_[text] + 1 : length(text); }

  double multiply_adds() const {
    double total = 0;
    for (int text = 0; text < texts_; ++text) {
      const double tokens = length(text);
      const double seen = std::min<double>(tokens / 2, layer_.before) + std::min<double>(tokens / 2, layer_.after);
      total += 2.0 * tokens * seen * layer_.heads * layer_.head_size;
    }
    return total;
  }

  // Where a head's keys and values are, if those of the whole chunk are packed.
  float* packed_in_chunk(int text, int kv_head) const {
    std::size_t before = size(kv_head) * encoder_.attention_memory(length(text)).packed;
    for (int i = 0; i < text; ++i) before += size(layer_.kv_heads) * encoder_.attention_memory(length(i)).packed;
    return w_.packed.data() + before;
  }

  // Each unit is some blocks of queries. Blocks of one head that follow each other go to the kernel together.
  void attend_in_blocks(int units) const {
    const auto blocks_of = [&](int text) { return (length(text) + queries_per_block - 1) / queries_per_block; };
    int total = 0;
    for (int text = 0; text < texts_; ++text) total += blocks_of(text) * layer_.heads;
    worker_.share(total, (total + units - 1) / units, [&](int unit, int end) {
      for (int text = 0, before = 0; text < texts_ && unit < end; ++text) {
        const int blocks = blocks_of(text);
        while (unit < std::min(end, before + blocks * layer_.heads)) {
          const int head = (unit - before) / blocks, next = std::min(end, before + (head + 1) * blocks);
          const int first = (unit - before) % blocks * queries_per_block, count = (next - unit) * queries_per_block;
          attend(text, head, first, std::min(first + count, length(text)), packed_in_chunk(text, head / group_));
          unit = next;
        }
        before += blocks * layer_.heads;
      }
    });
  }

  void pack(int text, int kv_head, float* packed) const {
    if (must_stop(text)) return;
    encoder_.attention_.pack_keys(attention(text, kv_head * group_, first_query(text), last_query(text), packed));
  }

  void attend(int text, int head, int first, int last, float* packed) const {
    if (must_stop(text)) return;
    encoder_.attention_.attend(attention(text, head, first, last, packed));
  }

  bool must_stop(int text) const {
    if (worker_.is_caller() && length(text) > long_text) stop_.poll();
    return stop_.requested();
  }

  // The queries first … last - 1 of one head in one text.
  Attention attention(int text, int head, int first, int last, float* packed) const {
    const int head_size = layer_.head_size, panel = encoder_.kernels_.panel;
    const int queries = layer_.heads * head_size, keys = layer_.kv_heads * head_size;
    const int tokens = length(text), attended = attended_ ? attended_[text] : tokens;
    const Embeddings& tables = encoder_.embeddings_;
    const bool has_places = layer_.place_keys.data() || layer_.place_queries.data();
    // If a head has one scale for all keys, or needs the products of all keys with places, then all keys are needed for any
    // query. Otherwise the first key begins a panel, so that all sums have the same order.
    const bool needs_all_keys = encoder_.dtype_ != Dtype::float32 || has_places;
    int start = needs_all_keys ? 0 : std::max(0, first_query(text) - layer_.before) / panel * panel;
    start = std::min(start, (attended - 1) / panel * panel);
    const int end = needs_all_keys ? attended : std::min(attended, last_query(text) + layer_.after);
    const std::ptrdiff_t at = offsets_[text] - offsets_[0] + start;
    const float* row = w_.inner.data() + at * w_.wide;
    const float* key = row + queries + head / group_ * head_size;
    const float* bias = tables.relative_bias;
    const std::size_t of_head = round_up(size(tables.place_count), size(panel)) * size(head_size) * size(head);
    const auto places_of = [&](const Array<float>& all) { return all.data() ? all.data() + of_head : nullptr; };
    return {row + head * head_size, key, key + keys, w_.wide, end - start, first - start, last - start, head_size,
            layer_.scale, layer_.before, layer_.after,
            bias ? bias + head * encoder_.bias_stride_ + tables.longest - 1 : nullptr,
            {places_of(layer_.place_keys), places_of(layer_.place_queries),
             tables.places ? tables.places + tables.longest - 1 : nullptr, tables.place_count},
            w_.context.data() + at * w_.context_stride + head * head_size, w_.context_stride,
            last_query(text) - first_query(text) >= fewest_for_packed_values, packed,
            w_.scratch.data() + size(worker_.place()) * w_.attention.scratch};
  }

  const Encoder& encoder_;
  const Layer& layer_;
  const std::int32_t *offsets_, *attended_, *wanted_;  // of the texts of the chunk
  const int texts_, group_;                            // `group_` query heads share each head of keys and values
  const bool shares_queries_;
  Workspace& w_;
  Worker& worker_;
  Stop& stop_;
};

void Encoder::attend(const Batch& batch, const Chunk& chunk, const Layer& layer, const std::int32_t* wanted,
                     Workspace& w, Worker& worker, Stop& stop) const {
  AttentionStep(*this, batch, chunk, layer, wanted, w, worker, stop).run();
}

}  // namespace pellucid
