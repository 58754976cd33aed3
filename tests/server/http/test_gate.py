from __future__ import annotations

import gzip
import json
import logging
import re

import pytest

from pellucid.server.http.gate import JsonLines
from tests.server.conftest import until

KEY = "a-key-of-somebody"


def test_with_keys_only_what_says_nothing_is_open(serve):
    client = serve(keys=(KEY, "another-key")).client
    for path in ("/", "/health", "/docs", "/openapi.json"):
        assert client.get(path).status_code == 200
    for method, path in (("GET", "/stats"), ("GET", "/metrics"), ("GET", "/v1/models"), ("POST", "/"), ("GET", "/x")):
        answer = client.request(method, path, json={})
        assert answer.status_code == 401
        assert answer.headers["www-authenticate"] == "Bearer"


@pytest.mark.parametrize("given", ["", KEY, f"Basic {KEY}", "Bearer", f"Bearer {KEY}x", f"Bearer {KEY[:-1]}"])
def test_a_wrong_key_is_a_401_in_openais_shape(serve, given):
    answer = serve(keys=(KEY,)).client.post("/v1/embeddings", json={"input": "a"}, headers={"authorization": given})
    assert answer.status_code == 401
    assert answer.json()["error"]["code"] == "invalid_api_key"


@pytest.mark.parametrize("given", [f"Bearer {KEY}", f"bearer  {KEY}"])
def test_a_right_key_lets_in(serve, given):
    client = serve(keys=("another-key", KEY)).client
    assert client.post("/v1/embeddings", json={"input": "a"}, headers={"authorization": given}).status_code == 200


def test_pages_of_other_sites_cannot_ask_under_their_own_name(server):
    answer = server.client.get("/stats", headers={"host": "evil.example"})
    assert answer.status_code == 403
    assert server.client.get("/stats", headers={"host": "localhost:8080"}).status_code == 200
    assert server.client.get("/stats", headers={"host": "[::1]"}).status_code == 200


def test_only_json_is_read(server):
    answer = server.client.post("/v1/embeddings", content=b'{"input": "a"}', headers={"content-type": "text/plain"})
    assert answer.status_code == 415
    assert "application/json" in answer.json()["error"]["message"]


def test_a_compressed_body_says_so(server):
    headers = {"content-type": "application/json", "content-encoding": "gzip"}
    answer = server.client.post("/v1/embeddings", content=gzip.compress(b'{"input": "a"}'), headers=headers)
    assert answer.status_code == 415
    assert "without Content-Encoding" in answer.json()["error"]["message"]


def test_too_large_a_body_is_refused_whether_it_says_so_or_not(serve):
    from pellucid.server.settings import Limits

    client = serve(limits=Limits(body_bytes=1000)).client
    assert client.post("/v1/embeddings", json={"input": "a" * 2000}).status_code == 413
    parts = iter([b'{"input": "', *[b"a" * 100] * 20, b'"}'])
    answer = client.post("/v1/embeddings", content=parts, headers={"content-type": "application/json"})
    assert answer.status_code == 413
    assert answer.json()["error"]["code"] == "too_large"


def test_request_ids_come_back_or_are_made(server):
    assert server.client.get("/health", headers={"x-request-id": "mine-1"}).headers["x-request-id"] == "mine-1"
    made = server.client.get("/health", headers={"x-request-id": "not good"}).headers["x-request-id"]
    assert re.fullmatch(r"[0-9a-f]{32}", made)


def test_other_sites_may_ask_only_if_told(serve, server):
    headers = {"origin": "https://friend.example", "access-control-request-method": "POST"}
    assert "access-control-allow-origin" not in server.client.options("/v1/embeddings", headers=headers).headers
    own = serve(origins=("https://friend.example",), keys=(KEY,)).client
    allowed = own.options("/v1/embeddings", headers=headers)
    assert allowed.headers["access-control-allow-origin"] == "https://friend.example"
    refused = own.post("/v1/embeddings", json={}, headers={"origin": "https://friend.example"})
    assert (refused.status_code, "access-control-allow-origin" in refused.headers) == (401, True)


def answered(caplog):
    return [record for record in caplog.records if record.getMessage() == "answered"]


def test_the_log_has_no_texts(server, caplog):
    with caplog.at_level(logging.INFO, "pellucid.server"):
        server.client.post("/v1/embeddings?q=secretquery", json={"input": "secret " * 300})
        server.client.post("/v1/embeddings", json={"inputs": "secret"})
        server.client.post("/v1/embeddings", content=b'{"input": "secret', headers={"content-type": "application/json"})
        until(lambda: len(answered(caplog)) == 3)
    lines = [JsonLines().format(record) for record in answered(caplog)]
    assert all("secret" not in line for line in lines)
    told = json.loads(lines[0])
    assert (told["event"], told["method"], told["path"], told["status"]) == ("answered", "POST", "/v1/embeddings", 400)


def test_a_failure_of_ours_is_a_500_without_particulars(serve, monkeypatch, caplog):
    own = serve()
    service = next(own.serving.models.states()).service
    monkeypatch.setattr(service, "tokenize", None)
    answer = own.client.post("/v1/embeddings", json={"input": "a"})
    assert answer.status_code == 500
    assert answer.json()["error"]["message"] == "The server failed; the fault is its own. Its log has more."
    until(lambda: any(record.exc_info for record in caplog.records))
