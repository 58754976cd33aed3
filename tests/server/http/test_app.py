"""The description of the API holds: schemathesis asks everything that it allows, and much that it does not."""

from __future__ import annotations

import os

import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis.generation import GenerationMode
from schemathesis.specs.openapi.checks import positive_data_acceptance

from pellucid.server.settings import Limits

EXAMPLES = int(os.environ.get("PELLUCID_EXAMPLES", "15"))
FEW = settings(max_examples=EXAMPLES, database=None, suppress_health_check=list(HealthCheck))


def test_what_is_described_is_what_happens(serve):
    """No 5xx, no status or type that is not described, no answer of another shape, no wrong body that is taken."""
    server = serve(limits=Limits(characters=200, texts=8, map_texts=8))  # So low that what breaks them is small.
    schema = schemathesis.openapi.from_url(f"{server.url}/openapi.json")
    asked = 0

    def check(case):
        nonlocal asked
        asked += 1
        # What JSON Schema allows may be wrong all the same: a prompt that the model does not have.
        answer = case.call_and_validate(timeout=60, excluded_checks=[positive_data_acceptance])
        assert answer.status_code < 500

    for found in schema.get_all_operations():
        operation = found.ok()
        for mode in GenerationMode.POSITIVE, GenerationMode.NEGATIVE:
            if operation.body or mode is GenerationMode.POSITIVE:
                FEW(given(case=operation.as_strategy(generation_mode=mode))(check))()
    assert asked > 100
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
