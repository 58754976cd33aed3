#include "simd/neon_tiles.h"
#include "table.h"

namespace pellucid {
extern const Kernels neon_dot_kernels = kernels<NeonDot>("neon_dot");
}
