from __future__ import annotations

import json
from pathlib import Path

import pytest

from pellucid.sources import hf_cache
from pellucid.sources.files import Digest
from tests import tiny

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture
def cache(tmp_path) -> Path:
    """A cache with one complete model, in the layout that the documentation of the Hugging Face cache describes."""
    storage = tmp_path / "models--org--name"
    tiny.write_model(storage / "snapshots" / COMMIT)
    (storage / "refs" / "pr").mkdir(parents=True)
    (storage / "refs" / "main").write_text(COMMIT)
    (storage / "refs" / "pr" / "1").write_text(f"{COMMIT}\n")
    return tmp_path


def write_tree(cache: Path, *names: str, content: str | None = None) -> None:
    trees = cache / "models--org--name" / "trees"
    trees.mkdir(exist_ok=True)
    entries = {name: {"size": 3, "blob_id": "b" * 40} for name in names}
    (trees / f"{COMMIT}.json").write_text(content or json.dumps({"format_version": 1, "files": entries}))


@pytest.mark.parametrize("revision", [None, "main", "pr/1", COMMIT])
def test_a_revision_is_resolved_to_a_commit(cache, revision):
    snapshot = hf_cache.find("org/name", revision, cache)
    assert (snapshot.commit, snapshot.missing_files()) == (COMMIT, [])
    files = snapshot.model_files("org/name", "Hugging Face cache")
    assert (files.revision, files.folder) == (COMMIT, cache / "models--org--name" / "snapshots" / COMMIT)
    assert files.has("1_Pooling/config.json")


@pytest.mark.parametrize(("repo", "revision"), [("org/other", None), ("org/name", "v1"), ("org/name", COMMIT[::-1])])
def test_a_missing_model_or_revision_is_not_found(cache, repo, revision):
    assert hf_cache.find(repo, revision, cache) is None


def test_a_copy_is_complete_if_it_has_every_listed_file_that_we_read(cache):
    write_tree(cache, "config.json", "pytorch_model.bin", "README.md")
    assert hf_cache.find("org/name", None, cache).missing_files() == []
    write_tree(cache, "config.json", "vocab.txt")
    assert hf_cache.find("org/name", None, cache).missing_files() == ["vocab.txt"]


def test_a_copy_that_transformers_made_is_not_known_to_be_complete(cache):
    snapshot = hf_cache.find("org/name", None, cache)
    (snapshot.folder / "modules.json").unlink()
    assert snapshot.missing_files() == ["modules.json"]
    record = cache / "models--org--name" / ".no_exist" / COMMIT / "modules.json"
    record.parent.mkdir(parents=True)
    record.touch()
    assert snapshot.missing_files() == []


@pytest.mark.parametrize("name", ["modules.json", "sentence_bert_config.json", "1_Pooling/config.json"])
def test_a_link_without_its_blob_counts_as_missing(cache, name):
    snapshot = hf_cache.find("org/name", None, cache)
    (snapshot.folder / name).unlink()
    (snapshot.folder / name).symlink_to("../../blobs/gone")
    assert snapshot.missing_files() == [name]


def test_a_download_that_has_just_begun_is_found_and_misses_everything(cache):
    storage = cache / "models--org--new"
    (storage / "refs").mkdir(parents=True)
    (storage / "refs" / "main").write_text(COMMIT)
    assert hf_cache.find("org/new", None, cache) is None
    (storage / "trees").mkdir()
    tree = {"files": {"config.json": {"size": 1, "blob_id": "b"}}}
    (storage / "trees" / f"{COMMIT}.json").write_text(json.dumps(tree))
    assert "config.json" in hf_cache.find("org/new", None, cache).missing_files()


def test_the_tree_gives_the_digests(cache):
    lfs = {"size": 3, "blob_id": "b" * 40, "lfs_sha256": "c" * 64, "lfs_size": 99}
    tree = {"files": {"config.json": {"size": 3, "blob_id": "b" * 40}, "model.safetensors": lfs}}
    write_tree(cache, content=json.dumps(tree))
    assert hf_cache.find("org/name", None, cache).tree == {
        "config.json": Digest("git-sha1", "b" * 40, 3),
        "model.safetensors": Digest("sha256", "c" * 64, 99),
    }


@pytest.mark.parametrize("content", ["{", "[]", "{}", '{"files": 3}', '{"files": {"a": 3}}', '{"files": {"a": {}}}'])
def test_a_broken_tree_is_ignored(cache, content):
    write_tree(cache, content=content)
    assert hf_cache.find("org/name", None, cache).tree is None


@pytest.mark.parametrize("content", [b"", b"\xff", b"../../../elsewhere", b"0" * 5000, b"main"])
def test_a_ref_without_a_commit_is_ignored(cache, content):
    (cache / "models--org--name" / "refs" / "main").write_bytes(content)
    assert hf_cache.find("org/name", None, cache) is None


def test_a_tree_that_is_nested_too_deep_is_ignored(cache):
    write_tree(cache, content="[" * 100_000)
    assert hf_cache.find("org/name", None, cache).tree is None


def test_the_folder_comes_from_the_option_then_the_environment(monkeypatch, tmp_path):
    from huggingface_hub import constants

    monkeypatch.delenv("SENTENCE_TRANSFORMERS_HOME", raising=False)
    assert hf_cache.directory(None) == Path(constants.HF_HUB_CACHE)
    monkeypatch.setenv("SENTENCE_TRANSFORMERS_HOME", str(tmp_path / "st"))
    assert hf_cache.directory(None) == tmp_path / "st"
    assert hf_cache.directory(tmp_path / "option") == tmp_path / "option"
