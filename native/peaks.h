// The highest speeds that this machine can reach. Rooflines compare measured speeds with them.
#pragma once

#include "kernels.h"

namespace pellucid {

// The speed of float32 multiply-adds in registers, all threads together, in GFLOP/s. A multiply-add is two operations.
double multiply_add_peak(const Kernels& kernels, int threads, double seconds);

// The same for the packed product alone: 120 rows, from 384 features to 384, with all data in the caches.
double product_peak(const Kernels& kernels, Dtype dtype, int threads, double seconds);

}  // namespace pellucid
