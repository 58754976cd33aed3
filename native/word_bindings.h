// Adds the word table to the module pellucid._native.
#pragma once

#include <nanobind/nanobind.h>

namespace pellucid {

void bind_words(nanobind::module_& m);

}  // namespace pellucid
