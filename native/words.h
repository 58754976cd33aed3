// The word table: words, and the token ids that the tokenizers library gave for each. Texts are cut into words
// (cutting.h) and looked up here. The table says which words the library has to be asked about.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "cutting.h"

namespace pellucid {

class Lookup;

// Any number of threads may read while one writes. Nothing here waits for another thread, so a process that is forked
// while a thread writes can go on with the table.
class WordTable {
 public:
  static constexpr std::size_t max_word_bytes = 96;
  static constexpr std::size_t max_word_ids = 64;
  static constexpr std::int32_t whole = -1;  // Instead of a number of ids: a text with this word goes to the library.

  static constexpr std::size_t max_words = 1'000'000;

  // max_bytes: once the words and ids take so many, no more are added. The slots of a million words take 32 MB.
  explicit WordTable(CuttingRules rules, std::size_t max_bytes = std::size_t{32} << 20);
  WordTable(const WordTable&) = delete;
  WordTable& operator=(const WordTable&) = delete;

  std::size_t words() const { return count_.load(std::memory_order_relaxed); }

 private:
  friend class Lookup;

  // An entry is an array: how many bytes the word has, how many ids, the bytes, zeros up to a multiple of 8 bytes, and
  // the ids. Nothing changes it later.
  using Entry = const std::int32_t*;
  static constexpr std::size_t block_size = std::size_t{1} << 17;

  // Each slot has the hash in its upper half, and in its lower half where the entry is, plus 1. 0 is an empty slot.
  struct Slots {
    explicit Slots(std::size_t n) : mask(n - 1), values(new std::atomic<std::uint64_t>[n]()) {}
    const std::size_t mask;
    const std::unique_ptr<std::atomic<std::uint64_t>[]> values;
  };

  // The word is followed by at least 7 bytes that may be read.
  Entry find(const char* word, std::size_t bytes, std::uint32_t hash) const;
  void add(const char* word, std::size_t bytes, std::uint32_t hash, const std::int32_t* ids, std::int32_t count);
  void grow();
  // True if this word, or one with the same bits of its hash, has been unknown before.
  bool was_seen(std::uint32_t hash);

  const Cutter cutter_;

  std::mutex writing_;
  std::atomic<const Slots*> slots_;
  std::vector<std::unique_ptr<const Slots>> all_slots_;  // Readers may still use an older one.
  std::vector<std::unique_ptr<std::int32_t[]>> blocks_;
  std::size_t used_ = 0;  // of the blocks
  std::atomic<std::size_t> count_{0};

  static constexpr std::size_t seen_bits = std::size_t{1} << 20;
  const std::unique_ptr<std::atomic<std::uint64_t>[]> seen_;
  std::atomic<std::size_t> seen_count_{0};
};

// Some texts on their way through the table: look up, ask the library about what is unknown, learn, give the ids.
//
// To ask about a word alone takes more than twice the time that it takes as a part of a text. That pays for words that
// come again. So if many words of a text have never been seen, as in noise or at the very start, the text goes to the
// library whole, and these words are asked about when they come again.
//
// The texts are cut into shares of some 10,000 bytes. Several threads look the words of a share up, each in a share of
// its own. What is unknown then is sorted out by the calling thread alone, so it is asked about once.
class Lookup {
 public:
  static constexpr std::size_t share_size = std::size_t{1} << 15;  // bytes
  static constexpr std::size_t padding = 8;  // Words are read eight bytes at a time.

  // data: the texts in UTF-8, one after another, which must outlive this. It is followed by padding bytes that may be
  // read. lengths: the number of characters of each text. threads: how many may work at the same time; each has two
  // shares or more to do.
  Lookup(WordTable& table, std::string_view data, const std::vector<std::size_t>& lengths, int threads = 1,
         std::size_t share_bytes = share_size);
  Lookup(const Lookup&) = delete;
  Lookup& operator=(const Lookup&) = delete;

  // What to ask the library: words to be kept, then pieces of texts and whole texts that are not. While both are
  // empty, all is known.
  const std::vector<std::string_view>& unknown_words() const { return unknown_words_; }
  const std::vector<std::string_view>& unknown_pieces() const { return unknown_pieces_; }

  // ids: those of the unknown words and then of the unknown pieces, one after another. counts: how many each has.
  // suspects: the numbers of those that may be a part of an added token; their texts are unknown afterwards.
  void learn(const std::vector<std::int32_t>& counts, const std::vector<std::size_t>& suspects, const std::int32_t* ids,
             std::size_t ids_size);

  // The ids of the texts, one after another: text i owns those from offsets[i] up to offsets[i + 1].
  struct Ids {
    std::vector<std::int32_t> ids, offsets;
  };
  Ids ids() const;

 private:
  struct Text {
    const char *start, *end;
    enum class State { known, has_unknown, whole } state = State::known;
    std::size_t first = 0, last = 0;  // If it is known, of its ids in its share; else of its words there.
  };
  // A word that is not in the table, or is too long for it.
  struct Missing {
    std::size_t place;  // in the words of its share
    const char* start;
    std::size_t bytes;
    std::uint32_t hash;
  };
  struct Share {
    std::size_t first, last;           // of its texts in texts_
    std::vector<std::int32_t> ids;     // of the texts that are known
    std::vector<std::uintptr_t> words;  // of the others: a pointer to an entry, or 2 n + 1 for the unknown word n
    std::vector<Missing> missing;
  };
  struct Unknown {
    const char* start;
    std::size_t bytes;
    std::uint32_t hash;
    enum class Kind { word, piece, text } kind;
    bool was_seen = true;
    bool is_suspect = false;
    std::int32_t count = 0;
    std::size_t first_id = 0;
  };

  struct Run {
    const std::int32_t* ids;
    std::size_t count;
  };

  void split(std::string_view data, const std::vector<std::size_t>& lengths, std::size_t share_bytes);
  void read(Share& share);
  void read_all(std::size_t threads);
  void find_unknown(Share& share);
  std::size_t number_of(const Missing& missing);
  bool has_many_new(std::size_t words, std::size_t first_unknown) const;
  void forget_unknown(std::size_t first);
  void ask_whole(Share& share, Text& text);
  void list_unknown(std::size_t first);
  Run ids_of(std::uintptr_t word) const;
  static std::int32_t* copy(Run run, std::int32_t* out);

  WordTable& table_;
  std::vector<Text> texts_;
  std::vector<Share> shares_;
  std::vector<Unknown> unknown_;
  std::vector<std::uint32_t> unknown_slots_;  // Numbers of unknown words plus 1, by their hashes.
  std::vector<std::size_t> asked_;            // The unknown words and pieces in the order in which they are listed.
  std::vector<std::string_view> unknown_words_, unknown_pieces_;
  std::vector<std::int32_t> learned_;  // ids
};

}  // namespace pellucid
