from __future__ import annotations

from pathlib import Path

import pytest

from pellucid.errors import OptionError
from pellucid.files.whole import check_new_folder, in_one_step, new_file, new_folder, remove_unfinished


def test_a_file_takes_its_name_when_it_is_whole(tmp_path):
    (tmp_path / "a.npy").write_text("before")
    with in_one_step(tmp_path / "a.npy") as path:
        path.write_text("after")
        assert path.name == "a.npy"
        assert list(tmp_path.glob("*.npy")) == [tmp_path / "a.npy"]
        assert (tmp_path / "a.npy").read_text() == "before"
    assert [file.read_text() for file in tmp_path.iterdir()] == ["after"]


@pytest.mark.parametrize("error", [OSError, KeyboardInterrupt])
def test_what_goes_wrong_leaves_what_was_there_before(tmp_path, error):
    (tmp_path / "a.npy").write_text("before")

    def write():
        with in_one_step(tmp_path / "a.npy") as path:
            path.write_text("half")
            raise error

    with pytest.raises(error):
        write()
    assert [file.read_text() for file in tmp_path.iterdir()] == ["before"]


def test_an_interruption_as_soon_as_there_is_a_folder_leaves_nothing(tmp_path, monkeypatch):
    make = Path.mkdir

    def make_and_stop(*arguments, **options):
        make(*arguments, **options)
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "mkdir", make_and_stop)
    with pytest.raises(KeyboardInterrupt), in_one_step(tmp_path / "a.npy"):
        pass
    assert not list(tmp_path.iterdir())


def test_errors_of_the_code_that_writes_are_its_own(tmp_path):
    with pytest.raises(ValueError, match="mine"), new_file(tmp_path / "x"):
        raise ValueError("mine")


def test_what_a_killed_process_left_can_be_removed(tmp_path):
    writing = in_one_step(tmp_path / "a.npy")
    writing.__enter__().write_text("half")
    assert len(list(tmp_path.iterdir())) == 1
    (tmp_path / "b.npy").write_text("whole")
    remove_unfinished(tmp_path)
    assert [file.name for file in tmp_path.iterdir()] == ["b.npy"]


def test_a_folder_takes_its_name_when_it_is_whole(tmp_path):
    target = check_new_folder(tmp_path / "a" / "b")
    with new_folder(target) as folder:
        (folder / "file").write_text("1")
        assert not target.exists()
    assert (target / "file").read_text() == "1"
    assert [path.name for path in target.parent.iterdir()] == ["b"]


def test_a_folder_that_goes_wrong_is_not_there(tmp_path):
    def write():
        with new_folder(tmp_path / "a") as folder:
            (folder / "file").write_text("1")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write()
    assert list(tmp_path.iterdir()) == []


def test_a_folder_is_never_written_over(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "mine").write_text("mine")
    with pytest.raises(OptionError, match="exists already"):
        check_new_folder(tmp_path / "a")
    with pytest.raises(OptionError, match="cannot be written"), new_folder(tmp_path / "a") as folder:
        (folder / "file").write_text("1")  # Meanwhile another program wrote there.
    assert [path.name for path in tmp_path.iterdir()] == ["a"]
    assert (tmp_path / "a" / "mine").read_text() == "mine"


def test_a_link_and_an_impossible_name_are_refused(tmp_path):
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    with pytest.raises(OptionError, match="exists already"):
        check_new_folder(tmp_path / "link")
    with pytest.raises(OptionError, match="a null character"):
        check_new_folder("a\0b")
