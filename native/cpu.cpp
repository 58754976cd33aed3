// Finds out which instruction sets this machine supports.
#include "kernels.h"

#if defined(__aarch64__) && defined(__linux__)
#include <asm/hwcap.h>
#include <sys/auxv.h>
#elif defined(__aarch64__) && defined(__APPLE__)
#include <sys/sysctl.h>
#elif defined(__aarch64__) && defined(_WIN32)
#define WIN32_LEAN_AND_MEAN
#define NOMINMAX
#include <windows.h>
#endif
#if defined(__x86_64__)
#include <cpuid.h>
#if defined(__linux__)
#include <sys/syscall.h>
#include <unistd.h>
#endif
#endif

namespace pellucid {

extern const Kernels scalar_kernels;

#if defined(__x86_64__)
extern const Kernels avx2_kernels, avx2_vnni_kernels, avx512_kernels, avx512_vnni_kernels, avx512_bf16_kernels,
    amx_kernels;

namespace {
// This uses CPUID directly, because __builtin_cpu_supports needs the compiler's runtime library, which is not linked on
// Windows. Intel's manual, volume 2A, CPUID, lists the bits.
struct Leaf {
  Leaf(unsigned number, unsigned part) { __get_cpuid_count(number, part, &a, &b, &c, &d); }
  unsigned a = 0, b = 0, c = 0, d = 0;  // These stay 0 if there is no such leaf.
};

bool has(unsigned word, unsigned bits) { return (word & bits) == bits; }

// The registers that the operating system saves when it switches threads, as bits; 0 if it does not say.
unsigned saved_registers() {
  constexpr unsigned osxsave = 1u << 27;
  if (!has(Leaf(1, 0).c, osxsave)) return 0;
  unsigned low, high;
  asm volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return low;
}

// Asks Linux to save this process's tiles when it switches threads. Without that, using one ends the process. Linux
// answers no where it is older than 5.16, and where a thread has too small a stack for signals. Other systems are not
// asked yet.
bool may_use_tiles() {
#if defined(__linux__)
  constexpr long request_permission = 0x1023, tile_data = 18;  // ARCH_REQ_XCOMP_PERM and XFEATURE_XTILEDATA
  return syscall(SYS_arch_prctl, request_permission, tile_data) == 0;
#else
  return false;
#endif
}

KernelList read_processor() {
  KernelList list{};
  const Leaf one(1, 0), seven(7, 0), seven_one(7, 1);
  const unsigned saved = saved_registers();
  // FMA and AVX, then AVX2.
  const bool avx2 = has(saved, 0x06) && has(one.c, 1u << 12 | 1u << 28) && has(seven.b, 1u << 5);
  // F, DQ, BW and VL.
  const bool avx512 = avx2 && has(saved, 0xe6) && has(seven.b, 1u << 16 | 1u << 17 | 1u << 30 | 1u << 31);
  const bool avx512_vnni = avx512 && has(seven.c, 1u << 11);
  const bool avx512_bf16 = avx512_vnni && has(seven_one.a, 1u << 5);
  // AMX-BF16, AMX-TILE and AMX-INT8.
  const bool amx = avx512_bf16 && has(saved, 0x60000) && has(seven.d, 1u << 22 | 1u << 24 | 1u << 25) && may_use_tiles();
  const bool avx_vnni = avx2 && has(seven_one.a, 1u << 4);
  if (amx) list.table[list.count++] = &amx_kernels;
  if (avx512_bf16) list.table[list.count++] = &avx512_bf16_kernels;
  if (avx512_vnni) list.table[list.count++] = &avx512_vnni_kernels;
  if (avx512) list.table[list.count++] = &avx512_kernels;
  if (avx_vnni) list.table[list.count++] = &avx2_vnni_kernels;
  if (avx2) list.table[list.count++] = &avx2_kernels;
  list.table[list.count++] = &scalar_kernels;
  return list;
}
}  // namespace

KernelList available_kernels() {
  static const KernelList list = read_processor();  // Read once: each CPUID takes 20 µs in a virtual machine.
  return list;
}

#elif defined(__aarch64__)
extern const Kernels neon_kernels, neon_dot_kernels, neon_i8mm_kernels;

namespace {
// True if the operating system says that the processor has dot products of bytes (FEAT_DotProd). On a system that we
// cannot ask, the answer is false: that may be slower, but never runs an illegal instruction.
bool has_dot_product() {
#if defined(__linux__)
  return getauxval(AT_HWCAP) & HWCAP_ASIMDDP;
#elif defined(__APPLE__)
  return true;  // Every Mac with an Arm processor has them, and macOS 11 cannot be asked.
#elif defined(_WIN32)
  constexpr DWORD dot_product = 43;  // PF_ARM_V82_DP_INSTRUCTIONS_AVAILABLE, which older headers do not have.
  return IsProcessorFeaturePresent(dot_product);
#else
  return false;
#endif
}

// The same for products of matrices of bytes (FEAT_I8MM).
bool has_matrix_product() {
#if defined(__linux__)
  constexpr unsigned long matrix_product = 1ul << 13;  // HWCAP2_I8MM, which older headers do not have.
  return getauxval(AT_HWCAP2) & matrix_product;
#elif defined(__APPLE__)
  int found = 0;
  std::size_t size = sizeof found;
  return sysctlbyname("hw.optional.arm.FEAT_I8MM", &found, &size, nullptr, 0) == 0 && found == 1;
#elif defined(_WIN32)
  constexpr DWORD matrix_product = 66;  // PF_ARM_V82_I8MM_INSTRUCTIONS_AVAILABLE, which older headers do not have.
  return IsProcessorFeaturePresent(matrix_product);
#else
  return false;
#endif
}
}  // namespace

KernelList available_kernels() {
  KernelList list{};
  const bool dot_product = has_dot_product();
  if (dot_product && has_matrix_product()) list.table[list.count++] = &neon_i8mm_kernels;
  if (dot_product) list.table[list.count++] = &neon_dot_kernels;
  list.table[list.count++] = &neon_kernels;
  list.table[list.count++] = &scalar_kernels;
  return list;
}

#else
KernelList available_kernels() { return {{&scalar_kernels}, 1}; }
#endif

}  // namespace pellucid
