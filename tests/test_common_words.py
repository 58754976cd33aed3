from __future__ import annotations

import pytest

from pellucid.common_words import is_common


@pytest.mark.parametrize(
    ("word", "expected"), [("the", True), ("The", True), ("don’t", True), ("don't", True), ("cat", False), ("", False)]
)
def test_common_words_are_told_in_any_spelling(word, expected):
    assert is_common(word) == expected
