#include "simd/avx2.h"
#include "table.h"

namespace pellucid {
extern const Kernels avx2_kernels = kernels<Avx2<false>>("avx2");
}
