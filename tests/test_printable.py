from __future__ import annotations

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from pellucid.printable import JOINER, printable


def test_control_characters_and_odd_bytes_are_written_out():
    assert printable("añ 漢.txt") == "añ 漢.txt"
    assert printable("a\x1b[31m\n\udcff.txt") == "a\\x1b[31m\\n\\udcff.txt"
    assert printable(Path("a\tb")) == "a\\tb"


def test_what_may_stay_stays():
    family = JOINER.join("👩👧")
    assert printable(f"{family}\n\x07", keep=f"\n{JOINER}") == f"{family}\n\\x07"


@given(st.text())
def test_nothing_is_left_that_a_terminal_obeys(text):
    assert printable(text).isprintable()
    assert printable(printable(text)) == printable(text)
