// Threads that live for one call: none to be left at exit, none to be missed after a fork.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

namespace pellucid {

inline void pause_briefly() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

// Workers that go through the same steps together: each does its share of a step, then waits for the others.
class Team {
 public:
  explicit Team(int size) : size_(size) {}

  // This worker's share of n pieces of work: first and last + 1.
  std::pair<int, int> share(int n, int rank) const {
    const auto at = [&](int r) { return static_cast<int>(static_cast<long>(n) * r / size_); };
    return {at(rank), at(rank + 1)};
  }

  // Returns when all have come. Spins, since steps take microseconds; gives way when that takes too long, because
  // then another process has the core that a worker waits for.
  void wait() {
    if (size_ == 1) return;
    const unsigned round = round_.load(std::memory_order_acquire);
    if (arrived_.fetch_add(1, std::memory_order_acq_rel) == size_ - 1) {
      arrived_.store(0, std::memory_order_relaxed);
      round_.store(round + 1, std::memory_order_release);
      return;
    }
    for (int spins = 0; round_.load(std::memory_order_acquire) == round; ++spins) {
      spins < 4000 ? pause_briefly() : std::this_thread::yield();
    }
  }

 private:
  const int size_;
  std::atomic<int> arrived_{0};
  std::atomic<unsigned> round_{0};
};

// Asks the caller now and then whether to stop (Ctrl-C), and lets all workers know.
class Stop {
 public:
  explicit Stop(const std::function<bool()>& asked) : asked_(asked) {}

  // For the calling thread only; the question costs little, but not nothing.
  void ask() {
    const auto now = std::chrono::steady_clock::now();
    if (now - last_ < std::chrono::milliseconds(50)) return;
    last_ = now;
    if (asked_()) told_.store(true, std::memory_order_relaxed);
  }
  bool told() const { return told_.load(std::memory_order_relaxed); }

 private:
  const std::function<bool()>& asked_;
  std::chrono::steady_clock::time_point last_ = std::chrono::steady_clock::now();
  std::atomic<bool> told_{false};
};

// Runs work(rank, team) on up to `threads` threads at once; the caller is rank 0. If the system grants fewer threads,
// the team is smaller.
template <class Work>
void run_workers(int threads, Stop& stop, Work work) {
  std::mutex mutex;
  std::condition_variable changed;
  std::unique_ptr<Team> team;
  int running = 0;
  std::vector<std::thread> helpers;
  helpers.reserve(static_cast<std::size_t>(threads));
  for (int rank = 1; rank < threads; ++rank) {
    try {
      helpers.emplace_back([&, rank] {
        {
          std::unique_lock lock(mutex);
          changed.wait(lock, [&] { return team != nullptr; });
        }
        work(rank, *team);
        std::lock_guard lock(mutex);
        --running;
        changed.notify_all();
      });
    } catch (const std::system_error&) {
      break;
    }
  }
  {
    std::lock_guard lock(mutex);
    running = static_cast<int>(helpers.size());
    team = std::make_unique<Team>(running + 1);
  }
  changed.notify_all();
  work(0, *team);
  {
    std::unique_lock lock(mutex);
    while (!changed.wait_for(lock, std::chrono::milliseconds(20), [&] { return running == 0; })) stop.ask();
  }
  for (std::thread& helper : helpers) helper.join();
}

}  // namespace pellucid
