"""The server as a process. When it stops, it answers everything that it has accepted."""

from __future__ import annotations

import json
import signal
import socket
import threading
import time

import httpx
import pytest

from tests.server.process import process


class Sender(threading.Thread):
    """Sends one request after another over one connection, until the server refuses connections."""

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
                    return  # The server accepts nothing more, so no request is lost.
                except httpx.HTTPError as error:
                    self.lost.append(error)
                    return
                self.statuses.append(answer.status_code)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_under_load_loses_nothing(model, number):
    with process("--model", model) as server:
        senders = [Sender(server.url) for _ in range(8)]
        for sender in senders:
            sender.start()
        deadline = time.monotonic() + 60
        while not all(sender.statuses for sender in senders) and time.monotonic() < deadline:
            time.sleep(0.05)
        status = server.stop(number)
        for sender in senders:
            sender.join(60)
            assert not sender.is_alive()
        assert status == 0
        assert [sender.lost for sender in senders] == [[]] * 8
        assert [set(sender.statuses) for sender in senders] == [{200}] * 8


def test_every_line_of_the_log_is_json(model):
    with process("--model", model) as server:
        assert httpx.post(f"{server.url}/v1/embeddings", json={"input": "the cat"}, timeout=60).is_success
        assert server.stop() == 0
        assert [json.loads(line)["event"] for line in server.log()] == ["loaded", "answered", "stopping", "stopped"]


def test_the_log_can_be_text(model):
    with process("--model", model, "--log-format", "text") as server:
        assert httpx.get(f"{server.url}/v1/models", timeout=60).is_success
        assert server.stop(signal.SIGINT) == 0
        texts = [line.split("  ", 1)[1] for line in server.log()]
    assert [text.split()[0] for text in texts] == ["Loaded", "200", "Finishing", "Stopped."]


def test_a_port_in_use_is_an_error_that_says_so(model):
    from tests.cli.command import run

    with socket.create_server(("127.0.0.1", 0)) as taken:
        result = run("serve", "--model", model, "--port", str(taken.getsockname()[1]))
    assert result.code == 2
    assert "cannot listen on 127.0.0.1" in result.err


def test_requests_need_a_key_from_the_environment(model):
    with process("--model", model, PELLUCID_API_KEYS="a-key-of-mine") as server:
        assert httpx.get(f"{server.url}/v1/models", timeout=60).status_code == 401
        assert httpx.get(
            f"{server.url}/v1/models", headers={"authorization": "Bearer a-key-of-mine"}, timeout=60
        ).is_success
        assert server.stop() == 0
