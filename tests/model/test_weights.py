from __future__ import annotations

import json
import struct
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import load_file, save_file

from pellucid.errors import InvalidModelError, ModelError, UnsupportedModelError
from pellucid.model.load import load_spec, load_weights
from pellucid.model.weights import Tensors
from pellucid.sources import local
from tests import tiny, tiny_families

WORD = "embeddings.word_embeddings.weight"


def load(folder):
    files = local.find(str(folder))
    weights = load_weights(files, load_spec(files))
    return replace(weights, layers=tuple(weights.layers))  # Engines read all layers too.


def rewrite(folder, **changes):
    """Replace tensors of a model by name, with __ for a dot. None removes a tensor."""
    path = folder / "model.safetensors"
    arrays = load_file(path) | {name.replace("__", "."): array for name, array in changes.items()}
    save_file({name: array for name, array in arrays.items() if array is not None}, path)


def write_raw(path, header: dict | bytes, data: bytes = b"", length: int | None = None):
    encoded = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(encoded) if length is None else length) + encoded + data)


def test_tensors_are_read_by_name_and_shape(broken):
    stored = load_file(broken / "model.safetensors")
    weights = load(broken)
    np.testing.assert_array_equal(weights.word.rows, stored[WORD])
    np.testing.assert_array_equal(weights.layers[1].output.bias, stored["encoder.layer.1.output.dense.bias"])
    assert len(weights.layers) == tiny_families.LAYERS


@pytest.mark.parametrize(("dtype", "kept"), [(None, "float32"), ("float16", "float16"), ("bfloat16", "uint16")])
def test_the_table_and_the_layers_stay_mapped_from_the_file(broken, dtype, kept):
    if dtype is not None:
        tiny.store_as(broken, dtype)
    weights = load(broken)
    for stored in (weights.word.rows, *(layer.output.weight for layer in weights.layers)):
        assert stored.dtype == kept
        assert not stored.flags.owndata
    assert weights.embedding_norm.weight.dtype == weights.layers[0].output.bias.dtype == np.float32


@pytest.mark.parametrize("prefix", ["bert.", ""])
def test_names_may_have_the_prefix_of_the_class_that_saved_them(broken, prefix):
    stored = load_file(broken / "model.safetensors")
    save_file({prefix + name: array for name, array in stored.items()}, broken / "model.safetensors")
    np.testing.assert_array_equal(load(broken).word.rows, stored[WORD])


def test_the_first_bert_checkpoints_say_gamma_and_beta(broken):
    stored = load_file(broken / "model.safetensors")
    renamed = {
        name.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta"): array
        for name, array in stored.items()
    }
    save_file(renamed, broken / "model.safetensors")
    np.testing.assert_array_equal(load(broken).embedding_norm.weight, stored["embeddings.LayerNorm.weight"])


def test_float16_float64_and_bfloat16_are_converted(tmp_path):
    values = np.array([[1.5, -2.0], [0.25, 3.0]])  # Every type represents these numbers exactly.
    tensors = {"half": values.astype(np.float16), "double": values}
    save_file(tensors, tmp_path / "model.safetensors")
    stored = Tensors.open(local.find(str(tmp_path)))
    for name in tensors:
        assert stored.read(name, (2, 2)).tolist() == values.tolist()
    upper = (values.astype(np.float32).view(np.uint32) >> 16).astype("<u2").tobytes()
    write_raw(tmp_path / "model.safetensors", {"b": {"dtype": "BF16", "shape": [2, 2], "data_offsets": [0, 8]}}, upper)
    result = Tensors.open(local.find(str(tmp_path))).read("b", (2, 2))
    assert (result.tolist(), result.dtype) == (values.tolist(), np.float32)


def split(folder, count: int) -> dict:
    """Split a model's weights into shards, and return their index."""
    stored = load_file(folder / "model.safetensors")
    weight_map = {}
    for number in range(count):
        members = sorted(stored)[number::count]
        shard = f"model-{number + 1:05}-of-{count:05}.safetensors"
        save_file({name: stored[name] for name in members}, folder / shard)
        weight_map |= dict.fromkeys(members, shard)
    (folder / "model.safetensors").unlink()
    index = {"metadata": {"total_size": sum(array.nbytes for array in stored.values())}, "weight_map": weight_map}
    tiny.write_json(folder / "model.safetensors.index.json", index)
    return index


@pytest.mark.parametrize("count", [2, 45])
def test_shards_are_read_through_their_index(broken, count):
    stored = load_file(broken / "model.safetensors")
    split(broken, count)
    weights = load(broken)
    np.testing.assert_array_equal(weights.word.rows, stored[WORD])
    np.testing.assert_array_equal(weights.layers[1].output.weight, stored["encoder.layer.1.output.dense.weight"])


def test_broken_shards_are_named(broken):
    index = split(broken, 2)
    second = broken / "model-00002-of-00002.safetensors"
    content = second.read_bytes()
    second.write_bytes(content[:-4])
    with pytest.raises(InvalidModelError, match=r"model-00002-of-00002\.safetensors is not a sound safetensors file"):
        load(broken)

    second.write_bytes((broken / "model-00001-of-00002.safetensors").read_bytes())
    with pytest.raises(InvalidModelError, match="the weights have no tensor"):
        load(broken)

    second.unlink()
    with pytest.raises(InvalidModelError, match=r"no model-00002-of-00002.safetensors, which .*index.json names"):
        load(broken)

    index["weight_map"][WORD] = "../elsewhere.safetensors"
    tiny.write_json(broken / "model.safetensors.index.json", index)
    with pytest.raises(InvalidModelError, match="outside the model's folder"):
        load(broken)


@pytest.mark.parametrize("tensor", [WORD, "encoder.layer.1.output.dense.weight", "embeddings.LayerNorm.bias"])
@pytest.mark.parametrize("dtype", [None, "float16", "bfloat16"])
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_nan_and_infinity_are_refused_and_the_tensor_is_named(broken, bad, dtype, tensor):
    array = load_file(broken / "model.safetensors")[tensor]
    array.reshape(-1)[-2] = bad
    rewrite(broken, **{tensor.replace(".", "__"): array})
    if dtype is not None:
        tiny.store_as(broken, dtype)
    with pytest.raises(InvalidModelError, match=f"{tensor}' holds NaN or infinity"):
        load(broken)


def test_a_wrong_shape_is_named_with_both_shapes(broken):
    rewrite(broken, embeddings__position_embeddings__weight=np.zeros((39, 16), dtype=np.float32))
    with pytest.raises(InvalidModelError, match=r"shape \[39, 16\], but config.json calls for \[40, 16\]"):
        load(broken)


def test_a_missing_tensor_is_named(broken):
    rewrite(broken, encoder__layer__1__output__dense__bias=None)
    with pytest.raises(InvalidModelError, match=r"no tensor 'encoder.layer.1.output.dense.bias'"):
        load(broken)


def test_more_layers_than_the_file_has_are_refused(broken):
    tiny.edit_json(broken / "config.json", num_hidden_layers=9_999)
    with pytest.raises(InvalidModelError, match=r"no tensor 'encoder.layer.3.attention"):
        load(broken)
    tiny.edit_json(broken / "config.json", num_hidden_layers=10**12)
    with pytest.raises(InvalidModelError, match="'num_hidden_layers' is 1000000000000, but must be at most 10000"):
        load(broken)


@pytest.mark.parametrize("tensor", [WORD, "encoder.layer.1.output.dense.weight", "embeddings.LayerNorm.bias"])
def test_a_type_that_is_not_floating_point_is_refused(broken, tensor):
    array = load_file(broken / "model.safetensors")[tensor]
    rewrite(broken, **{tensor.replace(".", "__"): np.zeros(array.shape, dtype=np.int8)})
    with pytest.raises(UnsupportedModelError, match="stored as I8. Supported: F32, F16, BF16, F64"):
        load(broken)


@pytest.mark.parametrize("others", [["pytorch_model.bin"], ["rust_model.ot", "tf_model.h5"]])
def test_weights_of_another_format_are_refused_with_a_reason(broken, others):
    (broken / "model.safetensors").unlink()
    for name in others:
        (broken / name).write_bytes(b"anything")
    with pytest.raises(UnsupportedModelError, match=rf"only {others[0]}.*Pickled weights are refused.*convert it once"):
        load(broken)


def test_a_folder_without_weights_says_so(broken):
    (broken / "model.safetensors").unlink()
    with pytest.raises(InvalidModelError, match="no weights"):
        load(broken)


ENTRY = {"dtype": "F32", "shape": [4], "data_offsets": [0, 16]}
BROKEN_FILES = {
    "an empty file": lambda path: path.write_bytes(b""),
    "seven bytes": lambda path: path.write_bytes(b"1234567"),
    "a header longer than the file": lambda path: write_raw(path, {"t": ENTRY}, bytes(16), length=10**6),
    "a header of many exabytes": lambda path: write_raw(path, {"t": ENTRY}, bytes(16), length=2**63),
    "a header that is not JSON": lambda path: write_raw(path, b"{not json}"),
    "a header that is not UTF-8": lambda path: write_raw(path, b'{"\xff": 1}'),
    "a header that is a list": lambda path: write_raw(path, b"[]"),
    "data that end early": lambda path: write_raw(path, {"t": ENTRY}, bytes(12)),
    "data that end late": lambda path: write_raw(path, {"t": ENTRY}, bytes(20)),
    "offsets that do not fit the shape": lambda path: write_raw(path, {"t": {**ENTRY, "shape": [5]}}, bytes(16)),
    "offsets beyond the end": lambda path: write_raw(path, {"t": {**ENTRY, "data_offsets": [16, 32]}}, bytes(16)),
    "offsets backwards": lambda path: write_raw(path, {"t": {**ENTRY, "data_offsets": [16, 0]}}, bytes(16)),
    "a negative size": lambda path: write_raw(path, {"t": {**ENTRY, "shape": [-4]}}, bytes(16)),
    "a size that overflows": lambda path: write_raw(path, {"t": {**ENTRY, "shape": [2**62, 2**62]}}, bytes(16)),
    "an unknown type": lambda path: write_raw(path, {"t": {**ENTRY, "dtype": "F31"}}, bytes(16)),
    "no type": lambda path: write_raw(path, {"t": {"shape": [4], "data_offsets": [0, 16]}}, bytes(16)),
    "overlapping tensors": lambda path: write_raw(path, {"t": ENTRY, "u": ENTRY}, bytes(16)),
    "a deep header": lambda path: write_raw(path, b'{"a":' * 50_000 + b"1" + b"}" * 50_000),
    "a pickle": lambda path: path.write_bytes(b"\x80\x04\x95\x10\x00\x00\x00\x00\x00\x00\x00\x8c\x05posix\x94."),
}


@pytest.mark.parametrize("name", BROKEN_FILES)
def test_a_broken_file_is_refused_and_named(broken, name):
    BROKEN_FILES[name](broken / "model.safetensors")
    with pytest.raises(InvalidModelError, match="model.safetensors is not a sound safetensors file"):
        load(broken)


def test_the_error_for_a_link_to_a_missing_file_says_so(broken):
    (broken / "model.safetensors").unlink()
    (broken / "model.safetensors").symlink_to("gone")
    with pytest.raises(
        InvalidModelError, match=r"model\.safetensors cannot be read: it is a link to gone, which does not exist"
    ):
        load(broken)


def test_a_folder_named_like_the_weights_is_refused(broken):
    (broken / "model.safetensors").unlink()
    (broken / "model.safetensors").mkdir()
    with pytest.raises(InvalidModelError, match="it is not a regular file, but a folder, a pipe or a device"):
        load(broken)


def test_a_header_that_claims_to_be_huge_is_not_read(broken):
    with (broken / "model.safetensors").open("r+b") as file:
        file.write((5 << 20).to_bytes(8, "little"))
        file.truncate(20 << 20)  # The file does have that many bytes, all of them zero.
    with pytest.raises(
        InvalidModelError, match="its header claims to have 5,242,880 bytes, and the limit is 4,194,304"
    ):
        load(broken)


def test_an_index_that_names_too_many_shards_is_refused(broken):
    (broken / "model.safetensors").unlink()
    names = {str(number): f"model-{number:05}-of-01001.safetensors" for number in range(1001)}
    tiny.write_json(broken / "model.safetensors.index.json", {"weight_map": names})
    with pytest.raises(InvalidModelError, match=r"index\.json names 1,001 files, and the limit is 1,000"):
        load(broken)


def test_shards_must_have_the_usual_names(broken):
    """Files of other names would be neither downloaded nor checked."""
    (broken / "model.safetensors").rename(broken / "weights.safetensors")
    tiny.write_json(broken / "model.safetensors.index.json", {"weight_map": {"a": "weights.safetensors"}})
    with pytest.raises(
        InvalidModelError, match=r"index\.json names 'weights\.safetensors'\. Shards must be in the same folder"
    ):
        load(broken)


@given(st.data())
def test_a_damaged_header_works_or_gives_one_of_our_errors(tiny_bert, tmp_path_factory, data):
    content = bytearray((tiny_bert / "model.safetensors").read_bytes())
    header = 8 + int.from_bytes(content[:8], "little")
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, header - 1))] = data.draw(st.integers(0, 255))
    folder = tmp_path_factory.mktemp("damaged")
    (folder / "model.safetensors").write_bytes(content[: data.draw(st.integers(header // 2, len(content)))])
    files = local.find(str(folder))
    spec = load_spec(local.find(str(tiny_bert)))
    try:
        tensors = Tensors.open(files)
        assert tensors.read(WORD, (spec.encoder.vocab_size, tiny.HIDDEN)).shape == (
            spec.encoder.vocab_size,
            tiny.HIDDEN,
        )
    except ModelError:
        pass
