from __future__ import annotations

import pytest

from pellucid.server.core.kinds import in_words
from pellucid.server.greeting import first_line, greeting
from pellucid.server.settings import Settings


def test_it_says_where_the_server_is_what_it_serves_and_how_to_call_and_stop_it():
    settings = Settings(("all-MiniLM-L6-v2", "org/other"), aliases=(("text-embedding-3-small", "all-MiniLM-L6-v2"),))
    kinds = {"sentence-transformers/all-MiniLM-L6-v2": "embedder", "org/other": None}
    assert greeting(settings, "http://127.0.0.1:8080", kinds).splitlines() == [
        "Pellucid serves all-MiniLM-L6-v2, org/other at http://127.0.0.1:8080",
        "",
        "  Page    http://127.0.0.1:8080/",
        "  API     http://127.0.0.1:8080/docs",
        "  Models  sentence-transformers/all-MiniLM-L6-v2 (embedder)",
        "          org/other",
        "          text-embedding-3-small = all-MiniLM-L6-v2",
        """  Try it  curl --json '{"input": "Hello"}' http://127.0.0.1:8080/v1/embeddings""",
        "  Stop    Ctrl-C",
    ]


@pytest.mark.parametrize(
    ("kind", "route"),
    [
        ("embedder", "/v1/embeddings"),
        ("sparse_embedder", "/embed_sparse"),
        ("multi_vector_embedder", "/embed_all"),
        ("reranker", "/v1/rerank"),
        ("classifier", "/predict"),
    ],
)
def test_the_command_to_try_suits_the_first_model(kind, route):
    kinds = {"first": kind, "second": "embedder"}
    text = greeting(Settings(("first", "second")), "http://127.0.0.1:8080", kinds)
    assert f"first ({in_words(kind)})" in text
    (command,) = (line for line in text.splitlines() if "Try it" in line)
    assert command.endswith(f"8080{route}")


def test_no_key_is_shown():
    text = greeting(Settings(("m",), keys=("a-secret-key",)), "http://127.0.0.1:8080", {"m": "embedder"})
    assert "a-secret-key" not in text
    assert """curl -H "Authorization: Bearer $KEY" --json""" in text


@pytest.mark.parametrize(
    ("url", "local"), [("http://0.0.0.0:80", "http://127.0.0.1:80"), ("http://[::]:80", "http://[::1]:80")]
)
def test_a_server_on_every_address_is_called_on_this_machine(url, local):
    text = greeting(Settings(("m",), public=True), url, {"m": None})
    assert f"at {url}\n" in text
    assert f"  Page    {local}/\n" in text


def test_control_characters_in_names_are_escaped():
    settings = Settings(("a\x1b[2J",), aliases=(("b\nc", "a\x1b[2J"),))
    assert first_line(settings, "http://h:1") == r"Pellucid serves a\x1b[2J at http://h:1"
    assert r"b\nc = a\x1b[2J" in greeting(settings, "http://h:1", {"a\x1b[2J": "embedder"})
