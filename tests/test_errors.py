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
    drawn_parents: dict[str, str] = {}
    ancestors = [""] * 9
    for line in (errors.__doc__ or "").splitlines():
        stem = line.removeprefix("    ")
        name = stem.lstrip("│├└─ ").split(" ")[0]
        if name in CLASSES:
            depth = (len(stem) - len(stem.lstrip("│├└─ "))) // 4
            ancestors[depth] = name
            drawn_parents[name] = ancestors[depth - 1] if depth else ""
    bases = {cls: [base.__name__ for base in cls.__bases__ if base.__name__ in CLASSES] for cls in CLASSES.values()}
    assert drawn_parents == {name: "".join(bases[cls][:1]) for name, cls in CLASSES.items()}


@pytest.mark.parametrize(
    ("error", "python_error"),
    [(errors.InputError, ValueError), (errors.TextTypeError, TypeError), (errors.MissingExtraError, ImportError)],
)
def test_some_errors_are_also_errors_of_python(error, python_error):
    assert issubclass(error, python_error)


def test_the_error_about_a_missing_extra_has_the_command_to_run():
    error = errors.MissingExtraError("lancedb", "search")
    assert "pip install '.[search]'" in str(error)
    assert error.name == "lancedb"


def test_control_characters_in_a_message_are_escaped():
    assert str(errors.ModelError("no \x1b[2J/config.json\nin \udcff")) == "no \\x1b[2J/config.json\nin \\udcff"


def test_a_long_message_keeps_its_beginning_and_its_end():
    error = errors.OptionError(f"the name {'a' * 10_000} is too long. Choose another.")
    assert str(error).startswith("the name aaa")
    assert str(error).endswith("aaa is too long. Choose another.")
    assert len(str(error)) < 2000
    assert str(copy.copy(error)) == str(error)


def test_printable_escapes_control_characters_and_invalid_bytes():
    assert printable("añ 漢.txt") == "añ 漢.txt"
    assert printable("a\x1b[31m\n\udcff.txt") == "a\\x1b[31m\\n\\udcff.txt"
    assert printable(Path("a\tb")) == "a\\tb"


def test_printable_leaves_the_characters_to_keep():
    family = JOINER.join("👩👧")
    assert printable(f"{family}\n\x07", keep=f"\n{JOINER}") == f"{family}\n\\x07"


@given(st.text())
def test_no_control_character_is_left(text):
    assert printable(text).isprintable()
    assert printable(printable(text)) == printable(text)
