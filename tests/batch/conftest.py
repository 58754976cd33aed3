from __future__ import annotations

import pyarrow as pa
import pyarrow.dataset
import pyarrow.parquet as pq
import pytest

from pellucid import Embedder
from tests import tiny
from tests.batch.jobs import sentences


@pytest.fixture(scope="module")
def embedder(tmp_path_factory):
    return Embedder(tiny.write_model(tmp_path_factory.mktemp("models") / "m"), on_truncation="ignore")


@pytest.fixture
def table(tmp_path):
    texts = sentences(100)
    path = tmp_path / "in.parquet"
    pq.write_table(
        pa.table({"id": range(100), "text": texts, "more": [[n] for n in range(100)]}), path, row_group_size=30
    )
    return path
