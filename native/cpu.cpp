// Which instruction sets this machine has.
#include "kernels.h"

#if defined(__aarch64__) && defined(__linux__)
#include <asm/hwcap.h>
#include <sys/auxv.h>
#endif
#if defined(__x86_64__)
#include <cpuid.h>
#endif

namespace pellucid {

extern const Kernels scalar_kernels;

#if defined(__x86_64__)
extern const Kernels avx2_kernels, avx2_vnni_kernels, avx512_kernels, avx512_vnni_kernels;

namespace {
bool has_avx_vnni() {  // Leaf 7, subleaf 1, EAX bit 4; older compilers do not know it by name.
  unsigned a = 0, b = 0, c = 0, d = 0;
  return __get_cpuid_count(7, 1, &a, &b, &c, &d) && (a >> 4 & 1);
}
}  // namespace

KernelList available_kernels() {
  KernelList list{};
  __builtin_cpu_init();  // Asks the operating system too, whether it saves the wide registers.
  const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
  const bool avx512 = avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                      __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
  if (avx512 && __builtin_cpu_supports("avx512vnni")) list.table[list.count++] = &avx512_vnni_kernels;
  if (avx512) list.table[list.count++] = &avx512_kernels;
  if (avx2 && has_avx_vnni()) list.table[list.count++] = &avx2_vnni_kernels;
  if (avx2) list.table[list.count++] = &avx2_kernels;
  list.table[list.count++] = &scalar_kernels;
  return list;
}

#elif defined(__aarch64__)
extern const Kernels neon_kernels, neon_dot_kernels;

KernelList available_kernels() {
  KernelList list{};
#if defined(__linux__)
  const bool dot = getauxval(AT_HWCAP) & HWCAP_ASIMDDP;
#else
  const bool dot = true;  // All Apple silicon.
#endif
  if (dot) list.table[list.count++] = &neon_dot_kernels;
  list.table[list.count++] = &neon_kernels;
  list.table[list.count++] = &scalar_kernels;
  return list;
}

#else
KernelList available_kernels() { return {{&scalar_kernels}, 1}; }
#endif

}  // namespace pellucid
