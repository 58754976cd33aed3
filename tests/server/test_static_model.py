"""A static model behind every kind of route."""

from __future__ import annotations

import numpy as np
import pytest

from pellucid import Embedder
from pellucid.server.settings import Settings
from tests.server.conftest import running
from tests.static_models import write_static

TEXTS = ["the cat sat on the mat", "a dog"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_static(tmp_path_factory.mktemp("served") / "static")


@pytest.fixture(scope="module")
def server(folder):
    with running(Settings((str(folder),))) as found:
        yield found


def test_vectors_are_those_of_the_library(folder, server):
    body = server.client.post("/v1/embeddings", json={"input": TEXTS}).json()
    vectors = np.array([item["embedding"] for item in body["data"]], dtype=np.float32)
    np.testing.assert_array_equal(vectors, Embedder(folder).embed_documents(TEXTS))


def test_a_long_text_is_read_to_its_end(folder, server):
    text = "the cat " * 5000
    answer = server.client.post("/embed", json={"inputs": text})
    np.testing.assert_array_equal(np.array(answer.json()[0], dtype=np.float32), Embedder(folder).embed_query(text))


def test_its_facts_can_be_asked_for(server):
    assert server.client.get("/info").json()["max_input_length"] > 1_000_000


def test_it_can_be_explained(server):
    trace = server.client.post("/trace", json={"input": "the cat"}).json()
    assert [stage["name"] for stage in trace["stages"]][2:4] == ["embedding", "pooling"]
    assert len(trace["shares"]) == 2
    assert server.client.post("/compare", json={"inputs": ["the cat", "a dog"]}).status_code == 200
    assert server.client.post("/view/trace", json={"input": "the cat"}).json()["attention"] is None
