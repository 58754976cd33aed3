"""How the messages read in whole commands is in test_commands.py."""

from __future__ import annotations

import pytest

from pellucid.cli.usage_errors import as_typed
from pellucid.errors import OptionError, TruncationError, UnreadableFileError
from tests.cli.command import run


@pytest.mark.parametrize(
    ("message", "option", "typed"),
    [
        ("truncate_dim=0 must be a whole number.", "truncate_dim", "--truncate-dim 0 must be a whole number."),
        ("k=0 must be at least 1", "k", "-k 0 must be at least 1"),
        (
            "dtype='int8' is not supported by engine='auto'",
            "dtype",
            "--dtype int8 is not supported by engine='auto'",
        ),
        ("min_k=3 and mask=1 and a k = 3 stay", "k", "min_k=3 and mask=1 and a k = 3 stay"),
    ],
)
def test_options_are_named_as_they_are_typed(message, option, typed):
    assert as_typed(OptionError(message, option)) == typed


def test_a_text_that_is_too_long_can_be_cut_with_an_option_as_it_is_typed():
    assert as_typed(TruncationError("pass on_truncation='cut' to cut them")) == "pass --on-truncation cut to cut them"


@pytest.mark.parametrize("kind", [OptionError, UnreadableFileError])
def test_the_name_of_a_file_is_no_option(kind):
    assert as_typed(kind("k=1.csv cannot be read")) == "k=1.csv cannot be read"


@pytest.mark.parametrize("path", ["k=1.csv", "threshold=0.5/x.csv"])
def test_a_file_whose_name_looks_like_an_option_keeps_its_name(path):
    assert run("similar", "hello", path).err == f"pellucid: there is no file {path}.\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["cluster", "-k", "0"], "-k 0 must be"),
        (["dedupe", "--threshold", "2"], "--threshold 2.0 must be"),
        (["embed", "x", "--threads", "0"], "--threads 0 must be"),
        (["embed", "x", "--revision", "a/.."], "--revision a/.. must be"),
        (["embed", "x", "--truncate-dim", "0"], "--truncate-dim 0 must be"),
        (["embed", "x", "--truncate-dim", "99"], "--truncate-dim 99 must be"),
    ],
)
def test_every_wrong_value_is_shown_with_its_option(tiny_bert, arguments, message):
    result = run(*arguments, "--model", str(tiny_bert), stdin=b"x")
    assert (result.code, result.err.startswith(f"pellucid: {message}")) == (2, True), result.err
