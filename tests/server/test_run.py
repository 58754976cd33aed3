"""The server as a process: its end loses nothing that was accepted."""

from __future__ import annotations

import json
import signal
import socket
import threading
import time

import httpx
import pytest

from tests.server.process import process


class Asker(threading.Thread):
    """Asks one thing after another over one connection, as long as the server lets it."""

    def __init__(self, url: str) -> None:
        super().__init__()
        self.url = url
        self.statuses: list[int] = []
        self.lost: list[Exception] = []

    def run(self) -> None:
        with httpx.Client(base_url=self.url, timeout=60) as client:
            while True:
                try:
                    answer = client.post("/v1/embeddings", json={"input": ["the cat sat on the mat"] * 4})
                except httpx.ConnectError:
                    return  # It is not accepted any more, so nothing is lost.
                except httpx.HTTPError as error:
                    self.lost.append(error)
                    return
                self.statuses.append(answer.status_code)


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_under_load_loses_nothing(model, how):
    with process("--model", model) as server:
        askers = [Asker(server.url) for _ in range(8)]
        for asker in askers:
            asker.start()
        until = time.monotonic() + 60
        while not all(asker.statuses for asker in askers) and time.monotonic() < until:
            time.sleep(0.05)
        status = server.stop(how)
        for asker in askers:
            asker.join(60)
            assert not asker.is_alive()
        assert status == 0
        assert [asker.lost for asker in askers] == [[]] * 8
        assert [set(asker.statuses) for asker in askers] == [{200}] * 8


def test_the_log_is_lines_of_json_to_the_end(model):
    with process("--model", model) as server:
        assert httpx.post(f"{server.url}/v1/embeddings", json={"input": "the cat"}, timeout=60).is_success
        assert server.stop() == 0
        assert [json.loads(line)["event"] for line in server.log()] == ["loaded", "answered"]


def test_a_port_that_is_taken_is_an_error_that_says_so(model):
    from tests.cli.command import run

    with socket.create_server(("127.0.0.1", 0)) as taken:
        result = run("serve", "--model", model, "--port", str(taken.getsockname()[1]))
    assert result.code == 2
    assert "cannot listen at 127.0.0.1" in result.err


def test_a_key_from_the_environment_is_asked_for(model):
    with process("--model", model, PELLUCID_API_KEYS="a-key-of-mine") as server:
        assert httpx.get(f"{server.url}/v1/models", timeout=60).status_code == 401
        assert httpx.get(
            f"{server.url}/v1/models", headers={"authorization": "Bearer a-key-of-mine"}, timeout=60
        ).is_success
        assert server.stop() == 0
