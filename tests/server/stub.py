"""A stand-in for the server, from the standard library. It has only the routes that the home page uses."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from pellucid.errors import InputError
from pellucid.server.http import views
from pellucid.server.http.page import home_page

STATS: dict[str, Any] = {
    "kind": "embedder",
    "dimensions": 384,
    "max_tokens": 256,
    "loaded": True,
    "requests": 1234,
    "texts": 5678,
    "tokens": 90123,
    "tokens_per_second": 456.4,
    "queued_requests": 3,
    "queued_tokens": 77,
    "latency_ms": {"p50": 4.25, "p95": 12.5, "p99": 120.4},
}


class Stub:
    """What the server should do, and the requests that it got.

    Attributes:
        models: the embedders, by name.
        key: the API key that it needs, or "".
        model_stats: its statistics of each model.
        on_request: called before a view is made, with the path and the body.
        requests: the paths and bodies of the requests for views, in order.
    """

    def __init__(self, models: dict[str, Any], port: int = 0) -> None:
        self.models = models
        self.key = ""
        self.model_stats: dict[str, dict[str, Any]] = {name: dict(STATS) for name in models}
        self.on_request: Callable[[str, dict[str, Any]], object] = lambda _path, _body: None
        self.requests: list[tuple[str, dict[str, Any]]] = []
        self.stats_requests = 0
        self.port = port
        self.server: ThreadingHTTPServer | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/"

    def start(self) -> None:
        stub = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                if self.path == "/":
                    content, policy = home_page()
                    self.reply(200, content.encode(), "text/html; charset=utf-8", policy)
                elif self.path == "/stats":
                    stub.stats_requests += 1
                    self.send_json(*stub.stats(self.headers["Authorization"]))
                else:
                    self.send_json(404, {"error": {"message": "no such route"}})

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                stub.requests.append((self.path, body))
                self.send_json(*stub.view(self.path, body, self.headers["Authorization"]))

            def send_json(self, status: int, value: Any) -> None:
                self.reply(status, json.dumps(value).encode(), "application/json")

            def reply(self, status: int, content: bytes, kind: str, policy: str = "") -> None:
                try:
                    self.send_response(status)
                    self.send_header("Content-Type", kind)
                    self.send_header("Content-Length", str(len(content)))
                    if policy:
                        self.send_header("Content-Security-Policy", policy)
                    self.end_headers()
                    self.wfile.write(content)
                except (BrokenPipeError, ConnectionResetError):
                    pass  # The page has cancelled the request.

            def log_message(self, *_: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", self.port), Handler)
        self.port = self.server.server_port
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    def stop(self) -> None:
        if self.server:
            self.server.shutdown()
            self.server.server_close()
            self.server = None

    def stats(self, authorization: str | None) -> tuple[int, Any]:
        if self.key and authorization != f"Bearer {self.key}":
            return 401, {"error": {"message": "a key is needed"}}
        models = [{"name": name, **stats} for name, stats in self.model_stats.items()]
        return 200, {"models": models, "uptime_s": 7300.0, "version": "9.9", "needs_key": bool(self.key)}

    def view(self, path: str, body: dict[str, Any], authorization: str | None) -> tuple[int, Any]:
        if self.key and authorization != f"Bearer {self.key}":
            return 401, {"error": {"message": "a key is needed"}}
        self.on_request(path, body)
        embedder = self.models[body.get("model", next(iter(self.models)))]
        try:
            if path == "/view/trace":
                return 200, views.trace_view(embedder, body["input"], body.get("prompt_name"))
            if path == "/view/compare":
                return 200, views.compare_view(embedder, *body["inputs"])
            return 200, views.map_view(embedder, body["inputs"])
        except InputError as error:
            return 400, {"error": {"message": str(error)}}


@contextmanager
def serving(models: dict[str, Any]) -> Iterator[Stub]:
    stub = Stub(models)
    stub.start()
    try:
        yield stub
    finally:
        stub.stop()


if __name__ == "__main__":  # Start it to look at the page.
    from pellucid import Embedder

    with serving({"all-MiniLM-L6-v2": Embedder("all-MiniLM-L6-v2", on_truncation="ignore")}) as running:
        print(running.url, flush=True)
        time.sleep(3600)
