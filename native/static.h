// Static models: a text's vector is the mean of its tokens' rows in one table. There is nothing else to compute.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>

#include "stored.h"

namespace pellucid {

// A table of rows, as it lies in its file. Row `mapping[id]`, or row `id` without a mapping, is the row of token `id`;
// with weights, it is multiplied by `weights[id]`.
struct TokenTable {
  StoredNumbers rows;
  std::size_t size;             // of a row, in numbers
  const std::int32_t* mapping;  // or null
  const float* weights;         // or null
};

// Writes the mean of each text's rows to `out`, [texts, size]; zeros for a text without tokens. Text i has the tokens
// ids[offsets[i]] up to, but not including, ids[offsets[i + 1]]. A mean is a sum in the order of the tokens, divided by
// their number, so it depends on its text alone. Returns false if should_stop() did, which is called now and then.
bool mean_rows(const TokenTable& table, const std::int32_t* ids, const std::int32_t* offsets, int texts, float* out,
               int threads, const std::function<bool()>& should_stop);

}  // namespace pellucid
