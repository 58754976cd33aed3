// What this machine can do at best, for the roofline that measured speeds are held against.
#pragma once

#include "kernels.h"

namespace pellucid {

// Multiply-adds of float32 out of registers, in GFLOP/s (two operations each), all threads together.
double multiply_add_peak(const Kernels& kernels, int threads, double seconds);

// The same for the packed product alone, 120 rows of 384 features to 384, with all of it in the caches.
double product_peak(const Kernels& kernels, Dtype dtype, int threads, double seconds);

}  // namespace pellucid
