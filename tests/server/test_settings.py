from __future__ import annotations

import pytest

from pellucid.errors import OptionError
from pellucid.server.settings import Settings, parse_aliases, parse_keys


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "::1", "localhost"])
def test_a_server_for_this_machine_needs_no_key(host):
    assert Settings(("m",), host=host).loopback


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.0.0.7", "example.org", ""])
def test_serving_other_machines_needs_a_key_or_public(host):
    with pytest.raises(OptionError, match="no API key"):
        Settings(("m",), host=host)
    assert Settings(("m",), host=host, keys=("a-long-key",)).keys
    assert not Settings(("m",), host=host, public=True).loopback


def test_a_server_without_a_model_is_refused():
    with pytest.raises(OptionError, match="at least one"):
        Settings(())


def test_aliases_are_pairs_of_a_name_and_a_model():
    assert parse_aliases(["a=org/m", " b = ./folder=1"]) == (("a", "org/m"), ("b", "./folder=1"))


@pytest.mark.parametrize("value", ["", "a", "=m", "a=", " = "])
def test_an_alias_without_a_name_or_a_model_is_refused(value):
    with pytest.raises(OptionError, match="form NAME=MODEL, as in text-embedding-3-small=all-MiniLM-L6-v2"):
        parse_aliases([value])


def test_keys_are_read_line_by_line():
    assert parse_keys("# mine\nfirst-key\n\n second-key , third-key\n", "f") == ("first-key", "second-key", "third-key")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "has no API key"),
        ("# only words\n", "has no"),
        ("short", "key 1 of f"),
        ("good-enough\nmit Löchern", "key 2"),
    ],
)
def test_invalid_keys_are_refused_and_not_quoted(text, words):
    with pytest.raises(OptionError, match=words) as caught:
        parse_keys(text, "f")
    assert "Löchern" not in str(caught.value)
    assert "short" not in str(caught.value)
