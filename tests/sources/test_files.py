from __future__ import annotations

import hashlib
import json
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pellucid.errors import InvalidModelError
from pellucid.sources.files import Digest, ModelFiles, lacking, wanted

FILES = ModelFiles("m", Path("/models/m"), "folder", None, {})


@pytest.mark.parametrize("relative", ["config.json", "1_Pooling/config.json", "a..b", "...", ""])
def test_a_path_within_the_folder_is_given(relative):
    assert FILES.path(relative) == Path("/models/m") / relative


@pytest.mark.parametrize(
    "relative",
    ["..", "../x", "a/../../x", "a/..", "/etc/passwd", "C:\\x", "C:x", "\\\\host\\x", "\\x", "..\\x", "a\0b"],
)
def test_a_path_that_leaves_the_folder_is_refused(relative):
    with pytest.raises(InvalidModelError, match="outside the model's folder; refused"):
        FILES.path(relative)


@given(st.lists(st.sampled_from(["..", ".", "a", "b", "", "~", "C:"]), max_size=5), st.sampled_from("/\\"))
def test_whatever_is_given_lies_within_the_folder(parts, separator):
    try:
        path = FILES.path(separator.join(parts))
    except InvalidModelError:
        return
    assert path.resolve().is_relative_to(FILES.folder)


def test_what_may_not_be_seen_is_said_to_be_so(monkeypatch):
    def refuse(self):
        raise PermissionError(13, "Permission denied", str(self))

    monkeypatch.setattr(Path, "is_file", refuse)
    with pytest.raises(InvalidModelError, match=r"config\.json cannot be looked for .*Permission denied"):
        FILES.has("config.json")


def test_a_link_that_leads_nowhere_is_there(tmp_path):
    files = ModelFiles("m", tmp_path, "folder", None, {"config.json": None})
    (tmp_path / "config.json").symlink_to("gone.json")
    assert files.has("config.json")
    assert not files.has("other.json")
    assert files.wanted() == []


def test_weights_of_other_runtimes_are_never_wanted():
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
    assert wanted(listing) == [name for name, is_wanted in listing.items() if is_wanted]


def make(folder: Path, *names: str, modules: list[tuple[str, str]] | None = None) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("{}")
    if modules is not None:
        entries = [{"path": path, "type": f"sentence_transformers.models.{kind}"} for kind, path in modules]
        (folder / "modules.json").write_text(json.dumps(entries))
    return folder


WHOLE = ("config.json", "model.safetensors", "tokenizer.json")


class TestLacking:
    def test_a_plain_transformer_needs_config_weights_and_tokenizer(self, tmp_path):
        assert lacking(make(tmp_path)) == list(WHOLE)
        assert lacking(make(tmp_path, *WHOLE)) == []

    def test_a_shard_index_is_weights_and_a_vocabulary_a_tokenizer(self, tmp_path):
        assert lacking(make(tmp_path, "config.json", "model.safetensors.index.json", "vocab.txt")) == []

    def test_modules_need_their_configs(self, tmp_path):
        modules = [("Transformer", ""), ("Pooling", "1_Pooling"), ("Normalize", "2_Normalize")]
        assert lacking(make(tmp_path, *WHOLE, modules=modules)) == ["1_Pooling/config.json"]
        assert lacking(make(tmp_path, "1_Pooling/config.json")) == []

    def test_the_transformer_may_have_a_folder(self, tmp_path):
        make(tmp_path, *WHOLE, modules=[("Transformer", "0_T")])
        assert lacking(tmp_path) == [f"0_T/{name}" for name in WHOLE]

    @pytest.mark.parametrize(
        "content", ["{", "3", "[3]", "[{}]", '[{"path": 1, "type": 2}]', '[{"path": 1, "type": "a"}]']
    )
    def test_a_broken_list_is_for_the_loader_to_judge(self, tmp_path, content):
        (tmp_path / "modules.json").write_text(content)
        assert lacking(tmp_path) == []


@given(st.binary(max_size=100), st.binary(max_size=100))
def test_a_digest_matches_its_content_and_no_other(tmp_path_factory, content, other):
    path = tmp_path_factory.mktemp("digest") / "file"
    path.write_bytes(other)
    digest = Digest("sha256", hashlib.sha256(content).hexdigest(), len(content))
    assert digest.matches(path) == (content == other)


def test_a_git_digest_is_what_git_says(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"{}\r\n\0")
    command = ["git", "hash-object", "--no-filters", str(path)]
    git = subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    assert Digest("git-sha1", git, 5).matches(path)
    assert not Digest("git-sha1", git[::-1], 5).matches(path)
