"""Reading the header of a GGUF file, beside what the package gguf writes and says."""

from __future__ import annotations

import gguf
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pellucid.errors import InvalidModelError, ModelError, UnsupportedModelError
from pellucid.sources.gguf import header
from pellucid.sources.gguf.header import BLOCK_TYPES, GgufTensor, read_header

WEIGHT = np.arange(128, dtype=np.float32).reshape(2, 64)


def write(path, kind="F32"):
    """A file with a value of each kind, and two tensors."""
    writer = gguf.GGUFWriter(path, "bert")
    writer.add_uint32("a.number", 7)
    writer.add_int64("a.large", -(1 << 40))
    writer.add_float32("a.float", 0.5)
    writer.add_bool("a.flag", True)
    writer.add_string("a.word", "größe")
    writer.add_array("a.words", ["x", "", "\u2581the"])
    writer.add_array("a.numbers", [3, 1, 2])
    dtype = gguf.GGMLQuantizationType[kind]
    writer.add_tensor("norm.weight", WEIGHT[0])
    writer.add_tensor("blk.0.w.weight", gguf.quants.quantize(WEIGHT, dtype), raw_dtype=dtype)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def test_metadata_of_each_kind(tmp_path):
    metadata = read_header(write(tmp_path / "m.gguf"), "m").metadata
    assert dict(metadata) == {
        "general.architecture": "bert",
        "a.number": 7,
        "a.large": -(1 << 40),
        "a.float": 0.5,
        "a.flag": True,
        "a.word": "größe",
        "a.words": ["x", "", "\u2581the"],
        "a.numbers": [3, 1, 2],
    }


@pytest.mark.parametrize("kind", ["F32", "F16", "BF16", "Q8_0", "Q4_0"])
def test_a_tensor_is_where_the_header_says(tmp_path, kind):
    path = write(tmp_path / "m.gguf", kind)
    tensors = read_header(path, "m").tensors
    theirs = {tensor.name: tensor for tensor in gguf.GGUFReader(path).tensors}
    assert tensors["blk.0.w.weight"] == GgufTensor(kind, (2, 64), theirs["blk.0.w.weight"].data_offset)
    assert tensors["norm.weight"] == GgufTensor("F32", (64,), theirs["norm.weight"].data_offset)


def test_the_sizes_of_blocks_are_those_of_the_package():
    theirs = {name: gguf.GGML_QUANT_SIZES[gguf.GGMLQuantizationType[name]] for name in BLOCK_TYPES}
    assert {name: (kind.numbers, kind.bytes) for name, kind in BLOCK_TYPES.items()} == theirs


def test_the_numbers_of_types_are_those_of_the_package():
    assert {number: kind.name for number, kind in header._TYPES.items()} == {
        number: gguf.GGMLQuantizationType(number).name for number in header._TYPES
    }


def test_a_file_that_ends_anywhere_is_refused(tmp_path):
    data = write(tmp_path / "m.gguf").read_bytes()
    path = tmp_path / "short.gguf"
    for length in range(len(data)):
        path.write_bytes(data[:length])
        with pytest.raises(InvalidModelError, match=r"^short is not a sound GGUF file"):
            read_header(path, "short")


@pytest.mark.parametrize("number", [(1 << 64) - 1, 1 << 60, 1 << 33, 0])
def test_a_false_length_anywhere_never_hangs(tmp_path, number):
    data = write(tmp_path / "m.gguf").read_bytes()
    path = tmp_path / "false.gguf"
    for start in range(4, len(data) - WEIGHT.nbytes - 8):
        path.write_bytes(data[:start] + number.to_bytes(8, "little") + data[start + 8 :])
        try:
            found = read_header(path, "false")
        except ModelError:
            continue
        for tensor in found.tensors.values():
            assert tensor.start < len(data)


@settings(max_examples=200)
@given(st.binary(max_size=200))
def test_any_bytes_are_a_header_or_an_error_of_ours(tmp_path_factory, data):
    path = tmp_path_factory.getbasetemp() / "any.gguf"
    path.write_bytes(b"GGUF" + (3).to_bytes(4, "little") + data)
    try:
        found = read_header(path, "any")
    except ModelError:
        return
    assert len(found.metadata) + len(found.tensors) < len(data)


@pytest.mark.parametrize("version", [1, 4, 3 << 24])
def test_another_version_is_refused(tmp_path, version):
    path = write(tmp_path / "m.gguf")
    data = path.read_bytes()
    path.write_bytes(data[:4] + version.to_bytes(4, "little") + data[8:])
    with pytest.raises(UnsupportedModelError, match=f"version {version} of GGUF"):
        read_header(path, "m")


def test_a_part_of_several_files_is_refused(tmp_path):
    writer = gguf.GGUFWriter(tmp_path / "m.gguf", "bert")
    writer.add_uint16("split.count", 2)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.close()
    with pytest.raises(UnsupportedModelError, match="one of several parts"):
        read_header(tmp_path / "m.gguf", "m")


@pytest.mark.parametrize(("key", "kind"), [("a.number", str), ("a.word", int), ("missing", int), ("a.flag", int)])
def test_metadata_of_another_type_is_refused(tmp_path, key, kind):
    with pytest.raises(InvalidModelError, match=f"the metadata must have {key!r} as {kind.__name__}"):
        read_header(write(tmp_path / "m.gguf"), "m").get(key, kind)
