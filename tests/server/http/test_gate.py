from __future__ import annotations

import gzip
import json
import logging
import re

import pytest

from pellucid.server.logs import JsonFormatter
from tests.server.conftest import wait_until

KEY = "a-key-of-somebody"


def test_without_a_key_only_routes_that_reveal_nothing_answer(serve):
    client = serve(keys=(KEY, "another-key")).client
    for path in ("/", "/health", "/docs", "/openapi.json"):
        assert client.get(path).status_code == 200
    for method, path in (("GET", "/stats"), ("GET", "/metrics"), ("GET", "/v1/models"), ("POST", "/"), ("GET", "/x")):
        answer = client.request(method, path, json={})
        assert answer.status_code == 401
        assert answer.headers["www-authenticate"] == "Bearer"


@pytest.mark.parametrize("authorization", ["", KEY, f"Basic {KEY}", "Bearer", f"Bearer {KEY}x", f"Bearer {KEY[:-1]}"])
def test_a_wrong_key_gets_a_401_in_openais_shape(serve, authorization):
    answer = serve(keys=(KEY,)).client.post(
        "/v1/embeddings", json={"input": "a"}, headers={"authorization": authorization}
    )
    assert answer.status_code == 401
    assert answer.json()["error"]["code"] == "invalid_api_key"


@pytest.mark.parametrize("sent", [KEY, f"{KEY}x", ""])
def test_a_key_may_be_sent_as_to_azure(serve, sent):
    client = serve(keys=(KEY,)).client
    answer = client.post("/v1/embeddings", json={"input": "a"}, headers={"api-key": sent})
    assert answer.status_code == (200 if sent == KEY else 401)


@pytest.mark.parametrize("authorization", [f"Bearer {KEY}", f"bearer  {KEY}"])
def test_a_valid_key_is_accepted(serve, authorization):
    client = serve(keys=("another-key", KEY)).client
    assert (
        client.post("/v1/embeddings", json={"input": "a"}, headers={"authorization": authorization}).status_code == 200
    )


def test_pages_of_other_sites_cannot_reach_the_server_under_their_own_name(server):
    answer = server.client.get("/stats", headers={"host": "evil.example"})
    assert answer.status_code == 403
    assert server.client.get("/stats", headers={"host": "localhost:8080"}).status_code == 200
    assert server.client.get("/stats", headers={"host": "[::1]"}).status_code == 200


def test_only_json_is_accepted(server):
    answer = server.client.post("/v1/embeddings", content=b'{"input": "a"}', headers={"content-type": "text/plain"})
    assert answer.status_code == 415
    assert "application/json" in answer.json()["error"]["message"]


def test_a_compressed_body_is_refused(server):
    headers = {"content-type": "application/json", "content-encoding": "gzip"}
    answer = server.client.post("/v1/embeddings", content=gzip.compress(b'{"input": "a"}'), headers=headers)
    assert answer.status_code == 415
    assert "without Content-Encoding" in answer.json()["error"]["message"]


def test_a_body_that_is_too_large_is_refused_with_or_without_a_length(serve):
    from pellucid.server.settings import Limits

    client = serve(limits=Limits(body_bytes=1000)).client
    assert client.post("/v1/embeddings", json={"input": "a" * 2000}).status_code == 413
    parts = iter([b'{"input": "', *[b"a" * 100] * 20, b'"}'])
    answer = client.post("/v1/embeddings", content=parts, headers={"content-type": "application/json"})
    assert answer.status_code == 413
    assert answer.json()["error"]["code"] == "too_large"


def test_request_ids_are_returned_or_made(server):
    assert server.client.get("/health", headers={"x-request-id": "mine-1"}).headers["x-request-id"] == "mine-1"
    made = server.client.get("/health", headers={"x-request-id": "not good"}).headers["x-request-id"]
    assert re.fullmatch(r"[0-9a-f]{32}", made)


def test_only_listed_sites_may_send_requests(serve, server):
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
        wait_until(lambda: len(answered(caplog)) == 3)
    lines = [JsonFormatter().format(record) for record in answered(caplog)]
    assert all("secret" not in line for line in lines)
    line = json.loads(lines[0])
    assert (line["event"], line["method"], line["path"], line["status"]) == ("answered", "POST", "/v1/embeddings", 400)


def test_the_log_has_failures_but_no_routine_of_what_the_page_and_monitors_poll(serve, caplog):
    own = serve(keys=(KEY,))
    with caplog.at_level(logging.INFO, "pellucid.server"):
        for path in ("/health", "/stats", "/metrics"):
            assert own.client.get(path, headers={"authorization": f"Bearer {KEY}"}).status_code == 200
        assert own.client.get("/stats").status_code == 401
        wait_until(lambda: answered(caplog))
    assert [(record.path, record.status) for record in answered(caplog)] == [("/stats", 401)]


def test_an_unexpected_error_gives_a_500_without_details(serve, monkeypatch, caplog):
    own = serve()
    service = next(own.serving.models.states()).service
    monkeypatch.setattr(service, "tokenize", None)
    answer = own.client.post("/v1/embeddings", json={"input": "a"})
    assert answer.status_code == 500
    assert answer.json()["error"]["message"] == "The server failed. This is its own fault; its log says more."
    wait_until(lambda: any(record.exc_info for record in caplog.records))
