from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from fuzz.hostile import nest_folders

from pellucid.errors import OptionError
from pellucid.files.walk import FoundFile, SkippedFile, find_files, path_of, root_folders


def names(*roots):
    return [found.name for found in find_files(roots)]


def write(folder, *paths, content="cat"):
    for path in paths:
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(content)
    return folder


def test_all_files_come_in_order_with_the_roots_name(tmp_path):
    root = write(tmp_path / "notes", "b.txt", "a/z.md", "a/y.md")
    assert names(root) == ["notes/a/y.md", "notes/a/z.md", "notes/b.txt"]
    found = next(find_files([root]))
    assert found == FoundFile(root / "a/y.md", "notes/a/y.md", 3, (root / "a/y.md").stat().st_mtime_ns)


def test_a_file_may_be_named_itself(tmp_path):
    root = write(tmp_path, "a.txt", ".hidden")
    assert names(root / "a.txt", root / ".hidden") == ["a.txt", ".hidden"]


def test_hidden_files_are_passed_over(tmp_path):
    assert names(write(tmp_path / "n", ".git/config", ".env", "a/.b", "a/c")) == ["n/a/c"]


def test_gitignore_is_followed_as_by_git(tmp_path):
    root = write(tmp_path / "n", "a.log", "keep.log", "build/x", "src/build/y", "src/a.tmp", "src/b.tmp", "docs/a.tmp")
    (root / ".gitignore").write_text("*.log\n!keep.log\n/build/\n*.tmp\n")
    (root / "src" / ".gitignore").write_text("!b.tmp\n")
    assert names(root) == ["n/keep.log", "n/src/b.tmp", "n/src/build/y"]


def test_a_loop_of_links_ends_and_a_dangling_link_is_reported(tmp_path):
    root = write(tmp_path / "n", "a/x.txt")
    (root / "a" / "loop").symlink_to(root)
    (root / "gone").symlink_to(root / "nowhere")
    assert list(find_files([root]))[1:] == [SkippedFile(root / "gone", "n/gone", "No such file or directory")]
    assert names(root)[0] == "n/a/x.txt"


def test_what_is_not_a_regular_file_is_reported(tmp_path):
    os.mkfifo(write(tmp_path / "n", "a") / "pipe")
    assert SkippedFile(tmp_path / "n/pipe", "n/pipe", "neither a file nor a folder") in list(
        find_files([tmp_path / "n"])
    )


def test_a_root_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(OptionError, match="is neither a file nor a folder"):
        names(tmp_path / "nowhere")


def test_roots_of_one_name_are_told_apart_by_the_folders_above(tmp_path):
    write(tmp_path, "a/docs/x.txt", "b/docs/x.txt", "c/README.md", "d/README.md", "d/other.md")
    roots = [tmp_path / way for way in ("a/docs", "b/docs", "c/README.md", "d/README.md", "d/other.md", "a/../a/docs")]
    assert names(*roots) == ["a/docs/x.txt", "b/docs/x.txt", "c/README.md", "d/README.md", "other.md"]


@pytest.mark.skipif(sys.platform == "win32", reason="other limits on a path")
def test_folders_deeper_than_calls_may_go_are_read_as_far_as_a_path_can_name(tmp_path):
    write(tmp_path / "n", "z.txt")
    nest_folders(tmp_path / "n")
    found = list(find_files([tmp_path / "n"]))
    subprocess.run(["rm", "-r", tmp_path / "n"], check=True)  # shutil.rmtree() does not get as deep.
    assert [type(one) for one in found] == [SkippedFile, FoundFile]
    assert found[0].reason == "File name too long"


@pytest.mark.skipif(sys.platform in {"win32", "darwin"}, reason="there, names are always Unicode")
def test_a_name_that_is_not_utf8_is_one_that_text_can_hold(tmp_path):
    write(tmp_path / "n", os.fsdecode(b"caf\xe9.txt"))
    (found,) = find_files([tmp_path / "n"])
    assert found.name == "n/caf\\xe9.txt"
    assert found.path.read_text() == "cat"


@pytest.mark.skipif(sys.platform in {"win32", "darwin"}, reason="there, names are always Unicode")
def test_no_two_files_share_a_name(tmp_path):
    write(tmp_path / "n", os.fsdecode(b"bad\xff.txt"), "bad\\xff.txt", "bad\\\\xff.txt")
    assert sorted(names(tmp_path / "n")) == [f"n/bad{slashes}xff.txt" for slashes in ("\\" * 4, "\\" * 2, "\\")]


class TestGitignores:
    def test_one_that_cannot_be_followed_leaves_its_folder_out_and_no_other(self, tmp_path):
        root = write(tmp_path / "n", "a/secret.txt", "b.txt")
        (root / "a" / ".gitignore").write_text("*" * 1000)
        assert next(find_files([root])) == SkippedFile(
            root / "a", "n/a", "line 1 of .gitignore has more than 500 letters", is_folder=True
        )
        assert names(root)[1:] == ["n/b.txt"]

    def test_one_that_cannot_be_read_leaves_its_folder_out(self, tmp_path, monkeypatch):
        root = write(tmp_path / "n", "a.txt", ".gitignore")
        monkeypatch.setattr("pathlib.Path.open", lambda *_, **__: (_ for _ in ()).throw(PermissionError(13, "no")))
        assert list(find_files([root])) == [SkippedFile(root, "n", "no", is_folder=True)]

    @pytest.mark.skipif(sys.platform == "win32", reason="POSIX's kinds of files")
    def test_one_that_is_no_file_leaves_nothing_out(self, tmp_path):
        root = write(tmp_path / "n", "a/a.txt", "b/b.txt", "c/c.txt")
        (root / "a" / ".gitignore").mkdir()
        os.mkfifo(root / "b" / ".gitignore")
        (root / "c" / ".gitignore").symlink_to("/dev/zero")
        assert names(root) == ["n/a/a.txt", "n/b/b.txt", "n/c/c.txt"]

    def test_lines_that_git_does_not_understand_are_no_obstacle(self, tmp_path):
        root = write(tmp_path / "n", "a.txt", "b.txt")
        (root / ".gitignore").write_bytes(b"!\n[z-a]\n\\\n[[:foo:]]\n\xff\n\0\nb*\n")
        assert names(root) == ["n/a.txt"]


def test_a_name_leads_back_to_its_file(tmp_path):
    awkward = ["a\\b", "a\\x41", "\\\\", os.fsdecode(b"\xff\xfe"), "a\\\udcff", "猫 é", "x\n"]
    one, other = (write(tmp_path / place / "notes", *awkward, "sub/notes/a") for place in ("one", "other"))
    single = write(tmp_path, "single\\xff")
    roots = [one, other, single / "single\\xff"]
    folders = root_folders(roots)
    found = list(find_files(roots))
    assert len(found) == 2 * (len(awkward) + 1) + 1
    assert [path_of(file.name, folders) for file in found] == [file.path for file in found]
    assert path_of("elsewhere/a", folders) is None
    assert path_of("single", folders) is None


def test_a_name_leads_back_to_its_file_through_links_and_from_the_root_of_all_files(tmp_path, monkeypatch):
    write(tmp_path / "notes", "a.txt")
    (tmp_path / "link").symlink_to("notes")
    monkeypatch.chdir(tmp_path)
    folders = root_folders([Path("link")])
    assert path_of("notes/a.txt", folders) == tmp_path.resolve() / "notes" / "a.txt"
    assert path_of("//etc/hosts", {"/": Path("/")}) == Path("/etc/hosts")
