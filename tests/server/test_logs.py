from __future__ import annotations

import json
import logging
import sys

import pytest

from pellucid.server.logs import JsonFormatter, TextFormatter, start_log

ANSWERED = {"id": "mine-1", "method": "POST", "path": "/v1/embeddings", "status": 200, "ms": 1234.56}


def record(event, level=logging.INFO, name="pellucid.server", **fields):
    return logging.makeLogRecord(
        {"name": name, "levelno": level, "levelname": logging.getLevelName(level), "msg": event, **fields}
    )


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        (record("loaded", model="tiny", kind="reranker", seconds=0.25), "Loaded the reranker tiny in 0.2 s."),
        (record("answered", **ANSWERED, kind="embedder"), "200   1,234.6 ms  POST /v1/embeddings  embedder"),
        (
            record("loaded", model="colbert", kind="multi_vector_embedder", seconds=0.25),
            "Loaded the multi-vector embedder colbert in 0.2 s.",
        ),
        (
            record("answered", **ANSWERED, kind="sparse_embedder"),
            "200   1,234.6 ms  POST /v1/embeddings  sparse embedder",
        ),
        (record("unloaded", model="tiny"), "Unloaded tiny to make room."),
        (record("answered", **ANSWERED), "200   1,234.6 ms  POST /v1/embeddings"),
        (record("answered", **ANSWERED | {"status": 404}), "404   1,234.6 ms  POST /v1/embeddings"),
        (record("answered", **ANSWERED | {"status": 500}), "500   1,234.6 ms  POST /v1/embeddings  (request mine-1)"),
        (record("answered", **ANSWERED | {"status": 0}), "---   1,234.6 ms  POST /v1/embeddings"),
        (record("answered", **ANSWERED | {"path": "/\x1b[2J\n"}), r"200   1,234.6 ms  POST /\x1b[2J\n"),
        (record("failed", logging.ERROR, id="mine-1"), "Failed at request mine-1:"),
        (record("stopping"), "Finishing accepted requests. Ctrl-C again ends at once."),
        (record("stopped", answered_all=True), "Stopped."),
        (record("stopped", answered_all=False), "Stopped. Some requests got no answer in time."),
        (record("a\nb", logging.WARNING, name="uvicorn.error"), r"Warning: a\nb"),
        (record("loaded", name="another"), "Info: loaded"),
    ],
)
def test_each_event_is_one_line_for_people(given, sentence):
    time, text = TextFormatter().format(given).split("  ", 1)
    assert len(time) == len("12:34:56")
    assert text == sentence


def test_a_terminal_gets_colours_and_no_remains_of_ctrl_c():
    assert "\x1b[31m500" in TextFormatter(colour=True).format(record("answered", **ANSWERED | {"status": 500}))
    assert "\x1b[3" not in TextFormatter(colour=True).format(record("answered", **ANSWERED))
    assert TextFormatter(terminal=True).format(record("stopping")).startswith("\r")


def test_an_error_has_its_traceback_below():
    error = OSError("disk")
    failed = record("failed", logging.ERROR, exc_info=(OSError, error, None))
    assert TextFormatter().format(failed).splitlines()[-1] == "OSError: disk"
    assert "OSError: disk" in json.loads(JsonFormatter().format(failed))["traceback"]


@pytest.mark.parametrize(
    ("log_format", "terminal", "formatter"),
    [
        ("auto", True, TextFormatter),
        ("auto", False, JsonFormatter),
        ("text", False, TextFormatter),
        ("json", True, JsonFormatter),
    ],
)
def test_people_get_text_and_programs_get_json(monkeypatch, log_format, terminal, formatter):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: terminal)
    monkeypatch.setattr(logging.root, "handlers", [])
    start_log(log_format)
    (handler,) = logging.root.handlers
    assert type(handler.formatter) is formatter


@pytest.mark.parametrize(("no_color", "coloured"), [("", True), ("1", False)])
def test_no_color_is_respected(monkeypatch, no_color, coloured):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    monkeypatch.setattr(logging.root, "handlers", [])
    monkeypatch.setenv("NO_COLOR", no_color)
    start_log("auto")
    assert ("\x1b" in logging.root.handlers[0].format(record("answered", **ANSWERED))) == coloured
