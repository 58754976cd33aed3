from __future__ import annotations

import pytest

from pellucid.errors import ModelNotFoundError
from pellucid.sources import local


def test_a_folder_is_a_model_with_the_name_that_was_given(tiny_bert, monkeypatch):
    monkeypatch.chdir(tiny_bert.parent)
    files = local.find(tiny_bert.name)
    assert (files.name, files.source, files.revision) == (tiny_bert.name, "folder", None)
    assert {"config.json", "1_Pooling/config.json"} <= files.listing.keys()
    assert files.wanted() == sorted(files.listing)


def test_the_working_directory_may_change_afterwards(tiny_bert, tmp_path, monkeypatch):
    monkeypatch.chdir(tiny_bert)
    files = local.find(".")
    monkeypatch.chdir(tmp_path)
    assert (files.name, files.folder, files.has("config.json")) == (".", tiny_bert, True)


def test_the_home_folder_may_be_written_as_a_tilde(tiny_bert, monkeypatch):
    monkeypatch.setenv("HOME", str(tiny_bert.parent))
    assert local.find(f"~/{tiny_bert.name}").folder == tiny_bert


@pytest.mark.parametrize("name", ["name", "org/name"])
def test_a_missing_folder_that_could_be_a_hub_name_is_not_an_error(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert local.find(name) is None


@pytest.mark.parametrize(
    "name", ["./model", "../model", "/no/such/folder", "~/no-such-folder", "a/b/c", "a\\b", "all-MiniLM-L6-v2/"]
)
def test_a_name_that_can_only_be_a_path_must_exist(name):
    with pytest.raises(ModelNotFoundError, match="no folder .* Check the path"):
        local.find(name)


def test_a_folder_may_have_any_name(tiny_bert, tmp_path):
    folder = tmp_path / "モデル\u3000\nその一"
    folder.symlink_to(tiny_bert)
    assert local.find(str(folder)).folder == folder


def test_a_file_is_not_a_model(tiny_bert):
    with pytest.raises(ModelNotFoundError, match="is a file, and not a GGUF file. Give the folder"):
        local.find(str(tiny_bert / "model.safetensors"))
