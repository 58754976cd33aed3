"""The server's log on standard error: lines of JSON, or lines for people. It has no text and no key in it."""

from __future__ import annotations

import json
import logging
import os
import sys
from collections.abc import Callable, Mapping
from typing import Any

from pellucid.errors import printable
from pellucid.server.core.kinds import in_words
from pellucid.server.settings import LogFormat

_STANDARD_FIELDS = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "color_message"}
_STATUS_COLOURS = {4: "\x1b[33m", 5: "\x1b[31m"}
_DIM, _RESET = "\x1b[2m", "\x1b[0m"


def start_log(log_format: LogFormat) -> None:
    """Send all log records to standard error.

    Args:
        log_format: "json" or "text"; "auto" is "text" on a terminal, and otherwise "json".
    """
    terminal = sys.stderr.isatty()
    text = terminal if log_format == "auto" else log_format == "text"
    handler = logging.StreamHandler(sys.stderr)
    colour = terminal and not os.environ.get("NO_COLOR")
    handler.setFormatter(TextFormatter(terminal=terminal, colour=colour) if text else JsonFormatter())
    logging.root.handlers[:] = [handler]
    logging.getLogger("pellucid").setLevel(logging.INFO)


class JsonFormatter(logging.Formatter):
    """Writes each log record as a line of JSON: time, level, event, and the event's fields."""

    def format(self, record: logging.LogRecord) -> str:
        """The line of JSON for a record."""
        line = {
            "time": self.formatTime(record, "%Y-%m-%dT%H:%M:%S%z"),
            "level": record.levelname.lower(),
            "event": record.getMessage(),
            **_fields(record),
        }
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False, default=str)


class TextFormatter(logging.Formatter):
    """Writes each log record as a line for people: the time, and what happened.

    Args:
        terminal: the lines go to a terminal, which shows ^C when somebody presses Ctrl-C.
        colour: dim the time, and colour the requests that failed.
    """

    def __init__(self, *, terminal: bool = False, colour: bool = False) -> None:
        super().__init__()
        self._terminal = terminal
        self._colour = colour

    def format(self, record: logging.LogRecord) -> str:
        """The line for a record, with a traceback below it if there is one."""
        event, time = record.getMessage(), self.formatTime(record, "%H:%M:%S")
        if record.name == "pellucid.server" and event in _SENTENCES:
            text = printable(_SENTENCES[event](_fields(record)))
        else:
            text = f"{record.levelname.capitalize()}: {printable(event)}"
        if self._colour:
            colour = _STATUS_COLOURS.get(vars(record).get("status", 0) // 100, "")
            time, text = f"{_DIM}{time}{_RESET}", f"{colour}{text}{_RESET}" if colour else text
        line = f"{time}  {text}"
        if self._terminal and event == "stopping":
            line = f"\r{line}"  # Over the ^C.
        if not record.exc_info:
            return line
        return f"{line}\n{printable(self.formatException(record.exc_info), keep=chr(10))}"


def _answered(fields: Mapping[str, Any]) -> str:
    line = f"{fields['status'] or '---'} {fields['ms']:9,.1f} ms  {fields['method']} {fields['path']}"
    if "kind" in fields:
        line += f"  {in_words(fields['kind'])}"
    # Whoever reports a failed request has its id from the response's header.
    return f"{line}  (request {fields['id']})" if fields["status"] >= 500 else line  # noqa: PLR2004


_SENTENCES: dict[str, Callable[[Mapping[str, Any]], str]] = {
    "loaded": lambda fields: f"Loaded the {in_words(fields['kind'])} {fields['model']} in {fields['seconds']:.1f} s.",
    "unloaded": lambda fields: f"Unloaded {fields['model']} to make room.",
    "answered": _answered,
    "failed": lambda fields: f"Failed at request {fields['id']}:" if "id" in fields else "Failed:",
    "stopping": lambda _: "Finishing accepted requests. Ctrl-C again ends at once.",
    "stopped": lambda fields: "Stopped." if fields["answered_all"] else "Stopped. Some requests got no answer in time.",
    "ended by a second signal": lambda _: "Ended at once.",
}
"""What each event of the server is for people, from its fields."""


def _fields(record: logging.LogRecord) -> dict[str, Any]:
    """The fields that the event's own code has given to a record."""
    return {key: value for key, value in vars(record).items() if key not in _STANDARD_FIELDS}
