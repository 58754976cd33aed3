// How workers share a call: no unit is done twice or left out, and no number depends on how many workers there are, or on
// how many of them come late.
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <thread>
#include <vector>

#include "encoder.h"
#include "operand.h"
#include "tests/checks.h"

using namespace pellucid;

namespace {

// Each step sees all that the steps before it have done, even if some threads start late or not at all.
void teams() {
  for (const int size : {1, 2, 3, 16}) {
    for (const int present : {1, (size + 1) / 2, size}) {
      constexpr int steps = 200;
      std::vector<int> numbers(37, 0);
      Team team(size);
      const auto work = [&](int place) {
        if (place % 3 == 1) std::this_thread::sleep_for(std::chrono::milliseconds(place));
        Worker worker(team, place, place == 0);
        for (int step = 0; step < steps; ++step) {
          worker.share(37, 2, [&](int i, int last) {
            for (; i < last; ++i) ++numbers[std::size_t(i)];
          });
          worker.each(1, [&](int) {
            for (int& number : numbers) number *= number == step + 1 ? 1 : 1000;
          });
          worker.each(0, [](int) {});
        }
      };
      std::vector<std::thread> threads;
      for (int place = 1; place < present; ++place) threads.emplace_back(work, place);
      work(0);
      for (std::thread& thread : threads) thread.join();
      for (const int number : numbers) CHECK(number == steps, "%d, team of %d, %d present", number, size, present);
    }
  }
}

// Threads are moved to other cores, even those that end at once; the one that starts them never is. Several calls at a time
// take the cores from each other, so some threads end before they are moved.
void affinity() {
#ifdef __linux__
  const auto call_often = [] {
    cpu_set_t before, after;
    sched_getaffinity(0, sizeof before, &before);
    const std::function<bool()> never = [] { return false; };
    Stop stop(never);
    for (int i = 0; i < 1000; ++i) run_workers(3, stop, [](int) {});
    sched_getaffinity(0, sizeof after, &after);
    CHECK(CPU_EQUAL(&before, &after), "%d of %d cores are left", CPU_COUNT(&after), CPU_COUNT(&before));
  };
  std::vector<std::thread> callers;
  for (int i = 0; i < 6; ++i) callers.emplace_back(call_often);
  for (std::thread& caller : callers) caller.join();
#endif
}

// The blocks of a product cover it, are not too small, and are enough for all workers if it is large.
void grids() {
  for (const int rows : {1, 10, 15, 16, 100, 256, 257, 4096}) {
    for (const int panels : {1, 12, 24, 64}) {
      for (const int units : {1, 8, 64, 256}) {
        const Grid grid(rows, panels, units);
        CHECK(grid.row_blocks >= 1 && grid.panel_blocks >= 1 && grid.panel_blocks <= panels, "%d %d %d", rows, panels, units);
        CHECK(grid.row_blocks == 1 || rows / grid.row_blocks >= 16, "%d %d %d", rows, panels, units);
        CHECK(rows <= 256 * grid.row_blocks, "%d %d %d", rows, panels, units);
        const int most = std::max(1, rows / 16) * panels;
        CHECK(grid.row_blocks * grid.panel_blocks >= std::min(units, most) / 2, "%d %d %d", rows, panels, units);
      }
    }
  }
}

// Chunks hold each text once, in order, and become smaller towards the end.
void chunks() {
  std::uniform_int_distribution<int> length(1, 60);
  for (const int texts : {1, 5, 900}) {
    std::vector<std::int32_t> offsets{0};
    for (int i = 0; i < texts; ++i) offsets.push_back(offsets.back() + (i == 450 ? 700 : length(generator)));
    for (const int workers : {1, 2, 16, 64}) {
      const std::vector<Chunk> cut = cut_for_each(offsets.data(), texts, workers);
      int next = 0;
      for (const Chunk& chunk : cut) {
        CHECK(chunk.first == next && chunk.last > chunk.first, "%d texts, %d workers", texts, workers);
        CHECK(chunk.last == chunk.first + 1 || tokens_of(chunk, offsets.data()) <= tokens_per_chunk, "%d workers", workers);
        next = chunk.last;
      }
      CHECK(next == texts, "%d texts, %d workers", texts, workers);
      CHECK(texts < 900 || tokens_of(cut.back(), offsets.data()) <= 64, "%d workers", workers);
    }
  }
  CHECK(useful_workers(1, 10, 64) == 1 && useful_workers(1e4, 10, 64) == 31 && useful_workers(1e9, 10, 64) == 64, "workers");
}

// Long texts, alone and among short ones, pooled and not, have the same bits on any number of threads. They have a layer in
// which tokens see all others and one with a window, and few heads, so the workers share the queries of a head. In a
// decoder, tokens look only back, and query heads share keys and values.
void encoders(const Kernels& kernels, Dtype dtype, bool is_decoder) {
  const int hidden = 64, inner = 128, heads = is_decoder ? 3 : 2, kv_heads = is_decoder ? 1 : 2, longest = 400;
  const int queries = heads * 32, keys = kv_heads * 32;
  const auto word = normal(20 * 64), position = normal(400 * 64), vector = normal(128), square = normal(96 * 64, 0.05f);
  const auto up = normal(128 * 64, 0.2f), down = normal(128 * 64, 0.2f), bias = normal(3 * (2 * 400 - 1));
  const Norm norm{vector.data(), vector.data(), 1e-5f};
  const Norms norms{{}, {}, norm};
  const Linear query{square.data(), vector.data(), queries, hidden}, key{square.data(), vector.data(), keys, hidden};
  const Linear output{square.data(), vector.data(), hidden, queries};
  Encoder encoder(kernels, dtype, hidden,
                  {hidden, word.data(), position.data(), nullptr, norm, std::nullopt, bias.data(), heads, longest, nullptr, 0});
  for (const int window : {1 << 30, 37, 0}) {
    encoder.add_layer({query, key, key, output, norms, std::nullopt, {up.data(), vector.data(), inner, hidden},
                       {down.data(), vector.data(), hidden, inner}, norms, heads, kv_heads, 32, Activation::gelu, window,
                       is_decoder ? 0 : window, -1});
  }
  std::vector<std::int32_t> ids, positions, offsets{0}, attended, wanted, skipped;
  for (const int length : {400, 3, 10, 20, 333, 30, 8, 60, 90, 5, 1, 44, 129, 257, 50, 50, 50, 50}) {
    for (int t = 0; t < length; ++t) ids.push_back(t * 7 % 20), positions.push_back(t);
    offsets.push_back(static_cast<std::int32_t>(ids.size()));
    attended.push_back(std::max(1, length - length % 5));
    wanted.push_back(length / 2);
    skipped.push_back(length % 4);
  }
  const auto run = [&](int texts, int threads, auto change) {
    Batch batch{ids.data(), positions.data(), offsets.data(), texts, nullptr, nullptr, {}};
    change(batch);
    const std::size_t rows = batch.poolings.empty() ? size(offsets[size(texts)]) : size(texts) * batch.poolings.size();
    std::vector<float> out(rows * size(hidden), 0);
    CHECK(encoder.run(batch, out.data(), threads, [] { return false; }), "%d texts, %d threads", texts, threads);
    return out;
  };
  const auto check = [&](const char* what, auto change) {
    for (const int texts : {1, int(offsets.size()) - 1}) {
      const std::vector<float> expected = run(texts, 1, change);
      for (const int threads : {2, 5, 17}) {
        const std::vector<float> out = run(texts, threads, change);
        CHECK(std::memcmp(out.data(), expected.data(), out.size() * sizeof(float)) == 0, "%s, %s, %s, %d texts on %d threads",
              what, is_decoder ? "decoder" : "encoder", name(dtype), texts, threads);
      }
    }
  };
  check("all tokens", [](Batch&) {});
  check("attended", [&](Batch& batch) { batch.attended = attended.data(); });
  check("one token", [&](Batch& batch) { batch.wanted = wanted.data(); });
  check("pooled", [&](Batch& batch) {
    batch.skipped = skipped.data();
    batch.poolings = {Pooling::cls, Pooling::max, Pooling::mean, Pooling::mean_sqrt_length, Pooling::weighted_mean, Pooling::last_token};
  });
}

}  // namespace

int main() {
  teams();
  affinity();
  grids();
  chunks();
  // How work is shared does not depend on the instruction set, except for tiles.
  instruction_set = (*available_kernels().begin())->name;
  for (const bool is_decoder : {false, true}) {
    for (const Dtype dtype : dtypes) encoders(**available_kernels().begin(), dtype, is_decoder);
  }
  instruction_set = tile_kernels.name;
  for (const Dtype dtype : {Dtype::int8, Dtype::bfloat16}) encoders(tile_kernels, dtype, false);
  std::printf(failures ? "%d failures\n" : "sharing: all passed\n", failures);
  return failures ? EXIT_FAILURE : EXIT_SUCCESS;
}
