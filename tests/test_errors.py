from __future__ import annotations

import copy
import inspect
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pellucid import errors
from pellucid.errors import JOINER, printable

CLASSES = {name: cls for name, cls in vars(errors).items() if inspect.isclass(cls)}


def test_the_tree_in_the_docstring_is_the_tree_of_classes():
    drawn: dict[str, str] = {}
    above = [""] * 9
    for line in (errors.__doc__ or "").splitlines():
        stem = line.removeprefix("    ")
        name = stem.lstrip("│├└─ ").split(" ")[0]
        if name in CLASSES:
            depth = (len(stem) - len(stem.lstrip("│├└─ "))) // 4
            above[depth] = name
            drawn[name] = above[depth - 1] if depth else ""
    own = {cls: [base.__name__ for base in cls.__bases__ if base.__name__ in CLASSES] for cls in CLASSES.values()}
    assert drawn == {name: "".join(own[cls][:1]) for name, cls in CLASSES.items()}


@pytest.mark.parametrize(
    ("error", "python_error"),
    [(errors.InputError, ValueError), (errors.TextTypeError, TypeError), (errors.MissingExtraError, ImportError)],
)
def test_some_are_also_pythons_errors(error, python_error):
    assert issubclass(error, python_error)


def test_a_missing_extra_says_what_to_run():
    error = errors.MissingExtraError("lancedb", "search")
    assert "pip install '.[search]'" in str(error)
    assert error.name == "lancedb"


def test_a_message_has_no_terminal_commands():
    assert str(errors.ModelError("no \x1b[2J/config.json\nin \udcff")) == "no \\x1b[2J/config.json\nin \\udcff"


def test_a_long_message_keeps_its_beginning_and_its_end():
    error = errors.OptionError(f"the name {'a' * 10_000} is too long. Choose another.")
    assert str(error).startswith("the name aaa")
    assert str(error).endswith("aaa is too long. Choose another.")
    assert len(str(error)) < 2000
    assert str(copy.copy(error)) == str(error)


def test_control_characters_and_odd_bytes_are_escaped():
    assert printable("añ 漢.txt") == "añ 漢.txt"
    assert printable("a\x1b[31m\n\udcff.txt") == "a\\x1b[31m\\n\\udcff.txt"
    assert printable(Path("a\tb")) == "a\\tb"


def test_characters_to_keep_are_kept():
    family = JOINER.join("👩👧")
    assert printable(f"{family}\n\x07", keep=f"\n{JOINER}") == f"{family}\n\\x07"


@given(st.text())
def test_no_control_character_is_left(text):
    assert printable(text).isprintable()
    assert printable(printable(text)) == printable(text)
