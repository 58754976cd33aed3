// The module pellucid._native: arrays in, arrays out. It checks shapes and ranges. engines/native.py makes all choices.
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/pair.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/tuple.h>
#include <nanobind/stl/vector.h>

#include <algorithm>
#include <limits>
#include <optional>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "encoder.h"
#include "interpreter.h"
#include "maxsim.h"
#include "peaks.h"
#include "static.h"
#include "vocabulary.h"
#include "word_bindings.h"

namespace nb = nanobind;
using namespace nb::literals;

namespace pellucid {
namespace {

template <class T, int dimensions>
using ArrayOf = nb::ndarray<const T, nb::ndim<dimensions>, nb::c_contig, nb::device::cpu>;
using Vector = ArrayOf<float, 1>;
using Matrix = ArrayOf<float, 2>;
using Integers = ArrayOf<std::int32_t, 1>;
using Bytes = ArrayOf<std::int8_t, 1>;
using StoredMatrix = nb::ndarray<nb::ro, nb::ndim<2>, nb::c_contig, nb::device::cpu>;  // see stored_numbers
using LinearArrays = std::pair<StoredMatrix, Vector>;  // weight [out, in] and bias [out]
// Weight, bias and epsilon. A root mean square norm has no bias.
using NormArrays = std::tuple<Vector, std::optional<Vector>, float>;
// Before a sublayer, after it, and of the sum.
using NormsArrays = std::tuple<std::optional<NormArrays>, std::optional<NormArrays>, std::optional<NormArrays>>;
using TurnArrays = std::pair<Matrix, Matrix>;    // cosines and sines

void require(bool condition, const char* message) {
  if (!condition) throw nb::value_error(message);
}

// True if a Python signal handler, as for Ctrl-C, has raised. The error stays set until the call has ended. Python
// handles signals only in its main thread. Any other thread would wait for the lock and find nothing.
bool signal_handler_raised() {
  const PyGILState_STATE state = take_lock(PyGILState_Ensure);
  const bool raised = PyErr_CheckSignals() != 0;
  PyGILState_Release(state);
  return raised;
}

const Kernels& kernels_named(const std::string& name) {
  for (const Kernels* kernels : available_kernels()) {
    if (name == kernels->name) return *kernels;
  }
  throw nb::value_error("this machine does not support this instruction set");
}

Dtype dtype_named(const std::string& name) {
  if (name == "float32") return Dtype::float32;
  if (name == "int16") return Dtype::int16;
  if (name == "int8") return Dtype::int8;
  if (name == "bfloat16") return Dtype::bfloat16;
  if (name == "int4") return Dtype::int4;
  throw nb::value_error("unknown dtype");
}

Activation activation_named(const std::string& name) {
  if (name == "gelu") return Activation::gelu;
  if (name == "gelu_tanh") return Activation::gelu_tanh;
  if (name == "relu") return Activation::relu;
  if (name == "silu") return Activation::silu;
  throw nb::value_error("unknown activation");
}

Pooling pooling_named(const std::string& name) {
  if (name == "cls") return Pooling::cls;
  if (name == "max") return Pooling::max;
  if (name == "mean") return Pooling::mean;
  if (name == "mean_sqrt_len_tokens") return Pooling::mean_sqrt_length;
  if (name == "weightedmean") return Pooling::weighted_mean;
  if (name == "lasttoken") return Pooling::last_token;
  throw nb::value_error("unknown pooling");
}

// A matrix as a model's file stores it. An array of uint16 has bfloat16 numbers, for which NumPy has no type.
StoredNumbers stored_numbers(const StoredMatrix& matrix) {
  const nb::dlpack::dtype type = matrix.dtype(), half{static_cast<std::uint8_t>(nb::dlpack::dtype_code::Float), 16, 1};
  if (type == nb::dtype<float>()) return {matrix.data(), Stored::float32};
  if (type == nb::dtype<std::uint16_t>()) return {matrix.data(), Stored::bfloat16};
  if (type == nb::dtype<std::int8_t>()) return {matrix.data(), Stored::int8};
  require(type == half, "a table or weight must be float32, float16, bfloat16 (as uint16) or int8");
  return {matrix.data(), Stored::float16};
}

Linear linear(const LinearArrays& arrays, int out, int in) {
  const auto& [weight, bias] = arrays;
  require(weight.shape(0) == static_cast<std::size_t>(out) && weight.shape(1) == static_cast<std::size_t>(in) &&
              bias.shape(0) == static_cast<std::size_t>(out),
          "the weight or bias of a linear layer has the wrong shape");
  return {stored_numbers(weight), bias.data(), out, in};
}

std::optional<Norm> norm(const std::optional<NormArrays>& arrays, int size) {
  if (!arrays) return std::nullopt;
  const auto& [weight, bias, eps] = *arrays;
  require(weight.shape(0) == static_cast<std::size_t>(size) && (!bias || bias->shape(0) == weight.shape(0)),
          "the weight or bias of a norm has the wrong shape");
  return Norm{weight.data(), bias ? bias->data() : nullptr, eps};
}

Norms norms(const NormsArrays& arrays, int size) {
  const auto& [before, after, sum] = arrays;
  return {norm(before, size), norm(after, size), norm(sum, size)};
}

// The heads of a layer's attention.
struct Heads {
  int heads, kv_heads, size;
  int queries() const { return heads * size; }
  int keys() const { return kv_heads * size; }
  bool operator==(const Heads& o) const { return heads == o.heads && kv_heads == o.kv_heads && size == o.size; }
};

// An Encoder, and the arrays that it reads from during calls.
class PythonEncoder {
 public:
  PythonEncoder(const std::string& cpu, const std::string& dtype, StoredMatrix word, std::optional<Matrix> position,
                std::optional<Matrix> token_type, const std::optional<NormArrays>& norm,
                const std::optional<LinearArrays>& projection, const std::optional<Matrix>& relative_bias,
                const std::optional<Integers>& places, int place_count, float scale)
      : hidden_(static_cast<int>(projection ? projection->second.shape(0) : word.shape(1))),
        word_(std::move(word)),
        position_(std::move(position)),
        token_type_(std::move(token_type)),
        bias_heads_(relative_bias ? static_cast<int>(relative_bias->shape(0)) : 0),
        longest_(relative_bias ? static_cast<int>((relative_bias->shape(1) + 1) / 2)
                 : places      ? static_cast<int>((places->shape(0) + 1) / 2)
                               : std::numeric_limits<int>::max()),
        place_count_(places ? place_count : 0),
        encoder_(kernels_named(cpu), dtype_named(dtype), hidden_,
                 embeddings(norm, projection, relative_bias, places, place_count, scale)) {}

  void add_layer(const LinearArrays& query, const LinearArrays& key, const LinearArrays& value,
                 const LinearArrays& attention_output, const NormsArrays& attention_norms,
                 const std::optional<LinearArrays>& gate, const LinearArrays& intermediate, const LinearArrays& output,
                 const NormsArrays& feed_forward_norms, int heads, int kv_heads, int head_size,
                 const std::string& activation, int before, int after, int turns, const std::optional<NormArrays>& query_norm,
                 const std::optional<NormArrays>& key_norm, std::optional<float> scale,
                 const std::optional<Matrix>& place_keys, const std::optional<Matrix>& place_queries) {
    const std::size_t out = intermediate.second.shape(0);
    require(out > 0 && out <= 1 << 24, "the intermediate size is out of range");
    const int inner = static_cast<int>(out);
    const Heads layer_heads{heads, kv_heads, head_size};
    require(heads > 0 && kv_heads > 0 && heads % kv_heads == 0 && head_size > 0 &&
                std::int64_t{heads} * head_size <= 1 << 24 && (bias_heads_ == 0 || heads == bias_heads_),
            "the number or size of the attention heads is out of range");
    require(intermediate_ == 0 || (inner == intermediate_ && gate.has_value() == gated_ && layer_heads == heads_),
            "all layers must have the same shape");
    constexpr int farthest = 1 << 30;
    require(before >= 0 && before <= farthest && after >= 0 && after <= farthest && turns >= -1 &&
                (turns < 0 || head_size % 2 == 0),
            "the reach or the turns of the attention are out of range");
    intermediate_ = inner;
    gated_ = gate.has_value();
    heads_ = layer_heads;
    turns_ = std::max(turns_, turns + 1);
    LayerWeights weights{linear(query, layer_heads.queries(), hidden()),
                         linear(key, layer_heads.keys(), hidden()),
                         linear(value, layer_heads.keys(), hidden()),
                         linear(attention_output, hidden(), layer_heads.queries()),
                         norms(attention_norms, hidden()),
                         std::nullopt,
                         linear(intermediate, inner, hidden()),
                         linear(output, hidden(), inner),
                         norms(feed_forward_norms, hidden()),
                         heads,
                         kv_heads,
                         head_size,
                         activation_named(activation),
                         before,
                         after,
                         turns};
    weights.query_norm = norm(query_norm, head_size);
    weights.key_norm = norm(key_norm, head_size);
    weights.scale = scale;
    if (gate) weights.gate = linear(*gate, inner, hidden());
    const auto vectors = [&](const std::optional<Matrix>& matrix) -> const float* {
      require(!matrix || (place_count_ > 0 && matrix->shape(0) == static_cast<std::size_t>(place_count_) &&
                          matrix->shape(1) == static_cast<std::size_t>(layer_heads.queries()) && heads == kv_heads),
              "the keys or queries of places have the wrong shape");
      return matrix ? matrix->data() : nullptr;
    };
    weights.place_keys = vectors(place_keys);
    weights.place_queries = vectors(place_queries);
    without_lock([&] { encoder_.add_layer(weights); });
    ++stored_layers_;
  }

  void add_layer_again(int number) {
    require(number >= 0 && number < stored_layers_, "there is no layer of this number");
    encoder_.add_layer_again(number);
  }

  void add_final_norm(const NormArrays& arrays) { encoder_.add_final_norm(*norm(arrays, hidden())); }

  void token_vectors(const Integers& ids, const Integers& positions, const Integers& offsets,
                     const std::optional<Bytes>& segments, const std::optional<Integers>& wanted,
                     const std::vector<TurnArrays>& turns,
                     const nb::ndarray<float, nb::ndim<2>, nb::c_contig, nb::device::cpu>& out, int threads,
                     bool in_main_thread, const std::optional<Integers>& attended,
                     const std::vector<std::string>& poolings, const std::optional<Integers>& skipped) const {
    const std::size_t tokens = ids.shape(0);
    require(intermediate_ > 0, "the encoder has no layers");
    require(offsets.shape(0) > 0 && !(wanted && !poolings.empty()), "pooled texts have no wanted tokens");
    require(positions.shape(0) == tokens && threads > 0 &&
                out.shape(0) == (wanted || !poolings.empty() ? offsets.shape(0) - 1 : tokens) &&
                (!wanted || wanted->shape(0) + 1 == offsets.shape(0)) &&
                out.shape(1) == static_cast<std::size_t>(hidden_) * std::max<std::size_t>(poolings.size(), 1) &&
                (!segments || segments->shape(0) == tokens),
            "the arrays do not fit each other, or there are no threads");
    require(offsets.shape(0) > 0 && offsets(0) == 0 &&
                static_cast<std::size_t>(offsets(offsets.shape(0) - 1)) == tokens,
            "the offsets must go from 0 to the number of ids");
    Batch batch{ids.data(), positions.data(), offsets.data(), static_cast<int>(offsets.shape(0)) - 1,
                segments ? segments->data() : nullptr, wanted ? wanted->data() : nullptr, {}};
    batch.attended = attended ? attended->data() : nullptr;
    batch.skipped = skipped ? skipped->data() : nullptr;
    for (const std::string& name : poolings) batch.poolings.push_back(pooling_named(name));
    require(!skipped || skipped->shape(0) + 1 == offsets.shape(0), "each text must say how many of its tokens are skipped");
    require(!attended || (attended->shape(0) + 1 == offsets.shape(0) && place_count_ == 0),
            "each text must say how many of its tokens are looked at, in a family without relative positions");
    std::size_t max_positions = position_ ? position_->shape(0) : std::numeric_limits<std::int32_t>::max();
    require(turns.size() >= static_cast<std::size_t>(turns_), "the turns of a layer are missing");
    for (const auto& [cos, sin] : turns) {
      require(cos.shape(0) == sin.shape(0) && cos.shape(1) == sin.shape(1) &&
                  cos.shape(1) == static_cast<std::size_t>(heads_.size / 2),
              "the turns have the wrong shape");
      max_positions = std::min(max_positions, cos.shape(0));
      batch.turns.push_back({cos.data(), sin.data()});
    }
    for (std::size_t i = 1; i < offsets.shape(0); ++i) {
      require(offsets(i) > offsets(i - 1), "a text has no tokens");
      require(offsets(i) - offsets(i - 1) <= longest_, "a text is too long for the relative bias");
      require(!wanted || ((*wanted)(i - 1) >= 0 && (*wanted)(i - 1) < offsets(i) - offsets(i - 1)),
              "a wanted token is not in its text");
      require(!skipped || ((*skipped)(i - 1) >= 0 && (*skipped)(i - 1) <= offsets(i) - offsets(i - 1)),
              "a text has fewer tokens than are skipped");
      require(!attended || ((*attended)(i - 1) > 0 && (*attended)(i - 1) <= offsets(i) - offsets(i - 1)),
              "a text has fewer tokens than are looked at");
    }
    for (std::size_t t = 0; t < tokens; ++t) {
      require(ids(t) >= 0 && static_cast<std::size_t>(ids(t)) < word_.shape(0), "a token id is out of range");
      require(positions(t) >= 0 && static_cast<std::size_t>(positions(t)) < max_positions,
              "a position is out of range");
    }
    const std::size_t types = token_type_ ? token_type_->shape(0) : std::numeric_limits<std::int8_t>::max();
    for (std::size_t t = 0; segments && t < tokens; ++t) {
      require((*segments)(t) >= 0 && static_cast<std::size_t>((*segments)(t)) < types, "a segment is out of range");
    }
    const auto should_stop = in_main_thread ? signal_handler_raised : [] { return false; };
    const bool finished = without_lock([&] { return encoder_.run(batch, out.data(), threads, should_stop); });
    if (!finished) throw nb::python_error();
  }

 private:
  int hidden() const { return hidden_; }

  Embeddings embeddings(const std::optional<NormArrays>& norm_arrays, const std::optional<LinearArrays>& projection,
                        const std::optional<Matrix>& relative_bias, const std::optional<Integers>& places,
                        int place_count, float scale) const {
    const int size = static_cast<int>(word_.shape(1));
    require(size <= hidden_, "the embeddings are longer than the token vectors");
    require((!position_ || position_->shape(1) == word_.shape(1)) &&
                (!token_type_ || (token_type_->shape(1) == word_.shape(1) && token_type_->shape(0) > 0)) &&
                (!relative_bias || (relative_bias->shape(0) > 0 && relative_bias->shape(1) % 2 == 1)),
            "an embedding table or the relative bias has the wrong shape");
    require(!places || (!relative_bias && place_count > 0 && places->shape(0) % 2 == 1),
            "the places have the wrong shape");
    for (std::size_t i = 0; places && i < places->shape(0); ++i) {
      require((*places)(i) >= (i ? (*places)(i - 1) : 0) && (*places)(i) < place_count, "the places are out of order");
    }
    return {size,
            stored_numbers(word_),
            position_ ? position_->data() : nullptr,
            token_type_ ? token_type_->data() : nullptr,
            norm(norm_arrays, size),
            projection ? std::optional(linear(*projection, hidden_, size)) : std::nullopt,
            relative_bias ? relative_bias->data() : nullptr,
            bias_heads_,
            relative_bias || places ? longest_ : 0,
            places ? places->data() : nullptr,
            places ? place_count : 0,
            scale};
  }

  int hidden_;
  StoredMatrix word_;
  std::optional<Matrix> position_;
  std::optional<Matrix> token_type_;
  int bias_heads_;   // 0 without a relative bias
  int longest_;      // the longest text, in tokens
  int place_count_;  // 0 without relative positions
  Heads heads_{};    // the same for all layers
  int intermediate_ = 0, turns_ = 0, stored_layers_ = 0;
  bool gated_ = false;
  Encoder encoder_;
};

// A TokenTable, and the arrays that it reads from during calls.
class PythonTokenTable {
 public:
  PythonTokenTable(StoredMatrix rows, std::optional<Integers> mapping, std::optional<Vector> weights)
      : rows_(std::move(rows)), mapping_(std::move(mapping)), weights_(std::move(weights)) {
    require(rows_.shape(0) <= std::numeric_limits<std::int32_t>::max(), "the table has too many rows");
    vocabulary_ = mapping_ ? mapping_->shape(0) : rows_.shape(0);
    require(!weights_ || weights_->shape(0) == vocabulary_, "there must be a weight for each token");
    for (std::size_t i = 0; mapping_ && i < vocabulary_; ++i) {
      require((*mapping_)(i) >= 0 && static_cast<std::size_t>((*mapping_)(i)) < rows_.shape(0),
              "the mapping leads out of the table");
    }
    table_ = {stored_numbers(rows_), rows_.shape(1), mapping_ ? mapping_->data() : nullptr,
              weights_ ? weights_->data() : nullptr};
  }

  void means(const Integers& ids, const Integers& offsets,
             const nb::ndarray<float, nb::ndim<2>, nb::c_contig, nb::device::cpu>& out, int threads,
             bool in_main_thread) const {
    require(offsets.shape(0) > 0 && offsets(0) == 0 && out.shape(0) + 1 == offsets.shape(0) &&
                out.shape(1) == table_.size && threads > 0 &&
                static_cast<std::size_t>(offsets(offsets.shape(0) - 1)) == ids.shape(0),
            "the arrays do not fit each other, or there are no threads");
    const std::int32_t *first = offsets.data(), *last = first + offsets.shape(0);
    require(std::is_sorted(first, last), "the offsets must rise");
    bool in_range = true;
    for (std::size_t t = 0; t < ids.shape(0); ++t) {
      in_range &= static_cast<std::uint32_t>(ids.data()[t]) < vocabulary_;
    }
    require(in_range, "a token id is out of range");
    const auto should_stop = in_main_thread ? signal_handler_raised : [] { return false; };
    const bool finished = without_lock([&] {
      const int texts = static_cast<int>(offsets.shape(0)) - 1;
      return mean_rows(table_, ids.data(), offsets.data(), texts, out.data(), threads, should_stop);
    });
    if (!finished) throw nb::python_error();
  }

 private:
  StoredMatrix rows_;
  std::optional<Integers> mapping_;
  std::optional<Vector> weights_;
  std::size_t vocabulary_;
  TokenTable table_;
};

class PythonVocabulary {
 public:
  PythonVocabulary(const std::string& cpu, const std::string& dtype, const LinearArrays& transform,
                   const std::string& activation, const std::optional<NormArrays>& norm_arrays,
                   const LinearArrays& decoder)
      : hidden_(transform.first.shape(1)),
        size_(decoder.second.shape(0)),
        vocabulary_(make(cpu, dtype, transform, activation, norm_arrays, decoder)) {}

  void scores(const Matrix& vectors, const Integers& offsets, const std::string& together,
              const nb::ndarray<float, nb::ndim<2>, nb::c_contig, nb::device::cpu>& out, int threads,
              bool in_main_thread) const {
    const std::size_t rows = vectors.shape(0), texts = offsets.shape(0) - 1;
    require(offsets.shape(0) > 0 && offsets(0) == 0 && static_cast<std::size_t>(offsets(texts)) == rows,
            "the offsets must go from 0 to the number of rows");
    for (std::size_t i = 0; i < texts; ++i) require(offsets(i) <= offsets(i + 1), "the offsets fall");
    require(threads > 0 && vectors.shape(1) == hidden_ && out.shape(0) == texts && out.shape(1) == size_ &&
                texts < 1 << 30,
            "the arrays do not fit each other, or there are no threads");
    const Texts all{vectors.data(), offsets.data(), static_cast<int>(texts), together_named(together), out.data()};
    const auto should_stop = in_main_thread ? signal_handler_raised : [] { return false; };
    const bool finished = without_lock([&] { return vocabulary_.run(all, threads, should_stop); });
    if (!finished) throw nb::python_error();
  }

 private:
  static Together together_named(const std::string& name) {
    if (name == "largest") return Together::largest;
    if (name == "sum_of_logs") return Together::sum_of_logs;
    if (name == "sum_of_logs_of_logs") return Together::sum_of_logs_of_logs;
    throw nb::value_error("unknown way to put scores together");
  }

  static Vocabulary make(const std::string& cpu, const std::string& dtype, const LinearArrays& transform,
                         const std::string& activation, const std::optional<NormArrays>& norm_arrays,
                         const LinearArrays& decoder) {
    constexpr std::size_t most = 1 << 24;
    const std::size_t in = transform.first.shape(1), width = transform.first.shape(0), out = decoder.second.shape(0);
    require(in > 0 && in <= most && width > 0 && width <= most && out > 0 && out <= most, "a size is out of range");
    const Linear first = linear(transform, static_cast<int>(width), static_cast<int>(in));
    const Linear last = linear(decoder, static_cast<int>(out), static_cast<int>(width));
    const std::optional<Norm> between = norm(norm_arrays, static_cast<int>(width));
    const Kernels& kernels = kernels_named(cpu);
    const Dtype type = dtype_named(dtype);
    const Activation function = activation_named(activation);
    return without_lock([&] { return Vocabulary(kernels, type, first, function, between, last); });
  }

  std::size_t hidden_, size_;
  Vocabulary vocabulary_;
};

// The scores of documents, out: float32[n].
void maxsim(const std::string& cpu, const Matrix& query, const Matrix& vectors, const Integers& offsets,
            const nb::ndarray<float, nb::ndim<1>, nb::c_contig, nb::device::cpu>& out, int threads,
            bool in_main_thread) {
  constexpr std::size_t most = 1 << 24;
  const std::size_t tokens = query.shape(0), width = query.shape(1), documents = offsets.shape(0) - 1;
  require(offsets.shape(0) > 0 && offsets(0) == 0 &&
              static_cast<std::size_t>(offsets(documents)) == vectors.shape(0),
          "the offsets must go from 0 to the number of rows");
  for (std::size_t i = 0; i < documents; ++i) require(offsets(i) <= offsets(i + 1), "the offsets fall");
  require(tokens > 0 && tokens <= most && width > 0 && width <= most && vectors.shape(1) == width && threads > 0 &&
              out.shape(0) == documents && documents < 1 << 30,
          "the arrays do not fit each other, or there are no threads");
  const Kernels& kernels = kernels_named(cpu);
  const Documents all{vectors.data(), offsets.data(), static_cast<int>(documents), out.data()};
  const auto should_stop = in_main_thread ? signal_handler_raised : [] { return false; };
  const bool finished = without_lock([&] {
    return MaxSim(kernels, query.data(), static_cast<int>(tokens), static_cast<int>(width))
        .run(all, threads, should_stop);
  });
  if (!finished) throw nb::python_error();
}

}  // namespace
}  // namespace pellucid

NB_MODULE(_native, m) {
  using namespace pellucid;
  nb::set_leak_warnings(false);  // A daemon thread may hold objects at exit. Users need no warning about that.
  m.def("instruction_sets", [] {
    std::vector<std::string> names;
    for (const Kernels* kernels : available_kernels()) names.emplace_back(kernels->name);
    return names;
  });
  m.def(
      "multiply_add_peak",
      [](const std::string& cpu, int threads, double seconds) {
        return without_lock([&] { return multiply_add_peak(kernels_named(cpu), threads, seconds); });
      },
      "cpu"_a, "threads"_a, "seconds"_a);
  m.def(
      "product_peak",
      [](const std::string& cpu, const std::string& dtype, int threads, double seconds) {
        return without_lock([&] { return product_peak(kernels_named(cpu), dtype_named(dtype), threads, seconds); });
      },
      "cpu"_a, "dtype"_a, "threads"_a, "seconds"_a);
  nb::class_<PythonEncoder>(m, "Encoder")
      .def(nb::init<const std::string&, const std::string&, StoredMatrix, std::optional<Matrix>, std::optional<Matrix>,
                    const std::optional<NormArrays>&, const std::optional<LinearArrays>&,
                    const std::optional<Matrix>&, const std::optional<Integers>&, int, float>(),
           nb::kw_only(), "cpu"_a, "dtype"_a, "word"_a, "position"_a.none(), "token_type"_a.none(), "norm"_a.none(),
           "projection"_a.none(), "relative_bias"_a.none(), "places"_a.none(), "place_count"_a, "scale"_a)
      .def("add_layer", &PythonEncoder::add_layer, nb::kw_only(), "query"_a, "key"_a, "value"_a, "attention_output"_a,
           "attention_norms"_a, "gate"_a.none(), "intermediate"_a, "output"_a, "feed_forward_norms"_a, "heads"_a,
           "kv_heads"_a, "head_size"_a, "activation"_a, "before"_a, "after"_a, "turns"_a, "query_norm"_a.none(),
           "key_norm"_a.none(), "scale"_a.none(), "place_keys"_a.none(), "place_queries"_a.none())
      .def("add_layer_again", &PythonEncoder::add_layer_again, "number"_a)
      .def("add_final_norm", &PythonEncoder::add_final_norm, "norm"_a)
      .def("token_vectors", &PythonEncoder::token_vectors, "ids"_a, "positions"_a, "offsets"_a, "segments"_a.none(),
           "wanted"_a.none(), "turns"_a, "out"_a, "threads"_a, "in_main_thread"_a, "attended"_a.none() = nb::none(),
           "poolings"_a = std::vector<std::string>(), "skipped"_a.none() = nb::none());
  nb::class_<PythonTokenTable>(m, "TokenTable")
      .def(nb::init<StoredMatrix, std::optional<Integers>, std::optional<Vector>>(), nb::kw_only(), "rows"_a,
           "mapping"_a.none(), "weights"_a.none())
      .def("means", &PythonTokenTable::means, "ids"_a, "offsets"_a, "out"_a, "threads"_a, "in_main_thread"_a);
  nb::class_<PythonVocabulary>(m, "Vocabulary")
      .def(nb::init<const std::string&, const std::string&, const LinearArrays&, const std::string&,
                    const std::optional<NormArrays>&, const LinearArrays&>(),
           nb::kw_only(), "cpu"_a, "dtype"_a, "transform"_a, "activation"_a, "norm"_a.none(), "decoder"_a)
      .def("scores", &PythonVocabulary::scores, "vectors"_a, "offsets"_a, "together"_a, "out"_a, "threads"_a,
           "in_main_thread"_a);
  m.def("maxsim", &maxsim, "cpu"_a, "query"_a, "vectors"_a, "offsets"_a, "out"_a, "threads"_a, "in_main_thread"_a);
  bind_words(m);
}
