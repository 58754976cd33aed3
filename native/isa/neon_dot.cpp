#include "simd/neon.h"
#include "table.h"

namespace pellucid {
extern const Kernels neon_dot_kernels = kernels<Neon<true>>("neon_dot");
}
