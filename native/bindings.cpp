// The module pellucid._native: arrays in, arrays out. All judging of values is done in engines/native.py.
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <optional>
#include <string>
#include <vector>

#include "encoder.h"
#include "peaks.h"

namespace nb = nanobind;
using namespace nb::literals;

namespace pellucid {
namespace {

template <class T, int dimensions>
using ArrayOf = nb::ndarray<const T, nb::ndim<dimensions>, nb::c_contig, nb::device::cpu>;
using Vector = ArrayOf<float, 1>;
using Matrix = ArrayOf<float, 2>;
using Integers = ArrayOf<std::int32_t, 1>;

void require(bool holds, const char* what) {
  if (!holds) throw nb::value_error(what);
}

const Kernels& kernels_named(const std::string& name) {
  for (const Kernels* kernels : available_kernels()) {
    if (name == kernels->name) return *kernels;
  }
  throw nb::value_error("no such instruction set on this machine");
}

Dtype dtype_named(const std::string& name) {
  if (name == "float32") return Dtype::float32;
  if (name == "int16") return Dtype::int16;
  if (name == "int8") return Dtype::int8;
  throw nb::value_error("no such dtype");
}

Activation activation_named(const std::string& name) {
  if (name == "gelu") return Activation::gelu;
  if (name == "gelu_tanh") return Activation::gelu_tanh;
  if (name == "relu") return Activation::relu;
  if (name == "silu") return Activation::silu;
  throw nb::value_error("no such activation");
}

Linear linear(const Matrix& weight, const Vector& bias, int out, int in) {
  require(weight.shape(0) == static_cast<std::size_t>(out) && weight.shape(1) == static_cast<std::size_t>(in) &&
              bias.shape(0) == static_cast<std::size_t>(out),
          "a linear layer has the wrong shape");
  return {weight.data(), bias.data(), out, in};
}

Norm norm(const Vector& weight, const Vector& bias, int size) {
  require(weight.shape(0) == static_cast<std::size_t>(size) && bias.shape(0) == weight.shape(0),
          "a norm has the wrong shape");
  return {weight.data(), bias.data()};
}

// An Encoder, and the arrays that it reads from.
class PythonEncoder {
 public:
  PythonEncoder(const std::string& cpu, const std::string& dtype, int heads,
                const std::string& activation, float layer_norm_eps, Matrix word, Matrix position,
                std::optional<Vector> token_type, const Vector& norm_weight, const Vector& norm_bias,
                const std::optional<Matrix>& relative_bias)
      : word_(std::move(word)),
        position_(std::move(position)),
        token_type_(std::move(token_type)),
        shape_{static_cast<int>(word_.shape(1)), heads, layer_norm_eps, activation_named(activation)},
        encoder_(kernels_named(cpu), dtype_named(dtype), shape_, embeddings(norm_weight, norm_bias, relative_bias)) {}

  // [query, key, value, attention output, attention norm, intermediate, output, output norm], weight and bias of each.
  void add_layer(const Matrix& qw, const Vector& qb, const Matrix& kw, const Vector& kb, const Matrix& vw,
                 const Vector& vb, const Matrix& aw, const Vector& ab, const Vector& anw, const Vector& anb,
                 const Matrix& iw, const Vector& ib, const Matrix& ow, const Vector& ob, const Vector& onw,
                 const Vector& onb) {
    const int hidden = shape_.hidden, inner = static_cast<int>(ib.shape(0));
    require(ib.shape(0) > 0 && ib.shape(0) <= 1 << 24, "the intermediate size is out of range");
    require(intermediate_ == 0 || inner == intermediate_, "layers differ in their intermediate size");
    intermediate_ = inner;
    const LayerWeights weights{linear(qw, qb, hidden, hidden), linear(kw, kb, hidden, hidden),
                               linear(vw, vb, hidden, hidden), linear(aw, ab, hidden, hidden),
                               norm(anw, anb, hidden),         linear(iw, ib, inner, hidden),
                               linear(ow, ob, hidden, inner),  norm(onw, onb, hidden)};
    nb::gil_scoped_release release;
    encoder_.add_layer(weights);
  }

  void token_vectors(const Integers& ids, const Integers& positions, const Integers& offsets,
                     const nb::ndarray<float, nb::ndim<2>, nb::c_contig, nb::device::cpu>& out, int threads) const {
    const std::size_t tokens = ids.shape(0);
    require(positions.shape(0) == tokens && out.shape(0) == tokens && threads > 0 &&
                out.shape(1) == static_cast<std::size_t>(shape_.hidden),
            "arrays do not fit each other");
    require(offsets.shape(0) > 0 && offsets(0) == 0 && static_cast<std::size_t>(offsets(offsets.shape(0) - 1)) == tokens,
            "offsets do not cover the ids");
    for (std::size_t i = 1; i < offsets.shape(0); ++i) require(offsets(i) > offsets(i - 1), "a text has no tokens");
    for (std::size_t t = 0; t < tokens; ++t) {
      require(ids(t) >= 0 && static_cast<std::size_t>(ids(t)) < word_.shape(0), "a token id is out of range");
      require(positions(t) >= 0 && static_cast<std::size_t>(positions(t)) < position_.shape(0),
              "a position is out of range");
    }
    const Batch batch{ids.data(), positions.data(), offsets.data(), static_cast<int>(offsets.shape(0)) - 1};
    bool finished;
    {
      nb::gil_scoped_release release;
      finished = encoder_.run(batch, out.data(), threads, [] {
        nb::gil_scoped_acquire acquire;
        return PyErr_CheckSignals() != 0;  // The handler has raised; its error waits until the call has ended.
      });
    }
    if (!finished) throw nb::python_error();
  }

 private:
  Embeddings embeddings(const Vector& weight, const Vector& bias, const std::optional<Matrix>& relative_bias) const {
    const int hidden = shape_.hidden, longest = relative_bias ? static_cast<int>(relative_bias->shape(1) + 1) / 2 : 0;
    require(shape_.heads > 0 && hidden % shape_.heads == 0 && position_.shape(1) == word_.shape(1) &&
                (!token_type_ || token_type_->shape(0) == word_.shape(1)) &&
                (!relative_bias || (relative_bias->shape(0) == static_cast<std::size_t>(shape_.heads) &&
                                    relative_bias->shape(1) % 2 == 1)),
            "the embeddings have the wrong shape");
    return {word_.data(), position_.data(), token_type_ ? token_type_->data() : nullptr, norm(weight, bias, hidden),
            relative_bias ? relative_bias->data() : nullptr, longest};
  }

  Matrix word_, position_;
  std::optional<Vector> token_type_;
  Shape shape_;
  int intermediate_ = 0;
  Encoder encoder_;
};

}  // namespace
}  // namespace pellucid

NB_MODULE(_native, m) {
  using namespace pellucid;
  m.def("instruction_sets", [] {
    std::vector<std::string> names;
    for (const Kernels* kernels : available_kernels()) names.emplace_back(kernels->name);
    return names;
  });
  m.def(
      "multiply_add_peak",
      [](const std::string& cpu, int threads, double seconds) {
        nb::gil_scoped_release release;
        return multiply_add_peak(kernels_named(cpu), threads, seconds);
      },
      "cpu"_a, "threads"_a, "seconds"_a);
  m.def(
      "product_peak",
      [](const std::string& cpu, const std::string& dtype, int threads, double seconds) {
        nb::gil_scoped_release release;
        return product_peak(kernels_named(cpu), dtype_named(dtype), threads, seconds);
      },
      "cpu"_a, "dtype"_a, "threads"_a, "seconds"_a);
  nb::class_<PythonEncoder>(m, "Encoder")
      .def(nb::init<const std::string&, const std::string&, int, const std::string&, float, Matrix, Matrix,
                    std::optional<Vector>, const Vector&, const Vector&, const std::optional<Matrix>&>(),
           nb::kw_only(), "cpu"_a, "dtype"_a, "heads"_a, "activation"_a, "layer_norm_eps"_a,
           "word"_a, "position"_a, "token_type"_a.none(), "norm_weight"_a, "norm_bias"_a, "relative_bias"_a.none())
      .def("add_layer", &PythonEncoder::add_layer)
      .def("token_vectors", &PythonEncoder::token_vectors, "ids"_a, "positions"_a, "offsets"_a, "out"_a, "threads"_a);
}
