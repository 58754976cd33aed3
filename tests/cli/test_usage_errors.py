"""How the messages read in whole commands is in test_commands.py."""

from __future__ import annotations

import pytest

from pellucid.cli.usage_errors import as_typed


@pytest.mark.parametrize(
    ("message", "typed"),
    [
        ("truncate_dim=0 must be a whole number.", "--truncate-dim 0 must be a whole number."),
        ("k=0 must be at least 1", "-k 0 must be at least 1"),
        ("dtype='int8' is not supported by engine='auto'", "--dtype int8 is not supported by engine='auto'"),
        ("pass on_truncation='cut' to cut them", "pass --on-truncation cut to cut them"),
        ("min_k=3 and mask=1 and a k = 3 stay", "min_k=3 and mask=1 and a k = 3 stay"),
    ],
)
def test_options_are_named_as_they_are_typed(message, typed):
    assert as_typed(message) == typed
