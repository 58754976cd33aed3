// The word table in Python: texts in, arrays out. src/pellucid/text/words.py makes all choices.
#include "word_bindings.h"

#include <nanobind/ndarray.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/string_view.h>
#include <nanobind/stl/unique_ptr.h>
#include <nanobind/stl/pair.h>
#include <nanobind/stl/vector.h>

#include <cstring>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "interpreter.h"
#include "words.h"

namespace nb = nanobind;
using namespace nb::literals;

namespace pellucid {
namespace {

using Ids = nb::ndarray<const std::int32_t, nb::ndim<1>, nb::c_contig, nb::device::cpu>;
using Array = nb::ndarray<nb::numpy, std::int32_t, nb::ndim<1>>;

// Texts of so many bytes take about as long as it can take to get the interpreter's lock back.
constexpr std::size_t min_bytes_without_lock = 20'000;

const std::size_t lookup_padding = Lookup::padding;

std::vector<std::int32_t> vector(const Ids& ids) { return {ids.data(), ids.data() + ids.shape(0)}; }

// An array for Python, which owns the numbers.
Array array(std::vector<std::int32_t> numbers) {
  auto owned = std::make_unique<std::vector<std::int32_t>>(std::move(numbers));
  const std::size_t size = owned->size();
  std::int32_t* const data = owned->data();
  nb::capsule owner(owned.get(), [](void* p) noexcept { delete static_cast<std::vector<std::int32_t>*>(p); });
  owned.release();
  return Array(data, {size}, owner);
}

CuttingRules rules(const std::string& kind, std::string spaces, const std::string& drop, bool marks_take_line_ends,
                   std::vector<std::pair<std::uint32_t, std::uint32_t>> characters, std::vector<std::string> added,
                   std::vector<std::string> normalized) {
  CuttingRules rules;
  if (kind != "marks" && kind != "spaces") throw nb::value_error("unknown kind of rules");
  if (drop != "none" && drop != "one" && drop != "run") throw nb::value_error("unknown number of spaces to drop");
  for (const char c : spaces) {
    if (c != ' ' && c != '\t' && c != '\n' && c != '\r') throw nb::value_error("not a space");
  }
  rules.kind = kind == "marks" ? CuttingRules::Kind::marks : CuttingRules::Kind::spaces;
  rules.spaces = std::move(spaces);
  rules.drop = drop == "none"  ? CuttingRules::Drop::none
               : drop == "one" ? CuttingRules::Drop::one
                               : CuttingRules::Drop::run;
  rules.marks_take_line_ends = marks_take_line_ends;
  rules.characters = std::move(characters);
  rules.added = std::move(added);
  rules.normalized = std::move(normalized);
  return rules;
}

// data: the texts and the padding.
std::unique_ptr<Lookup> look_up(WordTable& table, const nb::str& data, const nb::list& texts, int threads) {
  std::vector<std::size_t> lengths;
  lengths.reserve(texts.size());
  for (const nb::handle text : texts) {
    const Py_ssize_t length = PyUnicode_GetLength(text.ptr());
    if (length < 0) throw nb::python_error();
    lengths.push_back(static_cast<std::size_t>(length));
  }
  Py_ssize_t size = 0;
  const char* const utf8 = PyUnicode_AsUTF8AndSize(data.ptr(), &size);  // The str keeps it.
  if (utf8 == nullptr) throw nb::python_error();
  const std::string_view all(utf8, static_cast<std::size_t>(size));
  if (all.size() < Lookup::padding) throw nb::value_error("there is no padding");
  const std::string_view bytes = all.substr(0, all.size() - Lookup::padding);
  const auto make = [&] { return std::make_unique<Lookup>(table, bytes, lengths, threads); };
  return bytes.size() < min_bytes_without_lock ? make() : without_lock(make);
}

nb::list list(const std::vector<std::string_view>& words) {
  nb::list found;
  for (const std::string_view word : words) found.append(nb::str(word.data(), word.size()));
  return found;
}

void learn(Lookup& lookup, const Ids& counts, const std::vector<std::size_t>& suspects, const Ids& ids) {
  const std::size_t asked = lookup.unknown_words().size() + lookup.unknown_pieces().size();
  std::size_t total = 0;
  for (std::size_t i = 0; i < counts.shape(0); ++i) {
    if (counts(i) < 0) throw nb::value_error("a count is negative");
    total += static_cast<std::size_t>(counts(i));
  }
  if (counts.shape(0) != asked || total != ids.shape(0)) throw nb::value_error("the counts do not fit");
  for (const std::size_t suspect : suspects) {
    if (suspect >= asked) throw nb::value_error("there is no such word");
  }
  lookup.learn(vector(counts), suspects, ids.data(), ids.shape(0));
}

nb::tuple ids(const Lookup& lookup) {
  if (!lookup.unknown_words().empty() || !lookup.unknown_pieces().empty()) throw nb::value_error("words are unknown");
  Lookup::Ids found = lookup.ids();
  return nb::make_tuple(array(std::move(found.ids)), array(std::move(found.offsets)));
}

}  // namespace

void bind_words(nb::module_& m) {
  nb::class_<Lookup>(m, "Lookup")
      .def_prop_ro("unknown_words", [](const Lookup& lookup) { return list(lookup.unknown_words()); })
      .def_prop_ro("unknown_pieces", [](const Lookup& lookup) { return list(lookup.unknown_pieces()); })
      .def_prop_ro("is_known", [](const Lookup& lookup) {
        return lookup.unknown_words().empty() && lookup.unknown_pieces().empty();
      })
      .def("learn", &learn, "counts"_a, "suspects"_a, "ids"_a)
      .def("ids", &ids);
  nb::class_<WordTable>(m, "WordTable")
      .def("__init__",
           [](WordTable* self, const std::string& kind, std::string spaces, const std::string& drop,
              bool marks_take_line_ends, std::vector<std::pair<std::uint32_t, std::uint32_t>> characters,
              std::vector<std::string> added, std::vector<std::string> normalized, std::size_t max_bytes) {
             new (self) WordTable(rules(kind, std::move(spaces), drop, marks_take_line_ends, std::move(characters),
                                        std::move(added), std::move(normalized)),
                                  max_bytes);
           },
           nb::kw_only(), "kind"_a, "spaces"_a, "drop"_a, "marks_take_line_ends"_a, "characters"_a,
           "added"_a, "normalized"_a, "max_bytes"_a)
      .def("__len__", &WordTable::words)
      .def_ro_static("padding", &lookup_padding)
      .def("look_up", &look_up, "data"_a, "texts"_a, "threads"_a = 1, nb::keep_alive<0, 1>(),
           nb::keep_alive<0, 2>());
}

}  // namespace pellucid
