#include "cutting.h"

#include <algorithm>
#include <string_view>
#include <utility>

namespace pellucid {
namespace {

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }
// No normalizer that we accept removes these, or makes anything else of them than lower-case letters and spaces.
bool is_plain(char c) { return (c >= 0x20 && c <= 0x7E) || c == '\t' || c == '\n' || c == '\r'; }

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

}  // namespace

Cutter::Cutter(CuttingRules rules) : rules_(std::move(rules)), in_characters_(0x10001) {
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
}

// True if an added token may begin here. In a word that is not plain, one may also begin with another character:
// words.py finds that out.
bool Cutter::may_have_added(const char* const p, const char* const end) const {
  const std::string_view rest(p, static_cast<std::size_t>(end - p));
  if (begins_with_any(rest, added_)) return true;
  std::string plain;
  std::size_t i = 0;
  for (; i < rest.size() && i < longest_normalized_ && is_plain(rest[i]); ++i) plain += lower(rest[i]);
  if (begins_with_any(plain, normalized_)) return true;
  if (i == rest.size() || i == longest_normalized_) return false;
  // The normalizer may remove the next character, or make a part of a token of it.
  const auto next = std::lower_bound(normalized_.begin(), normalized_.end(), plain);
  return next != normalized_.end() && begins_with(*next, plain);
}

}  // namespace pellucid
