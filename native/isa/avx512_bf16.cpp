#include "simd/avx512.h"
#include "table.h"

namespace pellucid {
extern const Kernels avx512_bf16_kernels = with_bfloat16<Avx512Bf16>(kernels<Avx512<true>>("avx512_bf16"));
}
