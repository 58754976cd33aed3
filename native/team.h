// Threads that live for one call: none to be left at exit, none to be missed after a fork.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <mutex>
#include <new>
#include <optional>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#ifdef __linux__
#include <pthread.h>
#include <sched.h>
#endif

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
    const auto at = [&](int r) { return static_cast<int>(std::int64_t{n} * r / size_); };
    return {at(rank), at(rank + 1)};
  }

  // Returns when all have come. Spins first, since steps take microseconds; then sleeps, because then a worker has
  // lost its core, perhaps to this very one, and yield() would not give it back before the scheduler's next tick.
  void wait() {
    if (size_ == 1) return;
    const unsigned round = round_.load(std::memory_order_acquire);
    if (arrived_.fetch_add(1, std::memory_order_acq_rel) == size_ - 1) {
      arrived_.store(0, std::memory_order_relaxed);
      {
        std::lock_guard lock(mutex_);
        round_.store(round + 1, std::memory_order_release);
      }
      changed_.notify_all();
      return;
    }
    for (int spins = 0; spins < 5000; ++spins) {
      if (round_.load(std::memory_order_acquire) != round) return;
      pause_briefly();
    }
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return round_.load(std::memory_order_relaxed) != round; });
  }

 private:
  const int size_;
  std::atomic<int> arrived_{0};
  std::atomic<unsigned> round_{0};
  std::mutex mutex_;
  std::condition_variable changed_;
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

// Has new threads run on other cores than their maker's. Left to itself, Linux may put them on that one, if the others
// have been idle for long; there they wait for the scheduler's next tick, 4 ms, while their maker waits for them. They live
// for one call only, so they are not given that core back.
class OtherCores {
 public:
#ifdef __linux__
  OtherCores() {
    known_ = sched_getaffinity(0, sizeof all_, &all_) == 0;
    if (!known_) return;
    others_ = all_;
    CPU_CLR(static_cast<unsigned>(sched_getcpu()), &others_);
    known_ = CPU_COUNT(&others_) > 0;
  }
  void send(std::thread& thread) const {
    if (known_) pthread_setaffinity_np(thread.native_handle(), sizeof others_, &others_);
  }
 private:
  bool known_;
  cpu_set_t all_, others_;
#else
  void send(std::thread&) const {}
#endif
};

// Runs work(rank, team) on up to `threads` threads at once; the caller is rank 0. If the system has no room for so many
// threads, the team is smaller. `work` may not throw. Once a helper has started, nothing here throws either: an
// exception on its way past a running thread would end the process.
template <class Work>
void run_workers(int threads, Stop& stop, Work work) {
  std::mutex mutex;
  std::condition_variable changed;
  std::optional<Team> team;
  int running = 0;
  const OtherCores other_cores;
  std::vector<std::thread> helpers;
  helpers.reserve(static_cast<std::size_t>(threads));
  for (int rank = 1; rank < threads; ++rank) {
    try {
      helpers.emplace_back([&, rank] {
        {
          std::unique_lock lock(mutex);
          changed.wait(lock, [&] { return team.has_value(); });
        }
        work(rank, *team);
        std::lock_guard lock(mutex);
        --running;
        changed.notify_all();
      });
      other_cores.send(helpers.back());
    } catch (const std::system_error&) {  // There are as many threads as may be,
      break;
    } catch (const std::bad_alloc&) {  // or no memory for one more.
      break;
    }
  }
  {
    std::lock_guard lock(mutex);
    running = static_cast<int>(helpers.size());
    team.emplace(running + 1);
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
