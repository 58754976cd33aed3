// Tests of the word table alone, to run under the sanitizers. In place of the tokenizers library there is a function
// that gives a word one id for each of its bytes.
#include <cstdio>
#include <random>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "words.h"

using namespace pellucid;

namespace {

int failures = 0;

#define CHECK(condition)                                          \
  do {                                                            \
    if (!(condition)) {                                           \
      ++failures;                                                 \
      std::printf("%s:%d: %s\n", __FILE__, __LINE__, #condition); \
    }                                                             \
  } while (false)

using Ids = std::vector<std::int32_t>;

// Drops spaces. An added token has a single id. The ids of other bytes depend on where they stand in their word.
Ids library(std::string_view text, CuttingRules::Kind kind) {
  Ids ids;
  std::int32_t place = 0;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text.substr(i, 5) == "<add>") {
      ids.push_back(-7);
      i += 4;
      place = 0;
      continue;
    }
    if (kind == CuttingRules::Kind::marks && text.substr(i, 2) == "\xD0\xB6") {  // It is a word by itself.
      ids.insert(ids.end(), {-8, -9});
      ++i;
      place = 0;
      continue;
    }
    const bool is_mark = kind == CuttingRules::Kind::marks && std::string("<>.,[]").find(text[i]) != std::string::npos;
    if (text[i] == ' ' || is_mark) place = 0;
    if (text[i] == ' ') continue;
    ids.push_back(static_cast<unsigned char>(text[i]) + 1000 * place);
    place = is_mark ? 0 : place + 1;
  }
  return ids;
}

std::size_t characters(std::string_view text) {
  std::size_t n = 0;
  for (const char c : text) n += (static_cast<unsigned char>(c) & 0xC0) != 0x80;
  return n;
}

CuttingRules rules(CuttingRules::Kind kind) {
  CuttingRules made;
  made.kind = kind;
  made.drop = CuttingRules::Drop::run;
  made.characters = {{0x430, 0x44F}};
  made.added = {"<add>", "<add>more", "", "<b", "<z>"};
  made.normalized = {"[n]", "[N]x", "[m]", "[abc"};
  return made;
}

// Looks texts up and lets the table learn, until all is known. Returns how many words and texts were asked for.
std::size_t look_up(WordTable& table, CuttingRules::Kind kind, const std::vector<std::string>& texts, int threads = 1,
                    std::size_t share_bytes = Lookup::share_size) {
  std::string data;
  std::vector<std::size_t> lengths;
  for (const std::string& text : texts) {
    data += text;
    lengths.push_back(characters(text));
  }
  data.append(Lookup::padding, '!');
  Lookup lookup(table, std::string_view(data).substr(0, data.size() - Lookup::padding), lengths, threads, share_bytes);
  std::size_t asked = 0;
  while (!lookup.unknown_words().empty() || !lookup.unknown_pieces().empty()) {
    Ids counts, ids;
    std::vector<std::size_t> suspects;
    for (const auto* list : {&lookup.unknown_words(), &lookup.unknown_pieces()}) {
      for (const std::string_view word : *list) {
        const Ids some = library(word, kind);
        if (word.find('\x01') != std::string_view::npos) suspects.push_back(counts.size());
        counts.push_back(static_cast<std::int32_t>(some.size()));
        ids.insert(ids.end(), some.begin(), some.end());
        ++asked;
      }
    }
    lookup.learn(counts, suspects, ids.data(), ids.size());
  }
  const Lookup::Ids found = lookup.ids();
  Ids ids, offsets{0};
  for (const std::string& text : texts) {
    const Ids all = library(text, kind);
    ids.insert(ids.end(), all.begin(), all.end());
    offsets.push_back(static_cast<std::int32_t>(ids.size()));
  }
  CHECK(found.ids == ids);
  CHECK(found.offsets == offsets);
  return asked;
}

std::string random_text(std::mt19937& generator, int letters) {
  static const char* const pieces[] = {" ", " ", "  ", ".", ",", "<", ">", "<add>", "<ad", "[n]", "[N]", "[", "]",
                                       "\x01", "\xD0\xB6", "\xD0\xB6 ", "\xE4\xB8\xAD", "\xF0\x9F\x98\x80", "abc"};
  const auto below = [&](int n) { return static_cast<int>(generator() % static_cast<unsigned>(n)); };
  std::string text;
  for (int n = below(12); n > 0; --n) {
    if (below(3) > 0) {
      for (int length = below(12); length > 0; --length) text += static_cast<char>('a' + below(letters));
      text += ' ';
    } else {
      text += pieces[below(static_cast<int>(sizeof pieces / sizeof *pieces))];
    }
    if (below(200) == 0) text += std::string(static_cast<std::size_t>(below(300)), 'x');
  }
  return text;
}

// Characters of one to four bytes.
std::string random_text_of_all_lengths() {
  static const char* const characters[] = {"a", "\xD0\xB6", "\xE4\xB8\xAD", "\xF0\x9F\x98\x80"};
  std::mt19937 generator(3);
  std::string text;
  for (int i = 0; i < 500; ++i) text += characters[generator() % 4];
  return text;
}

std::vector<std::string> random_texts(unsigned seed, int n, int letters) {
  std::mt19937 generator(seed);
  std::vector<std::string> texts;
  for (int i = 0; i < n; ++i) texts.push_back(random_text(generator, letters));
  return texts;
}

void test_random_texts(CuttingRules::Kind kind) {
  for (const int letters : {2, 26}) {
    WordTable table(rules(kind));
    for (unsigned seed = 0; seed < 60; ++seed) {
      const auto texts = random_texts(seed, 100, letters);
      for (int round = 0; round < 3; ++round) look_up(table, kind, texts);
    }
    CHECK(letters == 2 || table.words() > 5000);
  }
}

// Threads change neither the ids nor what is asked.
void test_shares(CuttingRules::Kind kind) {
  WordTable alone(rules(kind)), together(rules(kind));
  for (unsigned seed = 0; seed < 40; ++seed) {
    const auto texts = random_texts(seed, 200, 26);
    for (int round = 0; round < 2; ++round) {
      CHECK(look_up(together, kind, texts, 4, 1 + 40 * seed) == look_up(alone, kind, texts));
      CHECK(together.words() == alone.words());
    }
  }
}

void test_skip() {
  const std::string text = random_text_of_all_lengths();
  const char* const end = text.data() + text.size();
  const char* p = text.data();
  for (std::size_t n = 0;; ++n) {
    CHECK(skip(text.data(), end, n) == p);
    if (p == end) break;
    p = after(p);
  }
  CHECK(skip(text.data(), end, text.size() + 1) == end);
}

void test_a_full_table(CuttingRules::Kind kind) {
  WordTable table(rules(kind), 1);
  std::size_t words = 0;
  for (unsigned seed = 0; seed < 300; ++seed) {
    const auto texts = random_texts(seed, 100, 26);
    for (int round = 0; round < 3; ++round) look_up(table, kind, texts);
    if (seed == 200) words = table.words();
  }
  CHECK(words > 1000);
  CHECK(table.words() == words);
}

void test_threads(CuttingRules::Kind kind) {
  WordTable table(rules(kind));
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      for (unsigned seed = 0; seed < 40; ++seed) look_up(table, kind, random_texts(seed, 50, 26), 2, 100);
    });
  }
  for (std::thread& thread : threads) thread.join();
}

void test_what_is_asked() {
  const auto marks = CuttingRules::Kind::marks;
  WordTable table(rules(marks));
  CHECK(look_up(table, marks, {}) == 0);
  CHECK(look_up(table, marks, {"", " "}) == 0);
  CHECK(look_up(table, marks, {"one two three"}) == 1);  // All of it is new, so it is asked as a whole.
  CHECK(table.words() == 0);
  CHECK(look_up(table, marks, {"one two three", "three one"}) == 3);
  CHECK(table.words() == 3);
  CHECK(look_up(table, marks, {"three two", "two. one"}) == 1);  // The mark is new, but all else is not.
  CHECK(look_up(table, marks, {"one<add>", "one<Add>", "two [N] two"}) > 0);
  CHECK(look_up(table, marks, {"one<add>", "two [N] two"}) == 2);  // Texts with added tokens are asked each time.
  CHECK(look_up(table, marks, {std::string(97, 'x') + " one"}) == 1);
  CHECK(look_up(table, marks, {std::string(97, 'x') + " one"}) == 1);  // A long word is not kept.
  const std::string kept(96, 'x');
  look_up(table, marks, {kept + " one two"});
  look_up(table, marks, {kept + " one two"});
  CHECK(look_up(table, marks, {kept + " one two", "one " + kept}) == 0 || library(kept, marks).size() > 64);
}

}  // namespace

int main() {
  for (const auto kind : {CuttingRules::Kind::marks, CuttingRules::Kind::spaces}) {
    test_random_texts(kind);
    test_shares(kind);
    test_a_full_table(kind);
    test_threads(kind);
  }
  test_what_is_asked();
  test_skip();
  std::printf("%s\n", failures == 0 ? "The word table is right." : "The word table is wrong.");
  return failures != 0;
}
