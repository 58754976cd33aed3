from __future__ import annotations

import os

import pytest

from pellucid.errors import UnreadableFileError
from pellucid.files.stamps import stamp_of, unchanged


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "a\x1b.csv"
    path.write_text("text")
    os.utime(path, ns=(0, 10**18))
    return path


def change_size(path):
    path.write_text("texts")
    os.utime(path, ns=(0, 10**18))


CHANGES = {"size": change_size, "time": lambda path: os.utime(path, ns=(0, 10**18 + 1)), "gone": os.unlink}


def change(path, how, *, fails):
    CHANGES[how](path)
    if fails:
        raise IndexError


@pytest.mark.parametrize("how", CHANGES)
@pytest.mark.parametrize("fails", [True, False])
def test_a_file_that_changed_is_refused_whatever_the_block_says(file, how, fails):
    stamp = stamp_of(file)
    with pytest.raises(UnreadableFileError, match=r"a\\x1b\.csv was changed while it was read"), unchanged(file, stamp):
        change(file, how, fails=fails)


def test_a_file_that_did_not_change_keeps_the_errors_of_the_block(file):
    stamp = stamp_of(file)
    with unchanged(file, stamp):
        assert file.read_text() == "text"
    with pytest.raises(IndexError), unchanged(file, stamp):
        raise IndexError
