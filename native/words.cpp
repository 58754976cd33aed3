#include "words.h"

#include <algorithm>
#include <cstring>
#include <functional>
#include <new>
#include <numeric>
#include <utility>

#include "team.h"

namespace pellucid {
namespace {

std::uint64_t load(const char* p) {
  std::uint64_t value;
  std::memcpy(&value, p, sizeof value);
  return value;
}

// The last bytes of a word, with zeros in place of what follows it.
std::uint64_t load_last(const char* p, std::size_t bytes) {
  std::uint64_t value = 0;
#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
  value = load(p) & (~std::uint64_t{0} >> (64 - 8 * bytes));
#else
  std::memcpy(&value, p, bytes);
#endif
  return value;
}

std::uint32_t hash_of(const char* p, std::size_t bytes) {
  std::uint64_t h = bytes * 0x9E3779B97F4A7C15u;
  for (; bytes > 8; p += 8, bytes -= 8) {
    h = (h ^ load(p)) * 0xD6E8FEB86659FD93u;
    h ^= h >> 32;
  }
  if (bytes > 0) h = (h ^ load_last(p, bytes)) * 0xD6E8FEB86659FD93u;
  h ^= h >> 32;
  h *= 0xD6E8FEB86659FD93u;
  return static_cast<std::uint32_t>(h >> 32);
}

// Both words are followed by bytes that may be read, up to a multiple of eight.
bool equal(const char* a, const char* b, std::size_t bytes) {
  for (; bytes > 8; a += 8, b += 8, bytes -= 8) {
    if (load(a) != load(b)) return false;
  }
  return load_last(a, bytes) == load_last(b, bytes);
}

// Where the ids of an entry begin.
std::size_t ids_place(std::int32_t bytes) { return 2 + (static_cast<std::size_t>(bytes) + 7) / 8 * 2; }

}  // namespace

WordTable::WordTable(CuttingRules rules, std::size_t max_bytes)
    : cutter_(std::move(rules)),
      blocks_(std::max<std::size_t>(1, std::min<std::size_t>(max_bytes / (4 * block_size), 1 << 12))),
      seen_(new std::atomic<std::uint64_t>[seen_bits / 64]()) {
  all_slots_.push_back(std::make_unique<const Slots>(1 << 12));
  slots_.store(all_slots_.back().get(), std::memory_order_release);
}

WordTable::Entry WordTable::find(const char* word, std::size_t bytes, std::uint32_t hash) const {
  const Slots& slots = *slots_.load(std::memory_order_acquire);
  for (std::size_t i = hash & slots.mask;; i = (i + 1) & slots.mask) {
    const std::uint64_t slot = slots.values[i].load(std::memory_order_acquire);
    if (slot == 0) return nullptr;
    if (static_cast<std::uint32_t>(slot >> 32) != hash) continue;
    const std::size_t place = static_cast<std::uint32_t>(slot) - 1;
    const Entry entry = &blocks_[place / block_size][place % block_size];
    if (static_cast<std::size_t>(entry[0]) == bytes && equal(reinterpret_cast<const char*>(entry + 2), word, bytes)) {
      return entry;
    }
  }
}

void WordTable::grow() {
  const Slots& old = *all_slots_.back();
  auto larger = std::make_unique<const Slots>(2 * (old.mask + 1));
  for (std::size_t j = 0; j <= old.mask; ++j) {
    const std::uint64_t slot = old.values[j].load(std::memory_order_relaxed);
    if (slot == 0) continue;
    std::size_t i = (slot >> 32) & larger->mask;
    while (larger->values[i].load(std::memory_order_relaxed) != 0) i = (i + 1) & larger->mask;
    larger->values[i].store(slot, std::memory_order_relaxed);
  }
  all_slots_.push_back(std::move(larger));
  slots_.store(all_slots_.back().get(), std::memory_order_release);
}

void WordTable::add(const char* word, std::size_t bytes, std::uint32_t hash, const std::int32_t* ids,
                    std::int32_t count) {
  if (find(word, bytes, hash)) return;  // Another thread was faster.
  const std::size_t size = ids_place(static_cast<std::int32_t>(bytes)) + static_cast<std::size_t>(std::max(0, count));
  if (used_ % block_size + size > block_size) used_ = (used_ / block_size + 1) * block_size;
  if (used_ >= blocks_.size() * block_size || words() >= max_words) return;  // It is full.
  std::unique_ptr<std::int32_t[]>& block = blocks_[used_ / block_size];
  if (!block) block = std::make_unique<std::int32_t[]>(block_size);  // It is all zeros.
  if (2 * (words() + 1) > all_slots_.back()->mask) grow();
  std::int32_t* const entry = &block[used_ % block_size];
  entry[0] = static_cast<std::int32_t>(bytes);
  entry[1] = count;
  std::memcpy(entry + 2, word, bytes);
  std::copy(ids, ids + std::max(0, count), entry + ids_place(entry[0]));
  const Slots& slots = *all_slots_.back();
  std::size_t i = hash & slots.mask;
  while (slots.values[i].load(std::memory_order_relaxed) != 0) i = (i + 1) & slots.mask;
  slots.values[i].store(std::uint64_t{hash} << 32 | (used_ + 1), std::memory_order_release);
  used_ += size;
  count_.fetch_add(1, std::memory_order_relaxed);
}

bool WordTable::was_seen(std::uint32_t hash) {
  if (seen_count_.load(std::memory_order_relaxed) > seen_bits / 4) {  // Too many words would share a bit.
    seen_count_.store(0, std::memory_order_relaxed);
    for (std::size_t i = 0; i < seen_bits / 64; ++i) seen_[i].store(0, std::memory_order_relaxed);
  }
  const std::uint64_t bit = std::uint64_t{1} << (hash % 64);
  const bool was = (seen_[hash / 64 % (seen_bits / 64)].fetch_or(bit, std::memory_order_relaxed) & bit) != 0;
  if (!was) seen_count_.fetch_add(1, std::memory_order_relaxed);
  return was;
}

Lookup::Lookup(WordTable& table, std::string_view data, const std::vector<std::size_t>& lengths, int threads,
               std::size_t share_bytes)
    : table_(table) {
  split(data, lengths, share_bytes);
  read_all(static_cast<std::size_t>(std::max(1, threads)));
  for (Share& share : shares_) find_unknown(share);
  list_unknown(0);
}

// Finds the texts in the data, and makes shares of them.
void Lookup::split(std::string_view data, const std::vector<std::size_t>& lengths, std::size_t share_bytes) {
  const char *p = data.data(), *const end = p + data.size();
  const bool all_ascii = std::accumulate(lengths.begin(), lengths.end(), std::size_t{0}) == data.size();
  texts_.reserve(lengths.size());
  for (const std::size_t length : lengths) {
    const char* const start = p;
    p = all_ascii ? p + length : skip(p, end, length);
    texts_.push_back({start, p});
    const bool is_full =
        shares_.empty() || static_cast<std::size_t>(p - texts_[shares_.back().first].start) > share_bytes;
    if (is_full) shares_.push_back({texts_.size() - 1, texts_.size(), {}, {}, {}});
    shares_.back().last = texts_.size();
  }
}

void Lookup::read_all(std::size_t threads) {
  threads = std::min(threads, shares_.size() / 2);
  if (threads < 2) {
    for (Share& share : shares_) read(share);
    return;
  }
  std::atomic<std::size_t> next{0};
  std::atomic<bool> is_out_of_memory{false};
  const std::function<bool()> never = [] { return false; };
  Stop stop(never);  // It takes milliseconds.
  run_workers(static_cast<int>(threads), stop, [&](int) {
    try {
      for (std::size_t n; (n = next.fetch_add(1, std::memory_order_relaxed)) < shares_.size();) read(shares_[n]);
    } catch (const std::bad_alloc&) {
      is_out_of_memory = true;
    }
  });
  if (is_out_of_memory) throw std::bad_alloc();
}

// Looks up the words of a share's texts. Several threads do this at the same time, each for another share.
void Lookup::read(Share& shared) {
  Share share{shared.first, shared.last, {}, {}, {}};  // Not among those of other threads.
  share.ids.reserve(static_cast<std::size_t>(texts_[share.last - 1].end - texts_[share.first].start) / 3);
  std::vector<WordTable::Entry> words;
  for (std::size_t n = share.first; n < share.last; ++n) {
    Text& text = texts_[n];
    const std::size_t first_missing = share.missing.size(), first_word = share.words.size();
    std::size_t count = 0;
    words.clear();
    const bool is_cut = table_.cutter_.cut(text.start, text.end, [&](const char* word, std::size_t bytes) {
      if (bytes == 0) return true;
      const std::uint32_t hash = bytes > WordTable::max_word_bytes ? 0 : hash_of(word, bytes);
      const WordTable::Entry entry = bytes > WordTable::max_word_bytes ? nullptr : table_.find(word, bytes, hash);
      if (entry == nullptr) {
        share.missing.push_back({first_word + words.size(), word, bytes, hash});
      } else if (entry[1] == WordTable::whole) {
        return false;
      } else {
        count += static_cast<std::size_t>(entry[1]);
      }
      words.push_back(entry);
      return true;
    });
    if (!is_cut) {
      share.missing.resize(first_missing);
      text.state = Text::State::whole;
    } else if (share.missing.size() > first_missing) {
      text.state = Text::State::has_unknown;
      text.first = first_word;
      for (const WordTable::Entry entry : words) share.words.push_back(reinterpret_cast<std::uintptr_t>(entry));
      text.last = share.words.size();
    } else {
      text.first = share.ids.size();
      text.last = text.first + count;
      share.ids.resize(text.last);
      std::int32_t* out = share.ids.data() + text.first;
      for (const WordTable::Entry entry : words) out = copy(ids_of(reinterpret_cast<std::uintptr_t>(entry)), out);
    }
  }
  shared = std::move(share);
}

// Decides for each text that is not known what to ask the library about: some words, or the whole text.
void Lookup::find_unknown(Share& share) {
  auto missing = share.missing.begin();
  for (std::size_t n = share.first; n < share.last; ++n) {
    Text& text = texts_[n];
    if (text.state == Text::State::known) continue;
    if (text.state == Text::State::has_unknown) {
      const std::size_t first_unknown = unknown_.size();
      for (; missing != share.missing.end() && missing->place < text.last; ++missing) {
        share.words[missing->place] = 2 * number_of(*missing) + 1;
      }
      if (!has_many_new(text.last - text.first, first_unknown)) continue;
      forget_unknown(first_unknown);
    }
    ask_whole(share, text);
  }
}

// The number of an unknown word or piece.
std::size_t Lookup::number_of(const Missing& word) {
  if (word.bytes > WordTable::max_word_bytes) {
    unknown_.push_back({word.start, word.bytes, 0, Unknown::Kind::piece});
    return unknown_.size() - 1;
  }
  if (2 * unknown_.size() >= unknown_slots_.size()) {
    unknown_slots_.assign(std::max<std::size_t>(64, 4 * unknown_slots_.size()), 0);
    for (std::size_t n = 0; n < unknown_.size(); ++n) {
      if (unknown_[n].kind != Unknown::Kind::word) continue;
      std::size_t i = unknown_[n].hash & (unknown_slots_.size() - 1);
      while (unknown_slots_[i] != 0) i = (i + 1) & (unknown_slots_.size() - 1);
      unknown_slots_[i] = static_cast<std::uint32_t>(n + 1);
    }
  }
  std::size_t i = word.hash & (unknown_slots_.size() - 1);
  for (; unknown_slots_[i] != 0; i = (i + 1) & (unknown_slots_.size() - 1)) {
    const std::size_t n = unknown_slots_[i] - 1;
    const Unknown& other = unknown_[n];
    if (other.hash == word.hash && other.bytes == word.bytes && equal(other.start, word.start, word.bytes)) return n;
  }
  unknown_.push_back({word.start, word.bytes, word.hash, Unknown::Kind::word, table_.was_seen(word.hash)});
  unknown_slots_[i] = static_cast<std::uint32_t>(unknown_.size());
  return unknown_.size() - 1;
}

// True if it takes less time to ask about the whole text than about its new words.
bool Lookup::has_many_new(std::size_t words, std::size_t first_unknown) const {
  std::size_t new_words = 0;
  for (std::size_t n = first_unknown; n < unknown_.size(); ++n) new_words += !unknown_[n].was_seen;
  return 3 * new_words > words;
}

// Forgets what is unknown from this number on; only texts that are asked whole may have it.
void Lookup::forget_unknown(std::size_t first) {
  while (unknown_.size() > first) {
    const Unknown& last = unknown_.back();
    if (last.kind == Unknown::Kind::word) {  // It came into its slot last, so nothing has been put behind it.
      std::size_t i = last.hash & (unknown_slots_.size() - 1);
      while (unknown_slots_[i] != unknown_.size()) i = (i + 1) & (unknown_slots_.size() - 1);
      unknown_slots_[i] = 0;
    }
    unknown_.pop_back();
  }
}

// Asks for a text as a whole, instead of its words.
void Lookup::ask_whole(Share& share, Text& text) {
  text.state = Text::State::whole;
  text.first = share.words.size();
  text.last = text.first + 1;
  share.words.push_back(2 * unknown_.size() + 1);
  unknown_.push_back({text.start, static_cast<std::size_t>(text.end - text.start), 0, Unknown::Kind::text});
}

// Lists what is unknown, from this number on.
void Lookup::list_unknown(std::size_t first) {
  asked_.clear();
  unknown_words_.clear();
  unknown_pieces_.clear();
  for (auto* list : {&unknown_words_, &unknown_pieces_}) {
    for (std::size_t n = first; n < unknown_.size(); ++n) {
      if ((unknown_[n].kind == Unknown::Kind::word) != (list == &unknown_words_)) continue;
      asked_.push_back(n);
      list->emplace_back(unknown_[n].start, unknown_[n].bytes);
    }
  }
}

void Lookup::learn(const std::vector<std::int32_t>& counts, const std::vector<std::size_t>& suspects,
                   const std::int32_t* ids, std::size_t ids_size) {
  std::size_t next = learned_.size();
  learned_.insert(learned_.end(), ids, ids + ids_size);
  for (std::size_t k = 0; k < asked_.size(); ++k) {
    unknown_[asked_[k]].count = counts[k];
    unknown_[asked_[k]].first_id = next;
    next += static_cast<std::size_t>(counts[k]);
  }
  for (const std::size_t k : suspects) unknown_[asked_[k]].is_suspect = true;
  {
    // If another thread adds words at this moment, these are not added: they will be learned the next time.
    const std::unique_lock lock(table_.writing_, std::try_to_lock);
    for (std::size_t k = 0; lock.owns_lock() && k < asked_.size(); ++k) {
      const Unknown& word = unknown_[asked_[k]];
      if (word.kind != Unknown::Kind::word || word.count > static_cast<std::int32_t>(WordTable::max_word_ids)) continue;
      table_.add(word.start, word.bytes, word.hash, learned_.data() + word.first_id,
                 word.is_suspect ? WordTable::whole : word.count);
    }
  }
  const std::size_t first = unknown_.size();
  for (Share& share : shares_) {
    for (std::size_t n = share.first; n < share.last && !suspects.empty(); ++n) {
      Text& text = texts_[n];
      if (text.state != Text::State::has_unknown) continue;
      const std::uintptr_t* const words = share.words.data();
      const bool is_suspect = std::any_of(words + text.first, words + text.last, [&](std::uintptr_t word) {
        return (word & 1) != 0 && unknown_[word / 2].is_suspect;
      });
      if (is_suspect) ask_whole(share, text);
    }
  }
  list_unknown(first);
}

Lookup::Run Lookup::ids_of(std::uintptr_t word) const {
  if ((word & 1) != 0) {
    const Unknown& unknown = unknown_[word / 2];
    return {learned_.data() + unknown.first_id, static_cast<std::size_t>(unknown.count)};
  }
  const auto entry = reinterpret_cast<WordTable::Entry>(word);
  return {entry + ids_place(entry[0]), static_cast<std::size_t>(entry[1])};
}

// Copies ids, and returns where the next ones go.
std::int32_t* Lookup::copy(Run run, std::int32_t* out) {
  for (std::size_t i = 0; i < run.count; ++i) *out++ = run.ids[i];
  return out;
}

Lookup::Ids Lookup::ids() const {
  Ids found{{}, {0}};
  found.offsets.reserve(texts_.size() + 1);
  std::size_t total = 0;
  for (const Share& share : shares_) {
    for (std::size_t n = share.first; n < share.last; ++n) {
      const Text& text = texts_[n];
      if (text.state == Text::State::known) {
        total += text.last - text.first;
      } else {
        for (std::size_t w = text.first; w < text.last; ++w) total += ids_of(share.words[w]).count;
      }
      found.offsets.push_back(static_cast<std::int32_t>(total));
    }
  }
  found.ids.resize(total);
  std::int32_t* out = found.ids.data();
  for (const Share& share : shares_) {
    for (std::size_t n = share.first; n < share.last; ++n) {
      const Text& text = texts_[n];
      if (text.state == Text::State::known) {
        out = copy({share.ids.data() + text.first, text.last - text.first}, out);
      } else {
        for (std::size_t w = text.first; w < text.last; ++w) out = copy(ids_of(share.words[w]), out);
      }
    }
  }
  return found;
}

}  // namespace pellucid
