from __future__ import annotations

import pytest

from pellucid.cli.output_files import check_ending, open_output
from pellucid.errors import OptionError

ENDINGS = (".csv", ".json")


def test_the_ending_in_lower_case(tmp_path):
    assert check_ending(tmp_path / "OUT.CSV", ENDINGS) == ".csv"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("out.txt", r"-o .*out\.txt: the ending must be \.csv or \.json"),
        ("folder.csv", "that is a folder"),
        ("missing/out.csv", "there is no folder"),
    ],
)
def test_names_that_are_refused(tmp_path, name, message):
    (tmp_path / "folder.csv").mkdir()
    with pytest.raises(OptionError, match=message):
        check_ending(tmp_path / name, ENDINGS)


def write(out, content, error=None):
    with open_output(out) as path:
        path.write_text(content)
        if error is not None:
            raise error


def test_a_file_appears_whole_or_not_at_all(tmp_path):
    out = tmp_path / "out.csv"
    with pytest.raises(ZeroDivisionError):
        write(out, "a part", ZeroDivisionError())
    with pytest.raises(OptionError, match=r"it cannot be written \(the disk may be full\)"):
        write(out, "a part", OSError())
    assert not out.exists()
    write(out, "all")
    assert out.read_text() == "all"
