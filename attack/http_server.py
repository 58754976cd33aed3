"""Target ``http``: hostile clients of a real server in 1 GiB. It survives, ``/health`` answers within two seconds, and
its vectors stay the library's.
"""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable
from pathlib import Path

from tests import tiny

from attack import hostile_requests as requests
from attack import raw_requests
from attack.child import Case, Limits, Result
from attack.killing import run_to_end
from attack.served import MAX_HEALTH_SECONDS, MEMORY_BYTES, NO_ANSWER_SECONDS, RunningServer, run_server
from attack.target import Target
from pellucid import Embedder

MODEL = "all-MiniLM-L6-v2"
RAW_GROUPS = 6


def prepare(shared: Path) -> Case:
    vector_file = shared / "vector.bin"
    run_to_end(lambda: vector_file.write_bytes(Embedder(MODEL).embed_documents([requests.QUESTION])[0].tobytes()))
    expected = vector_file.read_bytes()
    cases = _cases()

    def case(rng: random.Random, files: Path) -> Result:
        return cases[int(files.parent.name.rpartition("-")[2]) % len(cases)](rng, files, expected)

    return case


ServerCase = Callable[[random.Random, Path, bytes], Result]
"""A case that also takes the bytes of the vector that the server must give at the end."""


def _cases() -> list[ServerCase]:
    """All cases. The first four are those that CI runs."""
    heavy = [_heavy(attack) for attack in requests.HEAVY]
    return [*heavy[:4], _raw, _folder_model, _panic_model, *heavy[4:], *[_raw] * (RAW_GROUPS - 1)]


def _heavy(attack: Callable[[RunningServer, Path], None]) -> ServerCase:
    def case(_rng: random.Random, files: Path, expected: bytes) -> Result:
        print(attack.__name__, flush=True)
        with run_server(files, "--model", MODEL, "--timeout", "5", "--drain", "5") as server:
            try:
                attack(server, files)
            finally:
                if attack not in requests.STOPPING:
                    server.check_alive()
            return _check(server, expected, is_stopped=attack in requests.STOPPING)

    return case


def _raw(rng: random.Random, files: Path, expected: bytes) -> Result:
    with run_server(files, "--model", MODEL) as server:
        raw_requests.send(server, rng)
        return _check(server, expected)


def _folder_model(_rng: random.Random, files: Path, _expected: bytes) -> Result:
    """Serve a model from a folder. Its name must not reveal the folder's path, and must work in requests."""
    folder = tiny.write_model(files / "my-model")
    with run_server(files, "--model", folder) as server:
        response = server.request(b"GET /v1/models HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")
        name = requests.json_of(response)["data"][0]["id"]
        assert str(files) not in response.decode(), "the response reveals the folder's path"
        response = server.request(requests.post("/v1/embeddings", {"input": "the cat", "model": name}))
        status = requests.status_of(response)
        assert status == 200, f"a request for the model by its name gets {status}"
        assert str(files) not in response.decode(), "the response reveals the folder's path"
        return _check(server, None)


def _panic_model(_rng: random.Random, files: Path, _expected: bytes) -> Result:
    """Serve a model whose tokenizer makes its Rust library panic. The response is JSON, and the server goes on."""
    folder = tiny.write_model(files / "bomb")
    path = folder / "tokenizer.json"
    tokenizer = json.loads(path.read_text())
    tokenizer["normalizer"] = {"type": "Replace", "pattern": {"Regex": "(a+)+$"}, "content": "b"}
    path.write_text(json.dumps(tokenizer))
    with run_server(files, "--model", folder) as server:
        for route, key in (("/v1/embeddings", "input"), ("/embed", "inputs"), ("/tokenize", "inputs")):
            response = server.request(requests.post(route, {key: "a" * 60 + "!"}), 20)
            head = response.partition(b"\r\n\r\n")[0].lower()
            assert b"application/json" in head, "the response is not JSON"
            assert requests.json_of(response)
        return _check(server, None, may_log_traceback=True)


def _check(
    server: RunningServer, expected: bytes | None, *, is_stopped: bool = False, may_log_traceback: bool = False
) -> Result:
    """Check the invariant after the attack, and stop the server.

    ``expected``: the bytes of the vector that the server must give; None to skip this. ``is_stopped``: the attack has
    stopped the server. ``may_log_traceback``: a request failed within the server, so its log may have a traceback.
    """
    if not is_stopped:
        server.check_alive()
        if expected is not None:
            _wait_for_recovery(server)
            assert requests.get_vector(server) == expected, "the vector differs from the library's"
        status = server.stop(requests.STOPPING_SECONDS)
        assert status == 0, f"exit status {status}"
    slowest, peak = server.slowest_and_peak()
    log = server.log.read_text(errors="replace")
    assert may_log_traceback or "Traceback" not in log, "the log has a traceback"
    assert requests.SECRET not in log, "the log quotes a text"
    assert slowest <= MAX_HEALTH_SECONDS, f"/health took {slowest:.1f} s ({NO_ANSWER_SECONDS:.0f}: no answer)"
    assert peak <= MEMORY_BYTES, f"the server took {peak / 1e6:.0f} MB"
    return Result("ok", "", peak)


def _wait_for_recovery(server: RunningServer) -> None:
    """Wait until the server answers again. It may first go on with requests of clients that have left, up to its time
    limit of 5 s.
    """
    for _ in range(20):
        response = server.request(requests.post("/v1/embeddings", {"input": requests.QUESTION}))
        if requests.status_of(response) == 200:
            return
        time.sleep(0.5)
    raise AssertionError(f"ten seconds later, a plain request still gets {requests.status_of(response)}")


TARGET = Target(
    prepare,
    cases=len(requests.HEAVY) + RAW_GROUPS + 2,
    short=4,
    invariant="in 1 GiB the server survives; /health within 2 s; no 500; the library's vector; it stops in time",
    limits=Limits(seconds=240, memory=8 << 30),
    jobs=1,
)
