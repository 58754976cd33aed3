// Threads that live for one call. So no thread is left when the process ends, and none is missing after a fork.
#pragma once

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <mutex>
#include <new>
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

// Threads that do the same steps together. A step is cut into units of work, and each thread takes the next unit that
// nobody has taken. A step ends when all its units are done. So nobody waits for a thread that has not started yet, or
// that has lost its core, unless it has taken a unit. Such a thread finds the steps that it missed done, and passes them.
class Team {
 public:
  explicit Team(int size) : size_(size) {}

  // The most threads that take part. Any number of them may come late, or not at all.
  int size() const { return size_; }

  // Calls use(unit) for those of the units 0 … units - 1 that this thread takes. Returns when all are done. Each thread
  // passes its own count of the steps before this one, and the same number of units.
  template <class Use>
  void run(std::uint32_t step, int units, Use use) {
    for (int unit; (unit = take(step, units)) < units;) {
      use(unit);
      if (done_.fetch_add(1, std::memory_order_acq_rel) + 1 == units) return end(step);
    }
    wait(step);
  }

 private:
  // The next unit of this step, or `units` if none is left.
  int take(std::uint32_t step, int units) {
    std::uint64_t next = next_.load(std::memory_order_acquire);
    while (next >> 32 == step && static_cast<int>(next & 0xffffffff) < units) {
      if (next_.compare_exchange_weak(next, next + 1, std::memory_order_acq_rel, std::memory_order_acquire)) {
        return static_cast<int>(next & 0xffffffff);
      }
    }
    return units;
  }

  void end(std::uint32_t step) {
    done_.store(0, std::memory_order_relaxed);
    {
      std::lock_guard lock(mutex_);
      next_.store(std::uint64_t{step + 1} << 32, std::memory_order_release);
    }
    changed_.notify_all();
  }

  // Returns when the step has ended. First it spins, since steps take microseconds. Then it sleeps: a thread that is this
  // late has lost its core, perhaps to this very thread, and yield() would not give the core back before the scheduler's
  // next tick.
  void wait(std::uint32_t step) {
    for (int spins = 0; spins < 5000; ++spins) {
      if (next_.load(std::memory_order_acquire) >> 32 != step) return;
      pause_briefly();
    }
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return next_.load(std::memory_order_relaxed) >> 32 != step; });
  }

  const int size_;
  alignas(64) std::atomic<std::uint64_t> next_{0};  // the number of the step, and its next unit
  alignas(64) std::atomic<int> done_{0};            // units of this step
  alignas(64) std::mutex mutex_;
  std::condition_variable changed_;
};

// One thread of a team, and how many steps it has done.
class Worker {
 public:
  Worker(Team& team, int place, bool is_caller) : team_(team), place_(place), is_caller_(is_caller) {}

  int place() const { return place_; }           // in its team: 0 … team_size() - 1
  bool is_caller() const { return is_caller_; }  // the thread that made the call; only it may poll whether to stop
  int team_size() const { return team_.size(); }

  // Calls use(unit) for each unit that this thread takes, and returns when all units of the team are done.
  template <class Use>
  void each(int units, Use use) {
    if (team_.size() > 1 && units > 0) return team_.run(step_++, units, use);
    for (int unit = 0; unit < units; ++unit) use(unit);
  }

  // Into how many units to cut a step of so many multiply-adds. Taking a unit costs as much as some thousand of them, so
  // a short step has one unit for each worker.
  int units_of(double multiply_adds) const {
    constexpr double fewest = 2e6;  // of a unit; about 20 µs
    const int workers = team_.size(), most = workers == 1 ? 1 : units_per_worker * workers;
    return static_cast<int>(std::clamp(multiply_adds / fewest, double(workers), double(most)));
  }

  // Cuts n items into units of at least `least` items, and calls use(first, last) for each unit that this thread takes.
  template <class Use>
  void share(int n, int least, Use use) {
    const int units = team_.size() == 1 ? 1 : std::clamp(n / least, 1, units_per_worker * team_.size());
    const auto start_of = [&](int unit) { return static_cast<int>(std::int64_t{n} * unit / units); };
    each(units, [&](int unit) { use(start_of(unit), start_of(unit + 1)); });
  }

  // In long steps. So many that workers of different speeds end together, and so few that taking them costs little.
  static constexpr int units_per_worker = 4;

 private:
  Team& team_;
  const int place_;
  const bool is_caller_;
  std::uint32_t step_ = 0;
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

// Runs work(rank) on up to `threads` threads at the same time; the caller has rank 0. If the system cannot start so many
// threads, there are fewer. `work` must not throw. Once a helper has started, nothing here throws either: an exception
// that passes a running thread would end the process.
template <class Work>
void run_workers(int threads, Stop& stop, Work work) {
  std::mutex mutex;
  std::condition_variable changed;
  std::atomic<int> running{0};
  bool all_started = false;
  std::vector<std::thread> helpers;
  if (threads > 1) {
    helpers.reserve(static_cast<std::size_t>(threads) - 1);
    const OtherCores other_cores;
    for (int rank = 1; rank < threads; ++rank) {
      ++running;
      try {
        helpers.emplace_back([&, rank] {
          work(rank);
          std::unique_lock lock(mutex);
          --running;
          changed.notify_all();
          // A thread that has ended cannot be moved: Linux would move the one that asks, for good.
          changed.wait(lock, [&] { return all_started; });
        });
        other_cores.move(helpers.back());
      } catch (const std::system_error&) {  // The system allows no more threads,
        --running;
        break;
      } catch (const std::bad_alloc&) {  // or has no memory for one more.
        --running;
        break;
      }
    }
    {
      std::lock_guard lock(mutex);
      all_started = true;
    }
    changed.notify_all();
  }
  work(0);
  for (int spins = 0; spins < 5000 && running > 0; ++spins) pause_briefly();  // They end at about the same time.
  if (running > 0) {
    std::unique_lock lock(mutex);
    while (!changed.wait_for(lock, std::chrono::milliseconds(20), [&] { return running == 0; })) stop.poll();
  }
  for (std::thread& helper : helpers) helper.join();
}

}  // namespace pellucid
