#include "simd/avx2.h"
#include "table.h"

namespace pellucid {
extern const Kernels avx2_vnni_kernels = kernels<Avx2<true>>("avx2_vnni");
}
