"""A server in a thread, for tests that send it HTTP requests."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import httpx
import pytest

from pellucid import Embedder
from pellucid.server.http.app import create_app
from pellucid.server.http.serving import Serving
from pellucid.server.http.stopping import Server
from pellucid.server.settings import Settings
from tests import multi_vector_models, tiny
from tests.server.process import Process


@dataclass(frozen=True)
class Running:
    """A running server, and a client for it."""

    url: str
    client: httpx.Client
    serving: Serving


@contextmanager
def running(settings: Settings) -> Iterator[Running]:
    app, serving = create_app(settings)
    server = Server(app, serving)
    server.config.port = 0
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        while not server.started:
            assert thread.is_alive(), "the server did not start"
            time.sleep(0.005)
        port = server.servers[0].sockets[0].getsockname()[1]
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60) as client:
            yield Running(str(client.base_url), client, serving)
    finally:
        server.should_exit = True
        thread.join(60)
        assert not thread.is_alive()


def wait_until(condition):
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline, "the condition was not met within a minute"
        time.sleep(0.005)


@contextmanager
def connected(server: Running | Process, sent: bytes) -> Iterator[socket.socket]:
    """Connect, send these bytes, and yield the connection. It is closed at the end of the block, answered or not."""
    with socket.create_connection(("127.0.0.1", int(server.url.rpartition(":")[2]))) as connection:
        connection.settimeout(60)
        connection.sendall(sent)
        yield connection


def read_to_end(connection: socket.socket) -> bytes:
    """Read until the server closes the connection."""
    return b"".join(iter(lambda: connection.recv(1 << 16), b""))


def http_request(path: str, body: object) -> bytes:
    """The bytes of a complete request."""
    content = json.dumps(body).encode()
    head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    return head.encode() + b"Content-Length: %d\r\n\r\n" % len(content) + content


@pytest.fixture(scope="session")
def model(tmp_path_factory) -> str:
    return str(tiny.write_model(tmp_path_factory.mktemp("served") / "tiny", prompts={"query": "the cat "}))


@pytest.fixture(scope="session")
def embedder(model) -> Embedder:
    return Embedder(model, on_truncation="ignore")


@pytest.fixture(scope="session")
def reranker_model(tmp_path_factory) -> str:
    """Its files say that scores are the logits themselves."""
    folder = tmp_path_factory.mktemp("served") / "reranker"
    activation = "torch.nn.modules.linear.Identity"
    return str(tiny.write_scoring_model(folder, sbert_ce_default_activation_function=activation))


@pytest.fixture(scope="session")
def classifier_model(tmp_path_factory) -> str:
    return str(tiny.write_scoring_model(tmp_path_factory.mktemp("served") / "classifier", labels=3, seed=2))


@pytest.fixture(scope="session")
def sparse_model(tmp_path_factory) -> str:
    folder = tmp_path_factory.mktemp("served") / "splade"
    return str(tiny.write_splade_model(folder, prompts={"query": "the cat "}))


@pytest.fixture(scope="session")
def inference_free_model(tmp_path_factory) -> str:
    """Its queries are read by a table of weights."""
    return str(tiny.write_inference_free_model(tmp_path_factory.mktemp("served") / "inference-free"))


@pytest.fixture(scope="session")
def asymmetric_model(tmp_path_factory) -> str:
    """It has an encoder for queries and another for documents."""
    return str(tiny.write_asymmetric_model(tmp_path_factory.mktemp("served") / "asymmetric"))


@pytest.fixture(scope="session")
def multi_vector_model(tmp_path_factory) -> str:
    """Its queries are filled up to 12 tokens, and punctuation in its documents has no vector."""
    folder = tmp_path_factory.mktemp("served") / "colbert"
    prompts = {"query": "the cat ", "document": "a "}
    lengths = {"query_length": 12, "document_length": 28}
    return str(multi_vector_models.write_model(folder, expansion=multi_vector_models.FIXED, prompts=prompts, **lengths))


@pytest.fixture(scope="package")
def vectors_server(model, sparse_model, multi_vector_model) -> Iterator[Running]:
    """A server of an embedder of each kind, with default settings. Tests share it, so they must not change it."""
    with running(Settings((model, sparse_model, multi_vector_model))) as found:
        yield found


@pytest.fixture(scope="package")
def sparse_server(sparse_model, model) -> Iterator[Running]:
    """A server of a sparse embedder and an embedder, with default settings. Tests share it and must not change it."""
    with running(Settings((sparse_model, model))) as found:
        yield found


@pytest.fixture(scope="package")
def scoring_server(model, reranker_model, classifier_model) -> Iterator[Running]:
    """A server of a model of each kind, with default settings. Tests share it, so they must not change it."""
    with running(Settings((model, reranker_model, classifier_model))) as found:
        yield found


@pytest.fixture(scope="package")
def server(model) -> Iterator[Running]:
    """A server of the tiny model with default settings. Tests share it, so they must not change it."""
    with running(Settings((model,))) as found:
        yield found


@pytest.fixture
def serve(model) -> Iterator[Callable[..., Running]]:
    """Starts servers for one test."""
    contexts = []

    def start(*models: str, **options) -> Running:
        context = running(Settings(models or (model,), **options))
        contexts.append(context)
        return context.__enter__()

    yield start
    for context in reversed(contexts):
        context.__exit__(None, None, None)
