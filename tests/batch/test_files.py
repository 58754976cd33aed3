from __future__ import annotations

import os
import re
import subprocess

import pytest
from fuzz.hostile import nest_folders

from pellucid.batch.files import find, names_of
from pellucid.batch.survey import survey
from pellucid.errors import BatchError


def test_only_what_can_be_read_is_found_in_a_folder(tmp_path):
    for name in ("b.txt", "a.PARQUET", "c.md", "sub/d.csv"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("")
    (tmp_path / ".hidden").mkdir()
    for name in (".hidden/e.txt", ".f.txt", "_report.txt", "out/g.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("")
    found = find([str(tmp_path)], tmp_path / "out")
    assert [path.relative_to(tmp_path).as_posix() for path in found] == ["a.PARQUET", "b.txt", "sub/d.csv"]
    # A pattern is what a shell would make of it, but for the output.
    assert find([str(tmp_path / "**/*.txt")], tmp_path / "out") == [tmp_path / "_report.txt", tmp_path / "b.txt"]


def test_a_file_is_found_once_however_often_it_is_named(tmp_path):
    (tmp_path / "a.txt").write_text("a\n")
    (tmp_path / "b.txt").write_text("b\n")
    (tmp_path / "c.txt").symlink_to("a.txt")
    named = ["b.txt", "a.txt", "../" + tmp_path.name + "/a.txt", "c.txt"]
    assert find([f"{tmp_path}/{name}" for name in named], tmp_path / "out") == [tmp_path / "a.txt", tmp_path / "b.txt"]


def test_no_two_files_have_one_name(tmp_path):
    paths = [tmp_path / name for name in ("1/a.txt", "2/a.txt", "3/a.2.txt", "4/A.txt", f"5/{chr(0x6F22) * 80}.txt")]
    for path in paths:
        path.parent.mkdir()
        path.write_text("the cat\n")
    names = list(names_of(paths))
    assert names[:2] == ["a", "a.2"]
    assert len({name.casefold() for name in names}) == len(paths)
    assert max(len(name.encode()) for name in names) <= 100


def test_a_folder_that_cannot_be_read_is_reported(tmp_path, monkeypatch):
    (tmp_path / "a.txt").write_text("a\n")
    (tmp_path / "below").mkdir()
    scandir = os.scandir

    def refusing(path):
        if str(path).endswith("below"):
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refusing)
    with pytest.raises(BatchError, match=r"below cannot be read \(Permission denied\)"):
        find([str(tmp_path)], tmp_path / "out")


def test_a_folder_whose_path_is_too_long_is_not_passed_over(tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.txt").write_text("a\n")
    nest_folders(tmp_path / "in")
    with pytest.raises(BatchError, match=r"cannot be read \(File name too long\)"):
        find([str(tmp_path / "in")], tmp_path / "out")
    subprocess.run(["rm", "-r", tmp_path / "in"], check=True)  # shutil.rmtree() does not get as deep.


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes")
def test_files_in_the_output_folder_are_not_input(tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "a.txt").write_text("a\n")
    os.mkfifo(tmp_path / "out" / "pipe.txt")
    assert find([str(tmp_path)], tmp_path / "out") == [tmp_path / "a.txt"]


@pytest.mark.parametrize(
    ("stem", "name"),
    [
        ("(1)", "1_"),
        ("_a", "a"),
        (".a", "a"),
        ("._.", "rows"),
        ("\uff08\uff09", "rows"),
        ("bad\udcff", "bad_"),
        ("a\x1b[31m\n", "a__31m_"),
        ("löwe-2.b", "löwe-2.b"),
    ],
)
def test_no_output_has_a_name_that_arrow_and_spark_skip(tmp_path, stem, name):
    assert list(names_of([tmp_path / f"{stem}.csv"])) == [name]


def test_names_that_become_the_same_are_counted(tmp_path):
    stems = ["(a)", "_a_", "a_", "A_", "a_.2", "e\u0301", "\u00e9", "bad\udcff", "bad\\xff"]
    names = list(names_of([tmp_path / f"{stem}.csv" for stem in stems]))
    assert len({name.casefold() for name in names}) == len(stems)
    assert not [name for name in names if name.startswith(("_", "."))]


def test_links_that_lead_back_end(tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "a.txt").write_text("a\n")
    for link in ("one", "two", "three.txt"):
        (folder / link).symlink_to(".")
    for given in (folder, f"{folder}/**/*.txt", f"{tmp_path}/**/a.txt"):
        assert [path.name for path in find([str(given)], tmp_path / "out")] == ["a.txt"]
    (folder / "circle.txt").symlink_to("circle.txt")
    for given in (folder, folder / "circle.txt", f"{folder}/*.txt"):
        with pytest.raises(BatchError, match="circle.txt cannot be read"):
            find([str(given)], tmp_path / "out")
    (folder / "circle.txt").unlink()
    (tmp_path / "out").symlink_to("out")
    with pytest.raises(BatchError, match="cannot be read"):
        find([str(folder)], tmp_path / "out")


def test_only_regular_files_are_read(tmp_path):
    os.mkfifo(tmp_path / "fifo.txt")
    (tmp_path / "zero.txt").symlink_to("/dev/zero")
    (tmp_path / "gone.txt").symlink_to("nothing")
    for name in ("fifo.txt", "zero.txt", "gone.txt"):
        with pytest.raises(
            BatchError, match=f"{name} cannot be read: it is not a regular file, or it is a broken link"
        ):
            find([str(tmp_path / name)], tmp_path / "out")
    with pytest.raises(BatchError, match=r"cannot be read \(neither a file nor a folder\)"):
        find([str(tmp_path)], tmp_path / "out")
    with pytest.raises(BatchError, match="must end in"):
        find(["/dev/zero"], tmp_path / "out")


@pytest.mark.parametrize("name", ["\0", "a\0b.txt", "long" * 100, "\ud800.txt", "", "[", "**", "**/*.txt"])
def test_an_impossible_name_is_reported(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(BatchError):
        find([name], tmp_path / "out")


def test_messages_have_no_control_characters(tmp_path):
    bad = "a\x1b[31m\r\udcff"
    with pytest.raises(BatchError, match=re.escape(r"a\x1b[31m\r\udcff.txt")):
        find([str(tmp_path / f"{bad}.txt")], tmp_path / "out")
    (tmp_path / f"{bad}.csv").write_text("id\n1\n")
    with pytest.raises(BatchError) as raised:
        survey([tmp_path / f"{bad}.csv"], "text", 3)
    assert str(raised.value).isprintable()


def test_input_that_is_all_this_jobs_output_is_reported(tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "a.parquet").write_text("")
    with pytest.raises(BatchError, match="has nothing but the output of this job"):
        find([str(tmp_path / "out")], tmp_path / "out")
