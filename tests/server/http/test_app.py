"""The API does what its description says. Schemathesis sends requests that the description allows, and others."""

from __future__ import annotations

import os

import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis.generation import GenerationMode
from schemathesis.specs.openapi.checks import positive_data_acceptance

from pellucid.server.settings import Limits

EXAMPLES = int(os.environ.get("PELLUCID_EXAMPLES", "8"))
FEW = settings(max_examples=EXAMPLES, database=None, suppress_health_check=list(HealthCheck))


def test_the_server_does_what_its_description_says(serve, model, sparse_model, multi_vector_model):
    """No response is a 5xx. Every status, content type and shape is described, and no wrong body is accepted."""
    limits = Limits(characters=200, texts=8, map_texts=8)  # Small requests already exceed these limits.
    server = serve(model, sparse_model, multi_vector_model, limits=limits)
    schema = schemathesis.openapi.from_url(f"{server.url}/openapi.json")
    request_count = 0

    def check(case):
        nonlocal request_count
        request_count += 1
        # A body that the JSON Schema allows may still be wrong, for example with a prompt that the model does not have.
        response = case.call_and_validate(timeout=60, excluded_checks=[positive_data_acceptance])
        assert response.status_code < 500

    for found in schema.get_all_operations():
        operation = found.ok()
        for mode in GenerationMode.POSITIVE, GenerationMode.NEGATIVE:
            if operation.body or mode is GenerationMode.POSITIVE:
                FEW(given(case=operation.as_strategy(generation_mode=mode))(check))()
    assert request_count > 100
    assert server.client.post("/v1/embeddings", json={"input": "a"}).status_code == 200


def test_every_operation_is_described(server):
    for path, methods in server.client.get("/openapi.json").json()["paths"].items():
        for method, operation in methods.items():
            assert operation["summary"]
            assert operation["description"]
            assert "responses" in operation
            assert ("requestBody" in operation) == (method == "post"), path


def test_the_description_has_the_limits_of_this_server(serve):
    limits = Limits(characters=200, texts=8, map_texts=7)
    paths = serve(limits=limits).client.get("/openapi.json").json()["paths"]

    def key(path, name):
        content = paths[path]["post"]["requestBody"]["content"]
        return content["application/json"]["schema"]["properties"][name]

    text, texts, ids, many = key("/v1/embeddings", "input")["anyOf"]
    assert text["maxLength"] == texts["items"]["maxLength"] == 200
    assert (texts["maxItems"], ids["maxItems"], many["maxItems"], many["items"]["maxItems"]) == (8, 200, 8, 200)
    assert key("/view/map", "inputs")["maxItems"] == 7
    assert key("/similarity", "inputs")["properties"]["sentences"]["maxItems"] == 8
