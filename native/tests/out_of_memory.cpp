// An encoder that runs out of memory. For several numbers of threads, each allocation of a run fails once. A run must
// either throw std::bad_alloc or compute the same numbers as with enough memory. It must never end the process.
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <new>
#include <vector>

#include "encoder.h"

namespace {
std::atomic<int> allocations_left{-1};  // before one fails; -1 if none fails

void* allocate(std::size_t size, std::size_t alignment) {
  if (allocations_left.load() >= 0 && allocations_left.fetch_sub(1) == 0) throw std::bad_alloc();
  void* memory = nullptr;
  if (posix_memalign(&memory, alignment, size) != 0) throw std::bad_alloc();
  return memory;
}
}  // namespace

void* operator new(std::size_t size) { return allocate(size, alignof(std::max_align_t)); }
void* operator new(std::size_t size, std::align_val_t alignment) { return allocate(size, std::size_t(alignment)); }
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }
void operator delete(void* memory, std::align_val_t) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t, std::align_val_t) noexcept { std::free(memory); }

using namespace pellucid;

namespace {

constexpr int hidden = 64, inner = 128, layers = 4, texts = 24, tokens_each = 30;

void add_layers(Encoder& encoder, const float* n) {
  const Norms norms{{}, {}, Norm{n, n, 1e-5f}};
  const Linear same{n, n, hidden, hidden}, up{n, n, inner, hidden}, down{n, n, hidden, inner};
  for (int i = 0; i < layers; ++i) {
    encoder.add_layer({same, same, same, same, norms, std::nullopt, up, down, norms, 4, 4, hidden / 4, Activation::gelu, 1 << 30, 1 << 30, -1});
  }
}

}  // namespace

int main() {
  std::vector<float> numbers(hidden * inner);
  for (std::size_t i = 0; i < numbers.size(); ++i) numbers[i] = static_cast<float>(i % 17) * 0.01f - 0.07f;
  const float* n = numbers.data();
  Encoder encoder(**available_kernels().begin(), Dtype::float32, hidden,
                  {hidden, n, nullptr, nullptr, Norm{n, n, 1e-5f}, std::nullopt, nullptr, 0, 0});
  add_layers(encoder, n);
  std::vector<std::int32_t> ids, positions, offsets{0};
  for (int text = 0; text < texts; ++text) {
    for (int t = 0; t < tokens_each; ++t) ids.push_back(t % 20), positions.push_back(t);
    offsets.push_back(static_cast<std::int32_t>(ids.size()));
  }
  std::vector<float> expected(ids.size() * hidden), out(expected.size());
  int failures = 0, thrown = 0, smaller = 0;
  // One text, which all threads share; and many texts, of which each thread takes some.
  for (const int count : {1, texts}) {
    const Batch batch{ids.data(), positions.data(), offsets.data(), count, nullptr, nullptr, {}};
    const std::size_t bytes = static_cast<std::size_t>(count) * tokens_each * hidden * sizeof(float);
    encoder.run(batch, expected.data(), 1, [] { return false; });
    for (const int threads : {1, 2, 5}) {
      for (int nth = 0;; ++nth) {
        std::memset(out.data(), 0xff, bytes);
        allocations_left = nth;
        bool done = false;
        try {
          done = encoder.run(batch, out.data(), threads, [] { return false; });
        } catch (const std::bad_alloc&) {
          ++thrown;
        }
        const bool none_failed = allocations_left.exchange(-1) >= 0;
        if (done && std::memcmp(out.data(), expected.data(), bytes) != 0) {
          ++failures;
          std::printf("allocation %d failed, %d texts on %d threads: the numbers differ\n", nth, count, threads);
        }
        if (none_failed) break;  // The run makes no more than nth allocations, so each of them has failed once.
        smaller += done;
      }
    }
  }
  std::printf("out of memory: %d runs threw, %d used fewer threads\n", thrown, smaller);
  if (thrown == 0 || smaller == 0) ++failures, std::printf("one of the two never happened\n");
  return failures ? EXIT_FAILURE : EXIT_SUCCESS;
}
