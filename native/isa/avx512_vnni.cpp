// Three sets that differ in few functions: AVX-512 with VNNI, the same with BF16, and that with AMX. What is new in the
// later ones is in assembly, so the compiler needs no other flags for them, and they share all other functions.
#include "simd/amx.h"
#include "simd/avx512.h"
#include "table.h"
#include "tiles.h"

namespace pellucid {
extern const Kernels avx512_vnni_kernels = kernels<Avx512<true>>("avx512_vnni");
extern const Kernels avx512_bf16_kernels = with_bfloat16<Avx512Bf16>(kernels<Avx512<true>>("avx512_bf16"));
extern const Kernels amx_kernels =
    with_tiles<Avx512<true>, Amx>(with_bfloat16<Avx512Bf16>(kernels<Avx512<true>>("amx")));
}  // namespace pellucid
