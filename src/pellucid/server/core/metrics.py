"""What a server did, in figures: for Prometheus at ``/metrics``, and for the page at ``/stats``."""

from __future__ import annotations

import collections
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

_RECENT_SECONDS = 10.0
_LATENCIES = 1000
_REFUSALS = frozenset((408, 413, 414, 429, 431, 503))
_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
_TOKENS = (16, 64, 256, 512, 1024, 2048, 4096, 8192)


class Metrics:
    """The metrics of one server, in a registry of their own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()

        def named(kind: Any, name: str, words: str, *labels: str, **more: Any) -> Any:
            return kind(f"pellucid_{name}", words, labels, registry=self.registry, **more)

        self.answers = named(Counter, "http_answers", "Answers, by the route and the status.", "route", "status")
        self.requests = named(Counter, "requests", "Requests that the model answered.", "model")
        self.texts = named(Counter, "texts", "Texts that the model embedded.", "model")
        self.tokens = named(Counter, "tokens", "Tokens that the model embedded.", "model")
        self.busy = named(Counter, "engine_seconds", "Seconds that the engine worked.", "model")
        self.seconds = named(
            Histogram, "request_seconds", "From a request's tokens to its vectors.", "model", buckets=_SECONDS
        )
        self.call_tokens = named(
            Histogram, "engine_call_tokens", "Tokens that went through the engine together.", "model", buckets=_TOKENS
        )
        self.refused = named(Counter, "refused", "Requests and connections that were refused, by the reason.", "reason")
        self.held = named(Gauge, "request_memory_bytes", "Memory that requests hold now.")
        self.held_limit = named(Gauge, "request_memory_limit_bytes", "Memory that requests may hold together.")
        self.connections = named(Gauge, "connections", "Open connections.")
        self.tokenizing = named(
            Counter, "tokenizer_seconds", "Seconds that the tokenizer worked on long texts.", "model"
        )
        self.waiting_characters = named(Gauge, "waiting_characters", "Characters to be tokenized.", "model")
        self.waiting_requests = named(Gauge, "waiting_requests", "Requests in the queue.", "model")
        self.waiting_tokens = named(Gauge, "waiting_tokens", "Tokens in the queue.", "model")

    def failed(self, status: int, code: str | None) -> None:
        """Count a request that was refused because it, or all of them, would take too much."""
        if status in _REFUSALS:
            self.refused.labels(code or "other").inc()

    def text(self) -> bytes:
        """All of them, in Prometheus' text format 0.0.4."""
        return generate_latest(self.registry)


class ModelMetrics:
    """What one model did. The event loop and the model's thread both tell it.

    Args:
        metrics: the server's.
        model: its name.
        clock: seconds that never go back.
    """

    def __init__(self, metrics: Metrics, model: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._counting = threading.Lock()
        self._latencies: collections.deque[float] = collections.deque(maxlen=_LATENCIES)
        self._recent: collections.deque[tuple[float, int]] = collections.deque()
        self._recent_tokens = 0
        self.requests = self.texts = self.tokens = 0
        self._requests = metrics.requests.labels(model)
        self._texts = metrics.texts.labels(model)
        self._tokens = metrics.tokens.labels(model)
        self._busy = metrics.busy.labels(model)
        self._seconds = metrics.seconds.labels(model)
        self._call_tokens = metrics.call_tokens.labels(model)
        self._tokenizing = metrics.tokenizing.labels(model)
        self._characters = metrics.waiting_characters.labels(model)
        self._waiting = metrics.waiting_requests.labels(model), metrics.waiting_tokens.labels(model)

    def watch(self, waiting: Callable[[], tuple[int, int]]) -> None:
        """Where the queue's length can be asked."""
        self._waiting[0].set_function(lambda: waiting()[0])
        self._waiting[1].set_function(lambda: waiting()[1])

    def call(self, texts: int, tokens: int, seconds: float) -> None:
        """The engine has done a call."""
        with self._counting:
            self.texts += texts
            self.tokens += tokens
            self._recent.append((self._clock(), tokens))
            self._recent_tokens += tokens
            self._forget()
        self._texts.inc(texts)
        self._tokens.inc(tokens)
        self._busy.inc(seconds)
        self._call_tokens.observe(tokens)

    def tokenized(self, seconds: float) -> None:
        """The tokenizer has worked on long texts."""
        self._tokenizing.inc(seconds)

    @contextmanager
    def untokenized(self, characters: int) -> Iterator[None]:
        """While so many characters wait for the tokenizer, or are at it."""
        self._characters.inc(characters)
        try:
            yield
        finally:
            self._characters.dec(characters)

    def answered(self, seconds: float) -> None:
        """A request has its vectors, this long after it had its tokens."""
        self.requests += 1
        self._requests.inc()
        self._seconds.observe(seconds)
        self._latencies.append(seconds)

    def tokens_per_second(self) -> float:
        """In the last ten seconds."""
        with self._counting:
            self._forget()
            return self._recent_tokens / _RECENT_SECONDS

    def latency_ms(self) -> dict[str, float] | None:
        """Percentiles of the last thousand requests; None before the first."""
        if not self._latencies:
            return None
        found = np.percentile(np.array(list(self._latencies)) * 1000, (50, 95, 99)).tolist()
        return dict(zip(("p50", "p95", "p99"), found, strict=True))

    def _forget(self) -> None:
        oldest = self._clock() - _RECENT_SECONDS
        while self._recent and self._recent[0][0] < oldest:
            self._recent_tokens -= self._recent.popleft()[1]
