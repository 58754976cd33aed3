// Threads that live for one call. So no thread is left when the process ends, and none is missing after a fork.
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

// Workers that do the same steps together. Each worker does its share of a step, then waits for the others.
class Team {
 public:
  explicit Team(int size) : size_(size) {}

  // This worker's share of n units of work: the first, and the one after the last.
  std::pair<int, int> share(int n, int rank) const {
    const auto start_of = [&](int r) { return static_cast<int>(std::int64_t{n} * r / size_); };
    return {start_of(rank), start_of(rank + 1)};
  }

  // Returns when all workers have called it. First it spins, since steps take microseconds. Then it sleeps: a worker
  // that is this late has lost its core, perhaps to this very thread, and yield() would not give the core back before
  // the scheduler's next tick.
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

// Finds out whether to stop, as after Ctrl-C, and tells all workers.
class Stop {
 public:
  explicit Stop(const std::function<bool()>& should_stop) : should_stop_(should_stop) {}

  // Calls should_stop(), but at most every 50 ms, since that call is not free. Only the calling thread may do this.
  void poll() {
    const auto now = std::chrono::steady_clock::now();
    if (now - last_ < std::chrono::milliseconds(50)) return;
    last_ = now;
    if (should_stop_()) requested_.store(true, std::memory_order_relaxed);
  }
  bool requested() const { return requested_.load(std::memory_order_relaxed); }

 private:
  const std::function<bool()>& should_stop_;
  std::chrono::steady_clock::time_point last_ = std::chrono::steady_clock::now();
  std::atomic<bool> requested_{false};
};

// Moves new threads to other cores than that of the thread that starts them. If the other cores have been idle for
// long, Linux may put new threads on this core. There they wait up to 4 ms for the scheduler's next tick, while this
// thread waits for them. They live for one call only, so they never need this core back.
class OtherCores {
 public:
#ifdef __linux__
  OtherCores() {
    has_others_ = sched_getaffinity(0, sizeof all_, &all_) == 0;
    if (!has_others_) return;
    others_ = all_;
    CPU_CLR(static_cast<unsigned>(sched_getcpu()), &others_);
    has_others_ = CPU_COUNT(&others_) > 0;
  }
  void move(std::thread& thread) const {
    if (has_others_) pthread_setaffinity_np(thread.native_handle(), sizeof others_, &others_);
  }
 private:
  bool has_others_;
  cpu_set_t all_, others_;
#else
  void move(std::thread&) const {}
#endif
};

// Runs work(rank, team) on up to `threads` threads at the same time; the caller has rank 0. If the system cannot start
// so many threads, the team is smaller. `work` must not throw. Once a helper has started, nothing here throws either:
// an exception that passes a running thread would end the process.
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
      other_cores.move(helpers.back());
    } catch (const std::system_error&) {  // The system allows no more threads,
      break;
    } catch (const std::bad_alloc&) {  // or has no memory for one more.
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
    while (!changed.wait_for(lock, std::chrono::milliseconds(20), [&] { return running == 0; })) stop.poll();
  }
  for (std::thread& helper : helpers) helper.join();
}

}  // namespace pellucid
