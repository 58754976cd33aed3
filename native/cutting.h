// Where texts are cut into words, so that each word has the ids that it has in the text.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "utf8.h"

namespace pellucid {

// Where a tokenizer's texts may be cut. src/pellucid/text/words.py makes these rules, and says why they hold.
struct CuttingRules {
  enum class Kind { marks, spaces };
  enum class Drop { none, one, run };

  Kind kind = Kind::marks;
  // The ASCII characters that separate words.
  std::string spaces = " ";
  // Kind::spaces: how many spaces before a solid character are left out of the word, because they change no ids.
  Drop drop = Drop::none;
  // Kind::spaces: line ends belong to the marks before them.
  bool marks_take_line_ends = false;
  // Ranges of characters, first and last, below U+10000. Kind::marks: each of them is a word of its own. Kind::spaces:
  // the solid characters beyond ASCII. A place is only cut between solid characters.
  std::vector<std::pair<std::uint32_t, std::uint32_t>> characters;
  // A text that has one of these goes to the library whole.
  std::vector<std::string> added;
  // The same for added tokens that the library looks for in the normalized text, normalized: printable ASCII.
  std::vector<std::string> normalized;
};

// Cuts texts by such rules. Nothing changes it, so any number of threads may use it.
class Cutter {
 public:
  explicit Cutter(CuttingRules rules);

  // Calls add_word(start, bytes) for each word of a text. A word may have no bytes. Returns false if the text must go to
  // the library whole: it may have an added token, or add_word returned false.
  template <class AddWord>
  bool cut(const char* start, const char* end, AddWord add_word) const {
    return rules_.kind == CuttingRules::Kind::marks ? cut_at_marks(start, end, add_word)
                                                    : cut_at_spaces(start, end, add_word);
  }

 private:
  // The classes of bytes.
  static constexpr std::uint8_t in_word = 0, is_space = 1, is_mark = 2, may_be_alone = 4, may_start_added = 8;

  static bool is_line_end(char c) { return c == '\n' || c == '\r'; }
  static bool is_punctuation(char c) {
    return (c >= 0x21 && c <= 0x2F) || (c >= 0x3A && c <= 0x40) || (c >= 0x5B && c <= 0x60) || (c >= 0x7B && c <= 0x7E);
  }

  template <class AddWord>
  bool cut_at_marks(const char* p, const char* end, AddWord& add_word) const;
  template <class AddWord>
  bool cut_at_spaces(const char* start, const char* end, AddWord& add_word) const;
  bool may_have_added(const char* p, const char* end) const;

  CuttingRules rules_;
  std::array<std::uint8_t, 256> classes_{};  // of bytes
  std::vector<bool> in_characters_;          // by code point
  std::vector<std::string> added_, normalized_;  // Sorted; none begins with another. The latter are lower-cased.
  std::size_t longest_normalized_ = 0;
};

template <class AddWord>
bool Cutter::cut_at_marks(const char* p, const char* const end, AddWord& add_word) const {
  const char* word = p;
  while (p < end) {
    const std::uint8_t kind = classes_[byte(*p)];
    if (kind == in_word) {
      ++p;
      continue;
    }
    if ((kind & may_start_added) != 0 && may_have_added(p, end)) return false;
    if ((kind & (is_space | is_mark)) != 0) {
      if (!add_word(word, static_cast<std::size_t>(p - word))) return false;
      if ((kind & is_mark) != 0 && !add_word(p, 1)) return false;
      word = ++p;
    } else if ((kind & may_be_alone) != 0 && in_characters_[character_at(p)]) {
      const char* const next = after(p);
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

template <class AddWord>
bool Cutter::cut_at_spaces(const char* const start, const char* const end, AddWord& add_word) const {
  const auto is_solid = [&](const char* p) { return in_characters_[character_at(p)]; };
  const auto drop = rules_.drop;
  const char *word = start, *p = start;  // The word begins with its spaces.
  while (p < end) {
    const char* const run = p;
    while (p < end && (classes_[byte(*p)] & is_space) != 0) {
      if ((classes_[byte(*p)] & may_start_added) != 0 && may_have_added(p, end)) return false;
      ++p;
    }
    const bool is_before_solid = p < end && is_solid(p);
    if (run > start) {
      const char* const last = before(run);
      // The space must be a character by itself, to the normalizer too, and what is before it must stay what it is.
      const bool is_after_solid =
          is_solid(last) && (last == start || is_ascii(*before(last)) || is_solid(before(last)));
      const char* cut = run;
      if (rules_.marks_take_line_ends && is_punctuation(*last)) {
        while (cut < p && is_line_end(*cut)) ++cut;
      }
      // The normalizer may make a mark of a character that is not ASCII.
      const bool is_unsure = rules_.marks_take_line_ends && is_line_end(*run) && !is_ascii(*last);
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
    while (p < end && (classes_[byte(*p)] & is_space) == 0) {
      if (classes_[byte(*p)] != in_word && may_have_added(p, end)) return false;
      ++p;
    }
  }
  return add_word(word, static_cast<std::size_t>(end - word));
}

}  // namespace pellucid
