"""What the server counts and measures: for Prometheus at ``/metrics``, and for the page at ``/stats``."""

from __future__ import annotations

import collections
import functools
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

_RECENT_SECONDS = 10.0
_MAX_LATENCIES = 1000
_REFUSAL_STATUSES = frozenset((408, 413, 414, 429, 431, 503))
_SECOND_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
_TOKEN_BUCKETS = (16, 64, 256, 512, 1024, 2048, 4096, 8192)


class Metrics:
    """The metrics of one server, in their own Prometheus registry."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()

        def metric(kind: Any, name: str, description: str, *labels: str, **options: Any) -> Any:
            return kind(f"pellucid_{name}", description, labels, registry=self.registry, **options)

        self.responses = metric(Counter, "http_answers", "HTTP responses, by route and status.", "route", "status")
        self.models = metric(Gauge, "model_info", "1 for each model, with its kind.", "model", "kind")
        self.requests = metric(Counter, "requests", "Requests that the model answered.", "model")
        self.texts = metric(Counter, "texts", "Texts that went through the model.", "model")
        self.tokens = metric(Counter, "tokens", "Tokens that went through the model.", "model")
        self.engine_seconds = metric(Counter, "engine_seconds", "Seconds that the engine worked.", "model")
        self.request_seconds = metric(
            Histogram,
            "request_seconds",
            "Seconds from a request's tokens to its results, waiting included.",
            "model",
            buckets=_SECOND_BUCKETS,
        )
        self.call_tokens = metric(
            Histogram,
            "engine_call_tokens",
            "Tokens that went through the engine in one call.",
            "model",
            buckets=_TOKEN_BUCKETS,
        )
        self.refused = metric(Counter, "refused", "Requests and connections that were refused, by reason.", "reason")
        self.request_memory = metric(Gauge, "request_memory_bytes", "Bytes of memory that requests use now.")
        self.request_memory_limit = metric(
            Gauge, "request_memory_limit_bytes", "Bytes of memory that requests may use together."
        )
        self.connections = metric(Gauge, "connections", "Open connections.")
        self.tokenizer_seconds = metric(
            Counter, "tokenizer_seconds", "Seconds that the tokenizer worked on long texts.", "model"
        )
        self.waiting_characters = metric(
            Gauge, "waiting_characters", "Characters that the tokenizer has not finished.", "model"
        )
        self.waiting_requests = metric(Gauge, "waiting_requests", "Requests in the queue.", "model")
        self.waiting_tokens = metric(Gauge, "waiting_tokens", "Tokens in the queue.", "model")

    def count_refusal(self, status: int, code: str | None) -> None:
        """Count an error response if its status says that the server refused work that would take too much."""
        if status in _REFUSAL_STATUSES:
            self.refused.labels(code or "other").inc()

    def text(self) -> bytes:
        """All metrics in Prometheus' text format, version 0.0.4."""
        return generate_latest(self.registry)


class ModelMetrics:
    """What one model did. The event loop and the model's thread both report to it.

    Args:
        metrics: the server's metrics.
        model: the model's name.
        clock: returns seconds that never go backwards.
    """

    def __init__(self, metrics: Metrics, model: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._set_kind = functools.partial(metrics.models.labels, model)
        self._lock = threading.Lock()
        self._latencies: collections.deque[float] = collections.deque(maxlen=_MAX_LATENCIES)
        self._recent_calls: collections.deque[tuple[float, int]] = collections.deque()
        self._recent_tokens = 0
        self.requests = self.texts = self.tokens = 0
        self._requests = metrics.requests.labels(model)
        self._texts = metrics.texts.labels(model)
        self._tokens = metrics.tokens.labels(model)
        self._engine_seconds = metrics.engine_seconds.labels(model)
        self._request_seconds = metrics.request_seconds.labels(model)
        self._call_tokens = metrics.call_tokens.labels(model)
        self._tokenizer_seconds = metrics.tokenizer_seconds.labels(model)
        self._waiting_characters = metrics.waiting_characters.labels(model)
        self._waiting_requests = metrics.waiting_requests.labels(model)
        self._waiting_tokens = metrics.waiting_tokens.labels(model)

    def set_kind(self, kind: str) -> None:
        """Report the model's kind."""
        self._set_kind(kind).set(1)

    def watch_queue(self, count_waiting: Callable[[], tuple[int, int]]) -> None:
        """Report the length of a queue.

        Args:
            count_waiting: returns how many requests wait, and how many tokens they have.
        """
        self._waiting_requests.set_function(lambda: count_waiting()[0])
        self._waiting_tokens.set_function(lambda: count_waiting()[1])

    def count_call(self, texts: int, tokens: int, seconds: float) -> None:
        """Count a call of the engine."""
        self.count_texts(texts, tokens)
        with self._lock:
            self._recent_calls.append((self._clock(), tokens))
            self._recent_tokens += tokens
            self._drop_old_calls()
        self._engine_seconds.inc(seconds)
        self._call_tokens.observe(tokens)

    def count_texts(self, texts: int, tokens: int) -> None:
        """Count texts that went through the model."""
        with self._lock:
            self.texts += texts
            self.tokens += tokens
        self._texts.inc(texts)
        self._tokens.inc(tokens)

    def count_tokenizing(self, seconds: float) -> None:
        """Count time that the tokenizer spent on long texts."""
        self._tokenizer_seconds.inc(seconds)

    @contextmanager
    def count_characters(self, characters: int) -> Iterator[None]:
        """Within the ``with`` block, count these characters as waiting for the tokenizer."""
        self._waiting_characters.inc(characters)
        try:
            yield
        finally:
            self._waiting_characters.dec(characters)

    def count_request(self, seconds: float) -> None:
        """Count an answered request, and the seconds from its tokens to its results."""
        with self._lock:
            self.requests += 1
        self._requests.inc()
        self._request_seconds.observe(seconds)
        self._latencies.append(seconds)

    def tokens_per_second(self) -> float:
        """The engine's average over the last ten seconds."""
        with self._lock:
            self._drop_old_calls()
            return self._recent_tokens / _RECENT_SECONDS

    def latency_ms(self) -> dict[str, float] | None:
        """The percentiles of the last thousand requests, in milliseconds, or None before the first request."""
        if not self._latencies:
            return None
        percentiles = np.percentile(np.array(list(self._latencies)) * 1000, (50, 95, 99)).tolist()
        return dict(zip(("p50", "p95", "p99"), percentiles, strict=True))

    def _drop_old_calls(self) -> None:
        oldest = self._clock() - _RECENT_SECONDS
        while self._recent_calls and self._recent_calls[0][0] < oldest:
            self._recent_tokens -= self._recent_calls.popleft()[1]
