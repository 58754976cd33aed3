#include "simd/neon.h"
#include "table.h"

namespace pellucid {
extern const Kernels neon_kernels = kernels<Neon<false>>("neon");
}
