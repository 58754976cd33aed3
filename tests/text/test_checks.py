from __future__ import annotations

import numpy as np
import pyarrow
import pytest

from pellucid.errors import TextError, TextTypeError
from pellucid.text.checks import as_iterator, as_list, check_texts, check_utf8


class Text(str):
    """A user's own subclass of str."""

    __slots__ = ()


@pytest.mark.parametrize("kind", [list, tuple, iter, np.array, lambda texts: (text for text in texts)])
def test_ordered_collections_are_accepted(kind):
    assert as_list(kind(["cat", "", "dog"])) == ["cat", "", "dog"]
    assert list(as_iterator(kind(["cat", "", "dog"]))) == ["cat", "", "dog"]


@pytest.mark.parametrize("texts", ["cat", b"cat", bytearray(b"cat"), {"cat": 1}, {"cat"}, None, 3, np.array("cat")])
@pytest.mark.parametrize("take", [as_list, as_iterator])
def test_other_collections_are_refused(take, texts):
    with pytest.raises(TextTypeError, match=r"^texts (is of type|cannot be iterated over)"):
        take(texts)


def test_a_single_text_gets_a_hint():
    with pytest.raises(TextTypeError, match="For one text, use embed_query"):
        as_list("cat")


def test_an_error_in_a_generator_stays_as_it_is():
    def texts():
        yield "cat"
        raise TypeError("of the generator")

    with pytest.raises(TypeError, match="of the generator") as raised:
        as_list(texts())
    assert raised.type is TypeError


def test_subclasses_of_str_are_texts():
    check_texts([Text("cat"), np.str_("dog"), ""])


@pytest.mark.parametrize("value", [None, 3, 1.5, float("nan"), b"cat", ["cat"], np.array("cat")])
def test_a_value_that_is_not_a_text_is_named_by_position_and_type(value):
    with pytest.raises(TextTypeError, match=rf"^text 12 is of type {type(value).__name__};"):
        check_texts(["cat", "dog", value], first=10)


def test_half_a_character_is_an_error_that_does_not_quote_the_text():
    with pytest.raises(TextError, match=r"^the title has a lone surrogate .*U\+DC80\) at character 7") as raised:
        check_utf8("secret \udc80", "the title")
    assert "secret" not in str(raised.value)


def table_of(module, name):
    return type(name, (), {"__module__": module, "__iter__": lambda _: iter(["text", "id"])})()


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("pandas.core.frame", "DataFrame"),
        ("pandas", "DataFrame"),
        ("polars.dataframe.frame", "DataFrame"),
        ("polars.lazyframe.frame", "LazyFrame"),
    ],
)
def test_a_table_is_refused_because_iterating_gives_its_columns(module, name):
    frame = table_of(module, name)
    for value in (frame, type("Sub", (type(frame),), {})()):
        with pytest.raises(TextTypeError, match=r'a table; .* Pass a column, such as df\["text"\]'):
            as_list(value)
    assert as_list(table_of("pandas.core.series", "Series")) == ["text", "id"]
    assert as_list(table_of("mine", "DataFrame")) == ["text", "id"]


def test_arrow_tables_are_refused_too():
    table = pyarrow.table({"text": ["the cat"]})
    for value in (table, table.to_batches()[0], table.to_reader()):
        with pytest.raises(TextTypeError, match="a table"):
            as_list(value)
