#include "simd/scalar.h"
#include "table.h"

namespace pellucid {
extern const Kernels scalar_kernels = kernels<Scalar>("scalar");
}
