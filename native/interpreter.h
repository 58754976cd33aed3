// How calls give up the interpreter's lock, and take it again.
#pragma once

#include <Python.h>

#include <chrono>
#include <thread>

namespace pellucid {

// Takes the interpreter's lock. Before Python 3.14, if a daemon thread does this while the interpreter is shutting
// down, Python ends the thread by unwinding its stack, and at the first destructor C++ would abort the whole process.
// So this catches the unwinding, and sleeps until the process is gone.
template <class Take>
auto take_lock(Take take) {
  try {
    return take();
  } catch (...) {
    for (;;) std::this_thread::sleep_for(std::chrono::hours(1));
  }
}

// Calls work() without the interpreter's lock.
template <class Work>
auto without_lock(Work work) {
  struct Released {
    PyThreadState* const state = PyEval_SaveThread();
    ~Released() {
      take_lock([this] { PyEval_RestoreThread(state); });
    }
  } released;
  return work();
}

}  // namespace pellucid
