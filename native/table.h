// The table of functions of an instruction set. One file per instruction set includes this, and is compiled with that
// set's flags. Everything included here must be a template over S, or static: all sets would share a plain inline
// function, and the linker might keep the copy that this machine cannot run.
#pragma once

#include "attention_int16.h"
#include "elementwise.h"
#include "gemm.h"
#include "int4.h"
#include "kernels.h"

namespace pellucid {

// Runs independent multiply-adds, enough at a time to keep every unit busy. Their speed is the top of a roofline.
template <class S>
double multiply_adds(long rounds) {
  constexpr int chains = 12;
  typename S::F x[chains];
  for (int i = 0; i < chains; ++i) x[i] = S::set(static_cast<float>(i));
  const auto a = S::set(0.999f), b = S::set(0.001f);
  for (long r = 0; r < rounds; ++r) {
#pragma GCC unroll 16
    for (int i = 0; i < chains; ++i) {
      x[i] = S::fma(x[i], a, b);
      asm volatile("" : "+r"(r));
    }
  }
  auto total = S::zero();
  for (int i = 0; i < chains; ++i) total = S::add(total, x[i]);
  volatile float used = S::sum(total);
  static_cast<void>(used);
  return static_cast<double>(rounds) * chains * S::lanes;
}

// The attention of the dtypes other than float32.
template <class S>
constexpr AttentionKernels rounded_attention() {
  if constexpr (attends_in_int16<S>) {
    return {attention_memory_int16<S>, pack_keys_int16<S>, attend_int16<S>};
  } else {
    return {attention_memory<S>, pack_keys<S>, attend<S>};
  }
}

template <class S>
constexpr Kernels kernels(const char* name) {
  return {name,
          panel_width<S>,
          S::signed_bytes,
          S::adds_pairs_in_16_bits,
          splits_int16<S>,
          column_words<S>,
          {multiply<S, DotFloat32<S>, Dtype::float32>, multiply<S, DotInt16<S>, Dtype::int16>,
           multiply<S, DotInt8<S>, Dtype::int8>, multiply<S, DotBfloat16<S>, Dtype::bfloat16>,
           multiply<S, DotInt4<S>, Dtype::int4>},
          {nullptr, quantise_int16<S>, quantise_int8<S>, quantise_bfloat16<S>, quantise_int4<S>},
          layer_norm<S>,
          rms_norm<S>,
          {attention_memory<S>, pack_keys<S>, attend<S>},
          rounded_attention<S>(),
          largest<S>,
          rotate<S>,
          multiply_adds<S>};
}

// The same table, but with bfloat16 as the set S computes it.
template <class S>
constexpr Kernels with_bfloat16(Kernels table) {
  table.multiply[int(Dtype::bfloat16)] = multiply<S, DotBfloat16<S>, Dtype::bfloat16>;
  table.quantise[int(Dtype::bfloat16)] = quantise_bfloat16<S>;
  return table;
}

}  // namespace pellucid
