from __future__ import annotations

import math

import pytest

from pellucid.errors import InvalidModelError
from pellucid.model.config import Config, architectures, read_json
from pellucid.sources import local


def config(**values) -> Config:
    return Config("m: config.json", values)


def test_values_are_read_by_type():
    c = config(size=3, number=0.5, flag=True, string="s", strings={"a": "b"})
    assert (c.size("size"), c.number("number"), c.number("size"), c.flag("flag")) == (3, 0.5, 3.0, True)
    assert (c.string("string"), c.strings("strings"), c.strings("none")) == ("s", {"a": "b"}, {})


def test_a_number_too_large_for_a_float_is_infinite():
    assert [config(key=value).number("key") for value in (10**400, -(10**400))] == [math.inf, -math.inf]


def test_a_number_may_have_a_minimum():
    assert config(key=0).number("key", minimum=0) == 0
    with pytest.raises(InvalidModelError, match="'key' is -0.5, but must be a number of at least 0"):
        config(key=-0.5).number("key", minimum=0)


def test_a_missing_or_null_value_has_its_default():
    c = config(null=None)
    assert [c.integer(key, 7) for key in ("null", "none")] == [7, 7]


@pytest.mark.parametrize(
    ("read", "value", "message"),
    [
        ("size", None, r"m: config.json has no 'key', which must be a whole number"),
        ("size", 0, r"'key' is 0, but must be at least 1"),
        ("size", -5, r"must be at least 1"),
        ("size", 2.5, r"'key' is 2.5, but must be a whole number"),
        ("size", "12", r"'key' is '12', but must be a whole number"),
        ("size", True, r"'key' is True, but must be a whole number"),
        ("number", [1], r"must be a number"),
        ("number", float("nan"), r"'key' is nan, but must be a number of at least -inf"),
        ("flag", 1, r"must be true or false"),
        ("string", 1, r"must be a string"),
        ("strings", {"a": 1}, r"'key': the value of 'a' must be a string"),
    ],
)
def test_the_error_for_a_wrong_value_names_the_file_and_the_key(read, value, message):
    with pytest.raises(InvalidModelError, match=message):
        getattr(config(key=value), read)("key")


@pytest.mark.parametrize("value", [[], 3, "text", None])
def test_a_value_that_is_not_an_object_is_refused(value):
    with pytest.raises(InvalidModelError, match="m: config.json: expected a JSON object, but found"):
        Config("m: config.json", value)


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe", b"[" * 100_000])
def test_a_file_that_is_not_json_is_named(tmp_path, content):
    (tmp_path / "config.json").write_bytes(content)
    with pytest.raises(InvalidModelError, match="config.json cannot be read as JSON"):
        read_json(local.find(str(tmp_path)), "config.json")


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(InvalidModelError, match="no config.json in"):
        read_json(local.find(str(tmp_path)), "config.json")


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"architectures": ["BertModel", "BertForMaskedLM"]}, ["BertModel", "BertForMaskedLM"]),
        ({"architectures": [None, 1]}, ["None", "1"]),
        ({"architectures": "BertModel"}, []),
        ({"architectures": None}, []),
        ({}, []),
    ],
)
def test_the_architectures_that_a_config_names(values, expected):
    assert architectures(config(**values)) == expected
