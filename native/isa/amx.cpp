#include "simd/amx.h"
#include "simd/avx512.h"
#include "table.h"
#include "tiles.h"

namespace pellucid {
extern const Kernels amx_kernels =
    with_tiles<Avx512<true>, Amx>(with_bfloat16<Avx512Bf16>(kernels<Avx512<true>>("amx")));
}
