"""Columns of pandas and polars, wherever a list of texts is accepted."""

from __future__ import annotations

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from pellucid import Reranker
from pellucid.errors import TextTypeError
from pellucid.text.checks import as_list
from tests.integrations import TEXTS

COLUMNS = {
    "pandas": pd.Series,
    "pandas object": lambda texts: pd.Series(texts, dtype=object),
    "pandas string": lambda texts: pd.Series(texts, dtype="string"),
    "pandas Arrow": lambda texts: pd.Series(texts, dtype=pd.ArrowDtype(pa.string())),
    "pandas category": lambda texts: pd.Series(texts, dtype="category"),
    "pandas with labels": lambda texts: pd.Series(texts, index=range(7, 7 - len(texts), -1)),
    "pandas index": pd.Index,
    "polars": pl.Series,
    "polars category": lambda texts: pl.Series(texts, dtype=pl.Categorical),
}


@pytest.fixture(params=COLUMNS.values(), ids=COLUMNS)
def column(request):
    """The texts as a column."""
    return request.param(TEXTS)


def test_a_column_is_a_list_of_texts(column):
    found = as_list(column)
    assert found == TEXTS
    assert {type(text) for text in found} == {str}


def test_tasks_take_a_column(column, embedder, reranker_folder):
    expected = embedder.embed_documents(TEXTS)
    np.testing.assert_array_equal(embedder.embed_documents(column), expected)
    np.testing.assert_array_equal(np.concatenate(list(embedder.embed_stream(column))), expected)
    np.testing.assert_array_equal(embedder.count_tokens(column), embedder.count_tokens(TEXTS))
    assert embedder.most_similar("a dog", column) == embedder.most_similar("a dog", TEXTS)
    reranker = Reranker(reranker_folder)
    np.testing.assert_array_equal(reranker.score("a cat", column), reranker.score("a cat", TEXTS))


@pytest.mark.parametrize("frame", [pd.DataFrame, pl.DataFrame, lambda data: pl.DataFrame(data).lazy()])
def test_a_table_is_refused(frame, embedder):
    table = frame({"text": TEXTS})
    with pytest.raises(TextTypeError, match=r'a table; .* Pass a column, such as df\["text"\]'):
        embedder.embed_documents(table)


@pytest.mark.parametrize(
    ("column", "kind"),
    [
        (pd.Series(["cat", None]), "float|NoneType"),
        (pd.Series(["cat", None], dtype="string"), "NAType"),
        (pl.Series(["cat", None]), "NoneType"),
    ],
    ids=["pandas", "pandas string", "polars"],
)
def test_a_missing_value_is_named_by_its_position(column, kind, embedder):
    with pytest.raises(TextTypeError, match=rf"^text 1 is of type ({kind}); .* Leave out entries without a text"):
        embedder.embed_documents(column)
