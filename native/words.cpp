#include "words.h"

#include <algorithm>
#include <cstring>
#include <utility>

namespace pellucid {
namespace {

// The classes of bytes.
constexpr std::uint8_t in_word = 0, is_space = 1, is_mark = 2, may_be_alone = 4, may_start_added = 8;

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }
std::uint8_t byte(char c) { return static_cast<std::uint8_t>(c); }
bool is_ascii(char c) { return byte(c) < 0x80; }
// No normalizer that we accept removes these, or makes anything else of them than lower-case letters and spaces.
bool is_plain(char c) { return (c >= 0x20 && c <= 0x7E) || c == '\t' || c == '\n' || c == '\r'; }
bool is_punctuation(char c) {
  return (c >= 0x21 && c <= 0x2F) || (c >= 0x3A && c <= 0x40) || (c >= 0x5B && c <= 0x60) || (c >= 0x7B && c <= 0x7E);
}

bool is_line_end(char c) { return c == '\n' || c == '\r'; }

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

bool begins_with(std::string_view text, std::string_view start) { return text.substr(0, start.size()) == start; }

// Sorts tokens, and leaves out those that begin with another one: a text that has them has the other one too.
std::vector<std::string> without_longer(std::vector<std::string> tokens) {
  std::sort(tokens.begin(), tokens.end());
  std::vector<std::string> kept;
  for (std::string& token : tokens) {
    if (!token.empty() && (kept.empty() || !begins_with(token, kept.back()))) kept.push_back(std::move(token));
  }
  return kept;
}

// True if a text begins with one of the tokens. That is the last one that is not after it in the order.
bool begins_with_any(std::string_view text, const std::vector<std::string>& tokens) {
  const auto next = std::upper_bound(tokens.begin(), tokens.end(), text);
  return next != tokens.begin() && begins_with(text, *(next - 1));
}

// A character of UTF-8 that has one, two or three bytes; 0x10000 for one that has four.
std::uint32_t character_at(const char* p) {
  const std::uint32_t a = byte(p[0]);
  if (a < 0x80) return a;
  if (a < 0xE0) return (a & 0x1F) << 6 | (byte(p[1]) & 0x3F);
  if (a < 0xF0) return (a & 0x0F) << 12 | (byte(p[1]) & 0x3Fu) << 6 | (byte(p[2]) & 0x3F);
  return 0x10000;
}

// The start of the character that ends before p.
const char* before(const char* p) {
  do --p;
  while ((byte(*p) & 0xC0) == 0x80);
  return p;
}

const char* after(const char* p) {
  const std::uint8_t a = byte(*p);
  return p + (a < 0x80 ? 1 : a < 0xE0 ? 2 : a < 0xF0 ? 3 : 4);
}

}  // namespace

WordTable::WordTable(CuttingRules rules, std::size_t max_bytes)
    : rules_(std::move(rules)),
      in_characters_(0x10001),
      blocks_(std::max<std::size_t>(1, std::min<std::size_t>(max_bytes / (4 * block_size), 1 << 12))),
      seen_(new std::atomic<std::uint64_t>[seen_bits / 64]()) {
  for (const char c : rules_.spaces) classes_[byte(c)] |= is_space;
  for (const auto& [first, last] : rules_.characters) {
    for (std::uint32_t c = first; c <= last && c < 0x10000; ++c) in_characters_[c] = true;
  }
  if (rules_.kind == CuttingRules::Kind::marks) {
    for (char c = 0x21; c < 0x7F; ++c) classes_[byte(c)] |= is_punctuation(c) ? is_mark : in_word;
    for (std::uint32_t c = 0x80; c < 0x10000; ++c) {
      if (!in_characters_[c]) continue;
      classes_[c < 0x800 ? 0xC0 | c >> 6 : 0xE0 | c >> 12] |= may_be_alone;
    }
  } else {
    for (std::uint32_t c = 0x21; c < 0x7F; ++c) in_characters_[c] = true;
  }
  added_ = without_longer(rules_.added);
  std::vector<std::string> lowered = rules_.normalized;
  for (std::string& token : lowered) std::transform(token.begin(), token.end(), token.begin(), lower);
  normalized_ = without_longer(std::move(lowered));
  for (const std::string& token : added_) classes_[byte(token[0])] |= may_start_added;
  for (const std::string& token : normalized_) {
    longest_normalized_ = std::max(longest_normalized_, token.size());
    for (int c = 0; c < 0x80; ++c) {
      if (lower(static_cast<char>(c)) == token[0]) classes_[static_cast<std::size_t>(c)] |= may_start_added;
    }
  }
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

Lookup::Lookup(WordTable& table, std::string_view data, const std::vector<std::size_t>& lengths) : table_(table) {
  data_.reserve(data.size() + 8);
  data_.append(data).append(8, '\0');  // Words are read eight bytes at a time.
  const char *p = data_.data(), *const end = p + data.size();
  std::size_t characters = 0;
  for (const std::size_t length : lengths) characters += length;
  const bool all_ascii = characters == data.size();
  texts_.reserve(lengths.size());
  words_.reserve(data.size() / 4 + lengths.size());
  for (std::size_t length : lengths) {
    const char* start = p;
    if (all_ascii) {
      p += length;
    } else {
      for (; length > 0 && p < end; --length) p = std::min(after(p), end);
    }
    texts_.push_back({start, p, 0, 0});
    read(texts_.back());
  }
  list_unknown(0);
}

void Lookup::read(Text& text) {
  text.first = words_.size();
  const std::size_t first_unknown = unknown_.size();
  const bool is_cut = table_.rules_.kind == CuttingRules::Kind::marks ? cut_at_marks(text.start, text.end)
                                                                      : cut_at_spaces(text.start, text.end);
  text.last = words_.size();
  if (is_cut && !has_many_new(text, first_unknown)) return;
  forget_unknown(first_unknown);
  ask_whole(text);
}

// True if it takes less time to ask about the whole text than about its new words.
bool Lookup::has_many_new(const Text& text, std::size_t first_unknown) const {
  std::size_t new_words = 0;
  for (std::size_t n = first_unknown; n < unknown_.size(); ++n) new_words += !unknown_[n].was_seen;
  return 3 * new_words > text.last - text.first;
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

// Like the other function below, it returns false if the text must go to the library whole.
bool Lookup::cut_at_marks(const char* p, const char* const end) {
  const auto& classes = table_.classes_;
  const char* word = p;
  while (p < end) {
    const std::uint8_t kind = classes[byte(*p)];
    if (kind == in_word) {
      ++p;
      continue;
    }
    if ((kind & may_start_added) != 0 && may_have_added(p, end)) return false;
    if ((kind & (is_space | is_mark)) != 0) {
      if (!add_word(word, static_cast<std::size_t>(p - word))) return false;
      if ((kind & is_mark) != 0 && !add_word(p, 1)) return false;
      word = ++p;
    } else if ((kind & may_be_alone) != 0 && table_.in_characters_[character_at(p)]) {
      const char* next = after(p);
      if (!add_word(word, static_cast<std::size_t>(p - word)) || !add_word(p, static_cast<std::size_t>(next - p))) {
        return false;
      }
      word = p = next;
    } else {
      ++p;
    }
  }
  return add_word(word, static_cast<std::size_t>(end - word));
}

bool Lookup::cut_at_spaces(const char* const start, const char* const end) {
  const auto& classes = table_.classes_;
  const auto is_solid = [&](const char* p) { return table_.in_characters_[character_at(p)]; };
  const auto drop = table_.rules_.drop;
  const char *word = start, *p = start;  // The word begins with its spaces.
  while (p < end) {
    const char* const run = p;
    while (p < end && (classes[byte(*p)] & is_space) != 0) {
      if ((classes[byte(*p)] & may_start_added) != 0 && may_have_added(p, end)) return false;
      ++p;
    }
    const bool is_before_solid = p < end && is_solid(p);
    if (run > start) {
      const char* const last = before(run);
      // The space must be a character by itself, to the normalizer too, and what is before it must stay what it is.
      const bool is_after_solid =
          is_solid(last) && (last == start || is_ascii(*before(last)) || is_solid(before(last)));
      const char* cut = run;
      if (table_.rules_.marks_take_line_ends && is_punctuation(*last)) {
        while (cut < p && is_line_end(*cut)) ++cut;
      }
      // The normalizer may make a mark of a character that is not ASCII.
      const bool is_unsure = table_.rules_.marks_take_line_ends && is_line_end(*run) && !is_ascii(*last);
      if (is_after_solid && !is_unsure && (p == end || p - cut > 1 || is_before_solid)) {
        if (!add_word(word, static_cast<std::size_t>(cut - word))) return false;
        word = cut;
      }
    }
    if (word == run && is_before_solid &&
        (drop == CuttingRules::Drop::run || (drop == CuttingRules::Drop::one && p - run == 1))) {
      const char* const next = after(p);
      if (next == end || is_ascii(*next) || is_solid(next)) word = p;
    }
    while (p < end && (classes[byte(*p)] & is_space) == 0) {
      if (classes[byte(*p)] != in_word && may_have_added(p, end)) return false;
      ++p;
    }
  }
  return add_word(word, static_cast<std::size_t>(end - word));
}

// True if an added token may begin here. In a word that is not plain, one may also begin with another character:
// words.py finds that out.
bool Lookup::may_have_added(const char* const p, const char* const end) const {
  const std::string_view rest(p, static_cast<std::size_t>(end - p));
  if (begins_with_any(rest, table_.added_)) return true;
  std::string plain;
  std::size_t i = 0;
  for (; i < rest.size() && i < table_.longest_normalized_ && is_plain(rest[i]); ++i) plain += lower(rest[i]);
  if (begins_with_any(plain, table_.normalized_)) return true;
  if (i == rest.size() || i == table_.longest_normalized_) return false;
  // The normalizer may remove the next character, or make a part of a token of it.
  const auto next = std::lower_bound(table_.normalized_.begin(), table_.normalized_.end(), plain);
  return next != table_.normalized_.end() && begins_with(*next, plain);
}

// Returns false if the table says that texts with this word must go to the library whole.
bool Lookup::add_word(const char* word, std::size_t bytes) {
  if (bytes == 0) return true;
  if (bytes > WordTable::max_word_bytes) {
    words_.push_back(2 * unknown_.size() + 1);
    unknown_.push_back({word, bytes, 0, Unknown::Kind::piece});
    return true;
  }
  const std::uint32_t hash = hash_of(word, bytes);
  if (const WordTable::Entry entry = table_.find(word, bytes, hash)) {
    words_.push_back(reinterpret_cast<std::uintptr_t>(entry));
    return entry[1] != WordTable::whole;
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
  std::size_t i = hash & (unknown_slots_.size() - 1);
  for (; unknown_slots_[i] != 0; i = (i + 1) & (unknown_slots_.size() - 1)) {
    const std::size_t n = unknown_slots_[i] - 1;
    if (unknown_[n].hash == hash && unknown_[n].bytes == bytes && equal(unknown_[n].start, word, bytes)) {
      words_.push_back(2 * n + 1);
      return true;
    }
  }
  unknown_slots_[i] = static_cast<std::uint32_t>(unknown_.size() + 1);
  words_.push_back(2 * unknown_.size() + 1);
  unknown_.push_back({word, bytes, hash, Unknown::Kind::word, table_.was_seen(hash)});
  return true;
}

// Forgets the words of a text, and asks for the text as a whole instead.
void Lookup::ask_whole(Text& text) {
  if (text.last == words_.size()) {
    words_.resize(text.first);
    words_.push_back(0);
  }
  words_[text.first] = 2 * unknown_.size() + 1;
  text.last = text.first + 1;
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
  if (!suspects.empty()) {
    for (Text& text : texts_) {
      const bool is_suspect = std::any_of(&words_[text.first], &words_[text.last], [&](std::uintptr_t word) {
        return (word & 1) != 0 && unknown_[word / 2].is_suspect && unknown_[word / 2].kind != Unknown::Kind::text;
      });
      if (is_suspect) ask_whole(text);
    }
  }
  list_unknown(first);
}

std::pair<const std::int32_t*, std::int32_t> Lookup::ids_of(std::uintptr_t word) const {
  if ((word & 1) != 0) {
    const Unknown& unknown = unknown_[word / 2];
    return {learned_.data() + unknown.first_id, unknown.count};
  }
  const auto entry = reinterpret_cast<WordTable::Entry>(word);
  return {entry + ids_place(entry[0]), entry[1]};
}

Lookup::Ids Lookup::ids() const {
  Ids found{{}, {0}};
  found.offsets.reserve(texts_.size() + 1);
  std::size_t total = 0;
  for (const Text& text : texts_) {
    for (std::size_t w = text.first; w < text.last; ++w) total += static_cast<std::size_t>(ids_of(words_[w]).second);
    found.offsets.push_back(static_cast<std::int32_t>(total));
  }
  found.ids.resize(total);
  std::int32_t* out = found.ids.data();
  for (const Text& text : texts_) {
    for (std::size_t w = text.first; w < text.last; ++w) {
      const auto [ids, n] = ids_of(words_[w]);
      for (std::int32_t i = 0; i < n; ++i) *out++ = ids[i];
    }
  }
  return found;
}

}  // namespace pellucid
