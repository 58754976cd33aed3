#include "simd/avx512.h"
#include "table.h"

namespace pellucid {
extern const Kernels avx512_kernels = kernels<Avx512<false>>("avx512");
}
