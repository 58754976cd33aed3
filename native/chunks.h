// How a call is cut into chunks: consecutive whole texts that go through the layers together.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

namespace pellucid {

struct Chunk {
  int first, last;  // texts: first … last - 1
};

inline int tokens_of(const Chunk& chunk, const std::int32_t* offsets) {
  return offsets[chunk.last] - offsets[chunk.first];
}

inline int longest_of(const Chunk& chunk, const std::int32_t* offsets) {
  int longest = 0;
  for (int text = chunk.first; text < chunk.last; ++text) longest = std::max(longest, offsets[text + 1] - offsets[text]);
  return longest;
}

// Cuts the texts into chunks. A chunk has at most limit(tokens that are left) tokens, or is one longer text.
template <class Limit>
std::vector<Chunk> cut(const std::int32_t* offsets, int texts, Limit limit) {
  std::vector<Chunk> chunks;
  for (int first = 0, last; first < texts; first = last) {
    const int most = limit(offsets[texts] - offsets[first]);
    for (last = first + 1; last < texts && offsets[last + 1] - offsets[first] <= most;) ++last;
    chunks.push_back({first, last});
  }
  return chunks;
}

// The most tokens of a chunk that one worker takes. That is enough to make good use of each weight that is read from
// memory, and few enough for the rows to stay in the second-level cache.
constexpr int tokens_per_chunk = 256;

// Chunks for workers that each take the next one. They become smaller towards the end of a call, so that all workers end at
// about the same time. Even smaller ones would cost more than they gain.
inline std::vector<Chunk> cut_for_each(const std::int32_t* offsets, int texts, int workers) {
  return cut(offsets, texts, [&](int left) { return std::clamp(left / (2 * workers), tokens_per_chunk / 4, tokens_per_chunk); });
}

// Chunks that all workers go through together.
inline std::vector<Chunk> cut_for_all(const std::int32_t* offsets, int texts, int workers) {
  return cut(offsets, texts, [&](int) { return tokens_per_chunk * workers; });
}

// The number of workers for which work / workers + workers · cost is smallest, where `work` is the time of one worker alone,
// and each more worker costs some time, to be started and to take part in each step.
inline int useful_workers(double work, double cost, int most) {
  return std::clamp(static_cast<int>(std::min(std::sqrt(work / cost), 1e6)), 1, most);
}

}  // namespace pellucid
