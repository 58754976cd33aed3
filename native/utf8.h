// Characters in UTF-8. The text is known to be valid.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

namespace pellucid {

inline std::uint8_t byte(char c) { return static_cast<std::uint8_t>(c); }
inline bool is_ascii(char c) { return byte(c) < 0x80; }
inline bool continues_character(char c) { return (byte(c) & 0xC0) == 0x80; }

// A character that has one, two or three bytes; 0x10000 for one that has four.
inline std::uint32_t character_at(const char* p) {
  const std::uint32_t a = byte(p[0]);
  if (a < 0x80) return a;
  if (a < 0xE0) return (a & 0x1F) << 6 | (byte(p[1]) & 0x3F);
  if (a < 0xF0) return (a & 0x0F) << 12 | (byte(p[1]) & 0x3Fu) << 6 | (byte(p[2]) & 0x3F);
  return 0x10000;
}

// The start of the character that ends before p.
inline const char* before(const char* p) {
  do --p;
  while (continues_character(*p));
  return p;
}

inline const char* after(const char* p) {
  const std::uint8_t a = byte(*p);
  return p + (a < 0x80 ? 1 : a < 0xE0 ? 2 : a < 0xF0 ? 3 : 4);
}

// Skips so many characters, but nothing beyond the end.
inline const char* skip(const char* p, const char* const end, std::size_t characters) {
  constexpr std::uint64_t ones = 0x0101010101010101u;
  while (characters >= 8 && end - p >= 8) {
    std::uint64_t bytes;
    std::memcpy(&bytes, p, sizeof bytes);
    const std::uint64_t continuing = (bytes >> 7) & ~(bytes >> 6) & ones;  // 1 in each byte that continues a character.
    characters -= 8 - static_cast<std::size_t>((continuing * ones) >> 56);  // The product's first byte is their sum.
    p += 8;
  }
  while (p < end && (characters > 0 || continues_character(*p))) characters -= !continues_character(*p++);
  return p;
}

}  // namespace pellucid
