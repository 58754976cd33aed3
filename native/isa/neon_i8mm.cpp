#include "simd/neon_tiles.h"
#include "table.h"

namespace pellucid {
extern const Kernels neon_i8mm_kernels = kernels<NeonI8mm>("neon_i8mm");
}
