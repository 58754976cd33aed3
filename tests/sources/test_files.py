from __future__ import annotations

import hashlib
import json
import os
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pellucid import Embedder
from pellucid.errors import InvalidModelError
from pellucid.sources import local
from pellucid.sources.files import Digest, ModelFiles, missing_files, read_module_folders, select_files
from tests import tiny

FILES = ModelFiles("m", Path("/models/m"), "folder", None, {})


@pytest.mark.parametrize("relative", ["config.json", "1_Pooling/config.json", "a..b", "...", ""])
def test_a_path_within_the_folder_is_allowed(relative):
    assert FILES.path(relative) == Path("/models/m") / relative


@pytest.mark.parametrize(
    "relative",
    ["..", "../x", "a/../../x", "a/..", "/etc/passwd", "C:\\x", "C:x", "\\\\host\\x", "\\x", "..\\x", "a\0b"],
)
def test_a_path_that_leaves_the_folder_is_refused(relative):
    with pytest.raises(InvalidModelError, match="outside the model's folder"):
        FILES.path(relative)


@given(st.lists(st.sampled_from(["..", ".", "a", "b", "", "~", "C:"]), max_size=5), st.sampled_from("/\\"))
def test_every_allowed_path_is_within_the_folder(parts, separator):
    try:
        path = FILES.path(separator.join(parts))
    except InvalidModelError:
        return
    assert path.resolve().is_relative_to(FILES.folder)


def test_an_error_while_looking_for_a_file_is_reported(monkeypatch):
    def refuse(self):
        raise PermissionError(13, "Permission denied", str(self))

    monkeypatch.setattr(Path, "lstat", refuse)
    with pytest.raises(InvalidModelError, match=r"could not check whether config\.json exists .*Permission denied"):
        FILES.has("config.json")


def test_a_link_to_a_missing_file_counts_as_present(tmp_path):
    files = ModelFiles("m", tmp_path, "folder", None, {"config.json": None})
    (tmp_path / "config.json").symlink_to("gone.json")
    assert files.has("config.json")
    assert not files.has("other.json")
    assert files.wanted() == []


class TestReadable:
    """Only regular files of a sane size are read. Reading a pipe or /dev/zero would never end."""

    @pytest.fixture
    def files(self, tmp_path) -> ModelFiles:
        return ModelFiles("m", tmp_path, "folder", None, {})

    def test_a_file_is_read_through_a_link(self, files, tmp_path):
        (tmp_path / "a").write_bytes(b"{}")
        (tmp_path / "config.json").symlink_to("a")
        assert files.read("config.json") == b"{}"

    def test_a_missing_file_is_named(self, files):
        with pytest.raises(
            InvalidModelError, match=r"m: there is no config\.json in .*the folder of a sentence-transf"
        ):
            files.read("config.json")

    def test_a_pipe_a_device_and_a_folder_are_refused(self, files, tmp_path):
        os.mkfifo(tmp_path / "pipe.json")
        (tmp_path / "zero.json").symlink_to("/dev/zero")
        (tmp_path / "folder.json").mkdir()
        for name in ("pipe.json", "zero.json", "folder.json"):
            assert files.has(name)
            with pytest.raises(InvalidModelError, match=f"m: {name} cannot be read: it is not a regular file, but a"):
                files.read(name)

    @pytest.mark.parametrize(
        ("name", "limit"), [("config.json", 4 << 20), ("tokenizer.json", 64 << 20), ("1_Pooling/vocab.txt", 64 << 20)]
    )
    def test_a_file_over_its_limit_is_refused(self, files, tmp_path, name, limit):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.touch()
        os.truncate(path, limit)
        assert files.readable(name) == path
        os.truncate(path, limit + 1)
        with pytest.raises(InvalidModelError, match=f"it has {limit + 1:,} bytes, and the limit is {limit:,}"):
            files.readable(name)

    def test_weights_may_be_large(self, files, tmp_path):
        (tmp_path / "model.safetensors").touch()
        os.truncate(tmp_path / "model.safetensors", 1 << 40)
        assert files.readable("model.safetensors")


@pytest.mark.parametrize("kind", ["pipe", "device"])
def test_no_file_of_a_model_may_be_a_pipe_or_a_device(tmp_path, kind):
    """Replace each file that is read, one after another."""
    folder = tiny.write_model(tmp_path / "m", modules=["Pooling", "Dense", "LayerNorm", "Normalize"])
    for name in local.find(str(folder)).wanted():
        path, original = folder / name, tmp_path / "original"
        path.rename(original)
        if kind == "pipe":
            os.mkfifo(path)
        else:
            path.symlink_to("/dev/zero")
        with pytest.raises(InvalidModelError, match=f"{name} cannot be read: it is not a regular file"):
            Embedder(folder)
        path.unlink()
        original.rename(path)
    Embedder(folder)


def test_module_folders_with_other_names_are_read_too(tmp_path):
    folder = tiny.write_model(tmp_path / "m", modules=["Pooling", "Dense"])
    (folder / "modules").mkdir()
    (folder / "1_Pooling").rename(folder / "modules" / "pooling")
    (folder / "2_Dense").rename(folder / "dense")
    entries = json.loads((folder / "modules.json").read_bytes())
    entries[1]["path"], entries[2]["path"] = "modules//pooling/", "./dense"
    tiny.write_json(folder / "modules.json", entries)
    files = Embedder(folder).files
    assert {"modules/pooling/config.json", "dense/config.json", "dense/model.safetensors"} <= {*files.wanted()}
    before = files.digest()
    tiny.edit_json(folder / "dense" / "config.json", activation_function="torch.nn.modules.activation.ReLU")
    assert files.digest() != before


@pytest.mark.parametrize("path", ["/etc/x", "../a/b", "a/../../b", "a/\0/b"])
def test_a_module_folder_outside_the_model_is_refused(tmp_path, path):
    folder = tiny.write_model(tmp_path / "m")
    entries = json.loads((folder / "modules.json").read_bytes())
    entries[1]["path"] = path
    tiny.write_json(folder / "modules.json", entries)
    assert read_module_folders(folder) == ["", "2_Normalize"]
    with pytest.raises(InvalidModelError, match="outside the model's folder"):
        Embedder(folder)


def test_weights_of_other_runtimes_are_never_selected():
    listing = {
        "1_Pooling/config.json": True,
        "2_Dense/config.json": True,
        "2_Dense/model.safetensors": True,
        "2_Dense/pytorch_model.bin": False,
        "README.md": False,
        "config.json": True,
        "config_sentence_transformers.json": True,
        "model-00001-of-00002.safetensors": True,
        "model.fp16.safetensors": False,
        "model.safetensors": True,
        "model.safetensors.index.json": True,
        "modules.json": True,
        "onnx/config.json": False,
        "onnx/model.onnx": False,
        "openvino/openvino_model.bin": False,
        "pytorch_model.bin": False,
        "sentence_bert_config.json": True,
        "sentencepiece.bpe.model": True,
        "tokenizer.json": True,
        "training/a/config.json": False,
        "vocab.txt": True,
    }
    assert select_files(listing) == [name for name, is_read in listing.items() if is_read]


def make(folder: Path, *names: str, modules: list[tuple[str, str]] | None = None) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("{}")
    if modules is not None:
        entries = [{"path": path, "type": f"sentence_transformers.models.{kind}"} for kind, path in modules]
        (folder / "modules.json").write_text(json.dumps(entries))
    return folder


COMPLETE = ("config.json", "model.safetensors", "tokenizer.json")


class TestMissingFiles:
    def test_a_plain_transformer_needs_config_weights_and_tokenizer(self, tmp_path):
        assert missing_files(make(tmp_path)) == list(COMPLETE)
        assert missing_files(make(tmp_path, *COMPLETE)) == []

    def test_a_shard_index_counts_as_weights_and_a_vocabulary_as_a_tokenizer(self, tmp_path):
        assert missing_files(make(tmp_path, "config.json", "model.safetensors.index.json", "vocab.txt")) == []

    def test_modules_need_their_configs(self, tmp_path):
        modules = [("Transformer", ""), ("Pooling", "1_Pooling"), ("Normalize", "2_Normalize")]
        assert missing_files(make(tmp_path, *COMPLETE, modules=modules)) == ["1_Pooling/config.json"]
        assert missing_files(make(tmp_path, "1_Pooling/config.json")) == []

    def test_the_transformer_may_have_its_own_folder(self, tmp_path):
        make(tmp_path, *COMPLETE, modules=[("Transformer", "0_T")])
        assert missing_files(tmp_path) == [f"0_T/{name}" for name in COMPLETE]

    def test_a_dense_module_needs_weights_and_an_unknown_module_needs_nothing(self, tmp_path):
        modules = [("WordEmbeddings", ""), ("Dense", "2_Dense"), ("LayerNorm", "3"), ("Dropout", "4"), ("Own", "5")]
        assert missing_files(make(tmp_path, modules=modules)) == [
            "2_Dense/config.json",
            "2_Dense/model.safetensors",
            "3/model.safetensors",
        ]

    def test_a_router_needs_its_file_and_the_modules_inside(self, tmp_path):
        modules = [("Router", "")]
        assert missing_files(make(tmp_path, modules=modules)) == ["router_config.json"]
        types = {"query_0": "a.SparseStaticEmbedding", "document_0": "a.Transformer", "document_1": "a.SpladePooling"}
        (tmp_path / "router_config.json").write_text(json.dumps({"types": types}))
        assert missing_files(tmp_path) == [
            "query_0/model.safetensors",
            "query_0/tokenizer.json",
            *(f"document_0/{name}" for name in COMPLETE),
        ]
        assert read_module_folders(tmp_path) == ["", "query_0", "document_0", "document_1"]

    @pytest.mark.parametrize(
        "content", ["{", "3", "[3]", "[{}]", '[{"path": 1, "type": 2}]', '[{"path": 1, "type": "a"}]']
    )
    def test_a_broken_list_is_left_to_the_loader(self, tmp_path, content):
        (tmp_path / "modules.json").write_text(content)
        assert missing_files(tmp_path) == []


@given(st.binary(max_size=100), st.binary(max_size=100))
def test_a_digest_matches_its_content_and_no_other(tmp_path_factory, content, other):
    path = tmp_path_factory.mktemp("digest") / "file"
    path.write_bytes(other)
    digest = Digest("sha256", hashlib.sha256(content).hexdigest(), len(content))
    assert digest.matches(path) == (content == other)


def test_a_git_digest_is_that_of_git(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"{}\r\n\0")
    command = ["git", "hash-object", "--no-filters", str(path)]
    git = subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    assert Digest("git-sha1", git, 5).matches(path)
    assert not Digest("git-sha1", git[::-1], 5).matches(path)
