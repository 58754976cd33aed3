from __future__ import annotations

import collections
import threading

from prometheus_client.parser import text_string_to_metric_families

from pellucid.server.core.metrics import Metrics, ModelMetrics


def test_tokens_per_second_covers_the_last_ten_seconds():
    now = [100.0]
    model_metrics = ModelMetrics(Metrics(), "m", clock=lambda: now[0])
    assert model_metrics.tokens_per_second() == 0
    model_metrics.count_call(2, 50, 0.1)
    now[0] = 105.0
    model_metrics.count_call(1, 30, 0.1)
    assert model_metrics.tokens_per_second() == 8.0
    now[0] = 111.0
    assert model_metrics.tokens_per_second() == 3.0
    assert (model_metrics.texts, model_metrics.tokens) == (3, 80)


def test_texts_that_no_engine_read_count_but_say_nothing_of_its_speed():
    model_metrics = ModelMetrics(Metrics(), "m")
    model_metrics.count_texts(3, 40)
    assert (model_metrics.texts, model_metrics.tokens) == (3, 40)
    assert model_metrics.tokens_per_second() == 0


def test_reading_tokens_per_second_does_not_disturb_the_models_thread():
    now = [0.0]
    model_metrics = ModelMetrics(Metrics(), "m", clock=lambda: now[0])

    class RacingDeque(collections.deque):
        """Has another thread drop old calls just after this thread has looked at one."""

        def __getitem__(self, place):
            seen = super().__getitem__(place)
            reader = threading.Thread(target=model_metrics.tokens_per_second, daemon=True)
            reader.start()
            reader.join(0.05)
            return seen

    model_metrics.count_call(1, 50, 0.1)
    model_metrics._recent_calls = RacingDeque(model_metrics._recent_calls)
    now[0] = 20.0
    model_metrics.count_call(1, 30, 0.1)
    assert model_metrics.tokens_per_second() == 3.0


def test_latencies_are_percentiles_in_milliseconds():
    model_metrics = ModelMetrics(Metrics(), "m")
    assert model_metrics.latency_ms() is None
    for milliseconds in range(1, 102):
        model_metrics.count_request(milliseconds / 1000)
    found = model_metrics.latency_ms()
    assert round(found["p50"], 6) == 51
    assert round(found["p99"], 6) == 100


def test_prometheus_can_parse_the_metrics():
    metrics = Metrics()
    model_metrics = ModelMetrics(metrics, "org/m")
    model_metrics.watch_queue(lambda: (3, 70))
    model_metrics.count_call(4, 90, 0.5)
    model_metrics.count_request(0.02)
    families = {f.name: f for f in text_string_to_metric_families(metrics.text().decode())}
    values = {s.name: s.value for f in families.values() for s in f.samples if s.labels == {"model": "org/m"}}
    assert values["pellucid_tokens_total"] == 90
    assert values["pellucid_texts_total"] == 4
    assert values["pellucid_engine_seconds_total"] == 0.5
    assert values["pellucid_waiting_tokens"] == 70
    assert values["pellucid_request_seconds_count"] == 1
