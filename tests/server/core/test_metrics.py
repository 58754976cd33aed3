from __future__ import annotations

import collections
import threading

from prometheus_client.parser import text_string_to_metric_families

from pellucid.server.core.metrics import Metrics, ModelMetrics


def test_speed_is_that_of_the_last_ten_seconds():
    now = [100.0]
    figures = ModelMetrics(Metrics(), "m", clock=lambda: now[0])
    assert figures.tokens_per_second() == 0
    figures.call(2, 50, 0.1)
    now[0] = 105.0
    figures.call(1, 30, 0.1)
    assert figures.tokens_per_second() == 8.0
    now[0] = 111.0
    assert figures.tokens_per_second() == 3.0
    assert (figures.texts, figures.tokens) == (3, 80)


def test_who_asks_for_the_speed_does_not_disturb_the_models_thread():
    now = [0.0]
    figures = ModelMetrics(Metrics(), "m", clock=lambda: now[0])

    class Asked(collections.deque):
        """Of which another thread forgets what is old, just when this one has seen it."""

        def __getitem__(self, place):
            seen = super().__getitem__(place)
            asking = threading.Thread(target=figures.tokens_per_second, daemon=True)
            asking.start()
            asking.join(0.05)
            return seen

    figures.call(1, 50, 0.1)
    figures._recent = Asked(figures._recent)
    now[0] = 20.0
    figures.call(1, 30, 0.1)
    assert figures.tokens_per_second() == 3.0


def test_latencies_are_percentiles_in_milliseconds():
    figures = ModelMetrics(Metrics(), "m")
    assert figures.latency_ms() is None
    for milliseconds in range(1, 102):
        figures.answered(milliseconds / 1000)
    found = figures.latency_ms()
    assert round(found["p50"], 6) == 51
    assert round(found["p99"], 6) == 100


def test_prometheus_reads_them():
    metrics = Metrics()
    figures = ModelMetrics(metrics, "org/m")
    figures.watch(lambda: (3, 70))
    figures.call(4, 90, 0.5)
    figures.answered(0.02)
    families = {f.name: f for f in text_string_to_metric_families(metrics.text().decode())}
    values = {s.name: s.value for f in families.values() for s in f.samples if s.labels == {"model": "org/m"}}
    assert values["pellucid_tokens_total"] == 90
    assert values["pellucid_texts_total"] == 4
    assert values["pellucid_engine_seconds_total"] == 0.5
    assert values["pellucid_waiting_tokens"] == 70
    assert values["pellucid_request_seconds_count"] == 1
