// Weights of 4 bits: w ≈ scale · (u - 8), with u in 0 … 15, in groups of 32 features of one output feature. Each group has
// a scale, kept as bfloat16. int4.h multiplies them.
#pragma once

#include <vector>

#include "packed.h"

namespace pellucid {

// Rounds the weights of one output feature. Byte i of word k of a group has feature 8k + i in its lower half, and feature
// 8k + 4 + i in its upper half.
void round_to_int4(const Depth& depth, const float* weight, Column& column);

// Writes a panel of so many columns: for each group, its words, word by word, and then its scales. Columns c and
// c + width / 2 share a word of scales, the first in its lower half. `columns` may have fewer than `width`; the others are
// filled with zeros.
void write_int4_panel(const Depth& depth, const Column* columns, std::size_t count, std::size_t width,
                      std::uint32_t* out);

}  // namespace pellucid
