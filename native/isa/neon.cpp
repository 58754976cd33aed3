#include "simd/neon_tiles.h"
#include "table.h"

namespace pellucid {
extern const Kernels neon_kernels = kernels<NeonPlain>("neon");
}
