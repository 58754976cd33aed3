#include "simd/avx512.h"
#include "table.h"

namespace pellucid {
extern const Kernels avx512_vnni_kernels = kernels<Avx512<true>>("avx512_vnni");
}
