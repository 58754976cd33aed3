from __future__ import annotations

import pytest

from pellucid.server.http.page import home_page
from tests.explain.render.test_html import Elements


def test_the_page_comes_with_its_policy(server):
    answer = server.client.get("/")
    assert answer.text == home_page().content
    assert answer.headers["content-security-policy"] == home_page().policy


def test_the_page_of_the_api_loads_nothing_and_has_every_route(server):
    answer = server.client.get("/docs")
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    for _, attributes, _ in Elements(answer.text).found:
        assert all(attributes.get(name, "#").startswith(("#", "data:", "openapi.json")) for name in ("href", "src"))
    for path in server.client.get("/openapi.json").json()["paths"]:
        assert f"{path}</code>" in answer.text


def test_the_page_of_the_api_shows_json_and_rendered_markdown(server):
    page = server.client.get("/docs").text
    assert "Default: <code>true</code>." in page
    assert "Default: <code>&quot;float&quot;</code>." in page
    assert "<code>inputs.source_sentence</code>" in page
    for raw in ("`", "``", "True", "False", "None", ":class:", "**"):
        assert raw not in page.partition("<main>")[2], raw


def test_examples_call_the_server_by_the_name_that_the_client_used(serve):
    def example(client, **headers):
        paths = client.get("/openapi.json", headers=headers).json()["paths"]
        return paths["/v1/models/{name}"]["get"]["x-codeSamples"][0]["source"]

    local, public = serve().client, serve(public=True, host="0.0.0.0", keys=("a-key-of-mine",)).client
    assert example(local, host="localhost:81") == "curl http://localhost:81/v1/models/tiny"
    key = 'curl -H "Authorization: Bearer $KEY"'
    assert example(public, host="vectors.example") == f"{key} http://vectors.example/v1/models/tiny"
    tls = {"host": "vectors.example", "x-forwarded-proto": "https"}
    assert example(public, **tls) == f"{key} https://vectors.example/v1/models/tiny"
    assert example(public, host="a';touch${IFS}x;'") == f"{key} http://localhost:8080/v1/models/tiny"
    assert "set the variable <code>KEY</code>" in public.get("/docs").text
    assert "a-key-of-mine" not in public.get("/docs").text


def test_statistics_grow_with_each_request(server):
    before = server.client.get("/stats").json()["models"][0]
    server.client.post("/v1/embeddings", json={"input": ["the cat", "a dog"]})
    after = server.client.get("/stats").json()
    assert after["models"][0]["texts"] == before["texts"] + 2
    assert after["models"][0]["requests"] == before["requests"] + 1
    assert not after["needs_key"]
    assert 'pellucid_texts_total{model="tiny"}' in server.client.get("/metrics").text


def test_health_is_ready_until_the_server_stops(serve):
    own = serve()
    assert own.client.get("/health").json() == own.client.get("/ping").json() == {"status": "ready"}
    head = own.client.head("/health")
    assert (head.status_code, head.content) == (200, b"")
    own.serving.draining = True
    answer = own.client.get("/health")
    assert (answer.status_code, answer.json()) == (503, {"status": "stopping"})
    assert answer.headers["connection"] == "close"


@pytest.mark.parametrize(("method", "path", "status"), [("GET", "/nowhere", 404), ("GET", "/embed", 405)])
def test_an_unknown_route_says_where_to_look(server, method, path, status):
    answer = server.client.request(method, path)
    assert answer.status_code == status
    assert "GET /docs lists its routes" in answer.text
