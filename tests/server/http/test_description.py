"""Each example of the API's description works when it is pasted into a shell, with the default model."""

from __future__ import annotations

import json
import shlex
import shutil
import subprocess

import pytest

from pellucid.server.http.description import EXAMPLES
from pellucid.server.settings import Settings
from tests.server.conftest import running

KEY = "a-key-of-somebody"


@pytest.fixture(scope="module")
def served(minilm, reranker_model, sparse_model, multi_vector_model):
    models = ("all-MiniLM-L6-v2", reranker_model, sparse_model, multi_vector_model)
    with running(Settings(models, keys=(KEY,))) as found:
        yield found


def operations(client):
    for path, methods in client.get("/openapi.json").json()["paths"].items():
        for method, operation in methods.items():
            yield method, path, operation


def send(client, command):
    """Send what a curl command would send."""
    program, *arguments = shlex.split(command.replace("$KEY", KEY))
    assert program == "curl"
    headers, content = {}, None
    while len(arguments) > 1:
        option, value, *arguments = arguments
        if option == "-H":
            headers |= dict([value.split(": ", 1)])
        elif option == "--json":
            content = value
            headers |= {"content-type": "application/json", "accept": "application/json"}
        else:
            pytest.fail(f"curl {option} is unknown here")
    return client.request("POST" if content else "GET", arguments[0], content=content, headers=headers)


def test_each_route_has_an_example_that_works(served):
    statuses = {
        f"{method} {path} {number}": send(served.client, example["source"]).status_code
        for method, path, operation in operations(served.client)
        for number, example in enumerate(operation[EXAMPLES])
    }
    assert len(statuses) > 15
    assert set(statuses.values()) == {200}, statuses


def test_examples_have_the_body_that_the_route_describes(served):
    for method, path, operation in operations(served.client):
        if method == "post":
            schema = operation["requestBody"]["content"]["application/json"]["schema"]
            sent = [shlex.split(example["source"]) for example in operation[EXAMPLES]]
            assert [json.loads(each[each.index("--json") + 1]) for each in sent] == schema["examples"], path


@pytest.mark.skipif(shutil.which("curl") is None, reason="there is no curl")
def test_curl_itself_understands_an_example(served):
    (command,) = (
        operation[EXAMPLES][0]["source"] for _, path, operation in operations(served.client) if path == "/similarity"
    )
    done = subprocess.run(["sh", "-c", f"KEY={KEY}; {command}"], capture_output=True, check=True, timeout=60)
    if b"--json" not in done.stderr:  # curl before 7.82 has no such option.
        first, second = json.loads(done.stdout)
        assert first > second


def test_every_key_is_described_in_plain_sentences(served):
    def descriptions(schema):
        for each in schema.get("anyOf", [schema]):
            for key, value in each.get("properties", {}).items():
                yield key, value.get("description", "")
                yield from descriptions(value)

    for method, path, operation in operations(served.client):
        texts = [
            ("the route", operation["description"]),
            *((p["name"], p["description"]) for p in operation.get("parameters", [])),
        ]
        if method == "post":
            texts += descriptions(operation["requestBody"]["content"]["application/json"]["schema"])
        for key, text in texts:
            assert text.endswith("."), f"{method} {path}: {key}"
            assert "``" not in text
            assert ":class:" not in text


def test_a_route_that_takes_two_kinds_of_body_shows_the_keys_and_a_call_of_each(served):
    article = served.client.get("/docs").text.partition('id="post-rerank"')[2].partition("</article>")[0]
    first, second = article.split("<p>Or:</p>")
    assert ("<code>texts</code>" in first, "<code>texts</code>" in second) == (True, False)
    assert ("<code>documents</code></td>" in first, "<code>documents</code></td>" in second) == (False, True)
    assert first.count("<pre>") == second.count("<pre>") == 1
