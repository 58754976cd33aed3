from __future__ import annotations

from pathlib import Path

import pytest

from pellucid.files.whole import in_one_step, new_file, remove_unfinished


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
