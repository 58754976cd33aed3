from __future__ import annotations

import logging

import numpy as np
import pytest

from pellucid.errors import OptionError
from pellucid.sentence_transformers import arguments
from pellucid.sentence_transformers.arguments import (
    check_values,
    choose_dtype,
    is_single,
    merge_prompts,
    takes_older_arguments,
)


class Example:
    @takes_older_arguments({"old": "new", "ancient": "new"}, positional=("one", "two"), dropped=("gone",))
    def method(self, first=None, *, one=1, two=2, new=3):
        return first, one, two, new


@pytest.fixture(autouse=True)
def _nothing_was_said_yet():
    arguments.warn_once.cache_clear()


@pytest.mark.parametrize(
    ("given", "options", "result", "messages"),
    [
        ((), {}, (None, 1, 2, 3), []),
        (("x",), {"new": 9}, ("x", 1, 2, 9), []),
        (("x",), {"old": 9}, ("x", 1, 2, 9), ["old is the older name of new. Write new=…."]),
        (("x",), {"ancient": 8, "new": 9}, ("x", 1, 2, 9), ["ancient is the older name of new. Write new=…."]),
        (("x", 5), {}, ("x", 5, 2, 3), ["one is the name of an argument now: write one=…."]),
        (("x",), {"gone": 5}, ("x", 1, 2, 3), ["gone has no effect."]),
    ],
)
def test_older_arguments_work_and_are_logged_once(caplog, given, options, result, messages):
    with caplog.at_level(logging.WARNING, "pellucid"):
        assert Example().method(*given, **options) == result
        assert Example().method(*given, **options) == result
    assert [record.getMessage() for record in caplog.records] == messages


def test_an_unknown_argument_is_an_error():
    with pytest.raises(TypeError, match=r"^Example.method has no option 'newer'. Did you mean new\?$"):
        Example().method(newer=1)
    with pytest.raises(TypeError, match="positional"):
        Example().method(1, 2, 3, 4)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"tune": 1}, "kw: 'tune' is not supported. Did you mean 'tuned'. Supported: fast, tuned"),
        ({"fast": 1}, "kw: fast=1 is not supported, only True"),
        (3, "kw is of type int; it must be a dict"),
    ],
)
def test_a_key_or_a_value_that_is_not_supported_is_named(values, message):
    check_values("kw", {"tuned": object(), "fast": True}, {"tuned": (), "fast": (True,)})
    check_values("kw", None, {})
    with pytest.raises(OptionError, match=message):
        check_values("kw", values, {"tuned": (), "fast": (True,)})


@pytest.mark.parametrize(
    ("dtype", "model_kwargs", "chosen"),
    [
        (None, {}, "float32"),
        ("int8", {}, "int8"),
        (None, {"torch_dtype": "auto"}, "float32"),
        (None, {"dtype": "torch.float16"}, "float16"),
        ("int16", {"dtype": "float32"}, "int16"),
    ],
)
def test_the_dtype_is_ours_or_pytorchs(dtype, model_kwargs, chosen):
    assert choose_dtype(dtype, model_kwargs) == chosen


def test_an_unknown_dtype_is_refused():
    with pytest.raises(OptionError, match=r"dtype='int4' is not supported.* Use dtype= for int16 and int8"):
        choose_dtype(None, {"dtype": "int4"})


@pytest.mark.parametrize(
    ("own", "merged"),
    [
        (None, {"a": "saved"}),
        ({"a": "mine"}, {"a": "mine"}),
        ({"a": None, "b": None}, {"a": "saved", "b": ""}),
        ({"a": "", "b": "mine"}, {"a": "", "b": "mine"}),
    ],
)
def test_the_callers_prompts_come_first(own, merged):
    assert merge_prompts(own, {"a": "saved"}) == merged


@pytest.mark.parametrize("own", [["a"], {"a": 3}, "a"])
def test_prompts_that_are_no_texts_are_refused(own):
    with pytest.raises(OptionError, match="prompts must be a dict of texts"):
        merge_prompts(own, {})


@pytest.mark.parametrize(
    ("inputs", "single"),
    [
        ("a", True),
        (("a", "b"), True),
        (["a", "b"], True),
        (np.array(["a", "b"]), True),
        ([("a", "b")], False),
        ((["a", "b"],), False),
        (np.array([["a", "b"]]), False),
        ([], False),
        ((), False),
        (np.array([]), False),
    ],
)
def test_one_pair_is_told_from_a_list_of_them(inputs, single):
    assert is_single(inputs) is single
