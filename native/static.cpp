#include "static.h"

#include <algorithm>
#include <atomic>
#include <cstring>

#include "team.h"

namespace pellucid {
namespace {

constexpr std::size_t lanes = floats_per_load, block = 32;
constexpr int ahead = 8;                     // how many tokens before its turn a row is fetched
constexpr int texts_per_share = 128;
constexpr std::int64_t numbers_per_thread = 1 << 18;  // Less work is done before another thread has started.

// The mean of one text.
template <class T>
void mean(const TokenTable& table, const std::int32_t* ids, int tokens, float* out) {
  const std::size_t size = table.size;
  const T* const rows = static_cast<const T*>(table.rows.start);
  const auto row_of = [&](int t) {
    const std::int32_t id = ids[t];
    return rows + static_cast<std::size_t>(table.mapping ? table.mapping[id] : id) * size;
  };
  const float count = static_cast<float>(tokens);
  std::size_t start = 0;
  for (; start + block <= size; start += block) {
    Floats sums[block / lanes] = {};
    for (int t = 0; t < tokens; ++t) {
      if (t + ahead < tokens) {
        const char* next = reinterpret_cast<const char*>(row_of(t + ahead) + start);
        for (std::size_t byte = 0; byte < block * sizeof(T); byte += 64) __builtin_prefetch(next + byte);
      }
      const T* row = row_of(t) + start;
      if (table.weights) {
        const float weight = table.weights[ids[t]];
        for (std::size_t i = 0; i < block / lanes; ++i) sums[i] += load(row + i * lanes) * weight;
      } else {
        for (std::size_t i = 0; i < block / lanes; ++i) sums[i] += load(row + i * lanes);
      }
    }
    for (Floats& sum : sums) sum /= count;
    std::memcpy(out + start, sums, sizeof sums);
  }
  for (; start < size; ++start) {
    float sum = 0;
    for (int t = 0; t < tokens; ++t) {
      T values[lanes] = {row_of(t)[start]};
      sum += load(values)[0] * (table.weights ? table.weights[ids[t]] : 1);
    }
    out[start] = sum / count;
  }
}

template <class T>
void means(const TokenTable& table, const std::int32_t* ids, const std::int32_t* offsets, int first, int last,
           float* out) {
  for (int text = first; text < last; ++text) {
    const int tokens = offsets[text + 1] - offsets[text];
    float* const row = out + static_cast<std::size_t>(text) * table.size;
    if (tokens) {
      mean<T>(table, ids + offsets[text], tokens, row);
    } else {
      std::fill_n(row, table.size, 0.0f);
    }
  }
}

}  // namespace

bool mean_rows(const TokenTable& table, const std::int32_t* ids, const std::int32_t* offsets, int texts, float* out,
               int threads, const std::function<bool()>& should_stop) {
  const auto compute = [&](int first, int last) {
    switch (table.rows.type) {
      case Stored::float32: return means<float>(table, ids, offsets, first, last, out);
      case Stored::float16: return means<Float16>(table, ids, offsets, first, last, out);
      case Stored::bfloat16: return means<Bfloat16>(table, ids, offsets, first, last, out);
      case Stored::int8: return means<std::int8_t>(table, ids, offsets, first, last, out);
    }
  };
  Stop stop(should_stop);
  const std::int64_t numbers = std::int64_t{offsets[texts]} * static_cast<std::int64_t>(table.size);
  const int useful = static_cast<int>(std::min<std::int64_t>(threads, 1 + numbers / numbers_per_thread));
  std::atomic<int> next{0};
  const auto work = [&](int rank) {
    for (;;) {
      if (rank == 0) stop.poll();
      if (stop.requested()) return;
      const int first = next.fetch_add(texts_per_share, std::memory_order_relaxed);
      if (first >= texts) return;
      compute(first, std::min(texts, first + texts_per_share));
    }
  };
  if (useful == 1) {
    work(0);
  } else {
    run_workers(useful, stop, work);
  }
  return !stop.requested();
}

}  // namespace pellucid
