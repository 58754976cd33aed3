"""Hostile clients of a real server in 1 GiB: it lives, says so within two seconds, and its vectors stay ours."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable
from pathlib import Path

from tests import tiny

from attack import hostile_requests as requests
from attack import raw_requests
from attack.child import Attack, Bounds, Result
from attack.killing import finished
from attack.served import HEALTHY_SECONDS, MEMORY, Served, served
from attack.target import Target
from pellucid import Embedder

MODEL = "all-MiniLM-L6-v2"
RAW_GROUPS = 6


def prepare(shared: Path) -> Attack:
    truth = shared / "vector.bin"
    finished(lambda: truth.write_bytes(Embedder(MODEL).embed_documents([requests.QUESTION])[0].tobytes()))
    expected = truth.read_bytes()
    cases = _cases()

    def attack(rng: random.Random, files: Path) -> Result:
        return cases[int(files.parent.name.rpartition("-")[2]) % len(cases)](rng, files, expected)

    return attack


Case = Callable[[random.Random, Path, bytes], Result]


def _cases() -> list[Case]:
    """The whole list; of it, the first are CI's."""
    heavy = [_heavy(done) for done in requests.HEAVY]
    return [*heavy[:4], _raw, _folder_model, _panic_model, *heavy[4:], *[_raw] * (RAW_GROUPS - 1)]


def _heavy(do: Callable[[Served, Path], None]) -> Case:
    def case(_rng: random.Random, files: Path, expected: bytes) -> Result:
        print(do.__name__, flush=True)
        with served(files, "--model", MODEL, "--timeout", "5", "--drain", "5") as server:
            try:
                do(server, files)
            finally:
                if do not in requests.STOPPED:
                    server.check_alive()
            return _checked(server, expected, stopped=do in requests.STOPPED)

    return case


def _raw(rng: random.Random, files: Path, expected: bytes) -> Result:
    with served(files, "--model", MODEL) as server:
        raw_requests.send(server, rng)
        return _checked(server, expected)


def _folder_model(_rng: random.Random, files: Path, _expected: bytes) -> Result:
    """A folder has a name that does not say where it lies, and that can be asked for."""
    folder = tiny.write_model(files / "my-model")
    with served(files, "--model", folder) as server:
        answer = server.ask(b"GET /v1/models HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")
        name = requests.json_of(answer)["data"][0]["id"]
        assert str(files) not in answer.decode(), "the folder's path is told"
        answer = server.ask(requests.post("/v1/embeddings", {"input": "the cat", "model": name}))
        assert requests.status_of(answer) == 200, f"its own name gets {requests.status_of(answer)}"
        assert str(files) not in answer.decode(), "the folder's path is told"
        return _checked(server, None)


def _panic_model(_rng: random.Random, files: Path, _expected: bytes) -> Result:
    """A tokenizer at which its library panics: the answer is JSON, and the server goes on."""
    folder = tiny.write_model(files / "bomb")
    path = folder / "tokenizer.json"
    told = json.loads(path.read_text())
    told["normalizer"] = {"type": "Replace", "pattern": {"Regex": "(a+)+$"}, "content": "b"}
    path.write_text(json.dumps(told))
    with served(files, "--model", folder) as server:
        for route, key in (("/v1/embeddings", "input"), ("/embed", "inputs"), ("/tokenize", "inputs")):
            answer = server.ask(requests.post(route, {key: "a" * 60 + "!"}), 20)
            assert b"application/json" in answer.partition(b"\r\n\r\n")[0].lower(), "the answer is no JSON"
            assert requests.json_of(answer)
        return _checked(server, None, failed=True)


def _checked(server: Served, expected: bytes | None, *, stopped: bool = False, failed: bool = False) -> Result:
    """The law, after whatever was done; ``failed``: the server could not do it, and its log says why."""
    if not stopped:
        server.check_alive()
        if expected is not None:
            _recovered(server)
            assert requests.vector(server) == expected, "another vector than the library's"
        status = server.stop(requests.STOPPING_SECONDS)
        assert status == 0, f"exit status {status}"
    slowest, peak = server.seen()
    log = server.log.read_text(errors="replace")
    assert failed or "Traceback" not in log, "a traceback in the log"
    assert requests.SECRET not in log, "a text in the log"
    assert slowest <= HEALTHY_SECONDS, f"/health took {slowest:.1f} s (99: no answer)"
    assert peak <= MEMORY, f"{peak / 1e6:.0f} MB"
    return Result("ok", "", peak)


def _recovered(server: Served) -> None:
    """What was begun for those who have left may go on until the time limit, which is 5 s."""
    for _ in range(20):
        answer = server.ask(requests.post("/v1/embeddings", {"input": requests.QUESTION}))
        if requests.status_of(answer) == 200:
            return
        time.sleep(0.5)
    raise AssertionError(f"ten seconds later, a plain request still gets {requests.status_of(answer)}")


TARGET = Target(
    prepare,
    cases=len(requests.HEAVY) + RAW_GROUPS + 2,
    short=4,
    law="in 1 GiB it lives; /health within 2 s; no 500; at the end the library's vector, to the bit; it stops in time",
    bounds=Bounds(seconds=240, memory=8 << 30),
    jobs=1,
)
