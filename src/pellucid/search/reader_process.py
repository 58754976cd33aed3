"""The process that reads files whose formats can be hostile: HTML, PDF and tables. ``reading.py`` starts and asks it.

A request is a line of JSON with a file's ``suffix``, ``column``, ``size`` and the ``seconds`` that reading may take,
followed by the file's bytes. The answer is lines of JSON, each a list of texts. Its last line is an object that says
how it ended.
"""

from __future__ import annotations

import contextlib
import faulthandler
import json
import os
import signal
import sys
from typing import Any, BinaryIO

from pellucid.errors import MissingExtraError, UnreadableFileError
from pellucid.search.readers import parse

OUT_OF_MEMORY = 77
"""The exit status of the process when it runs out of memory."""

_TEXTS_PER_LINE, _CHARACTERS_PER_LINE = 500, 1 << 20


def answer(request: dict[str, Any], content: bytes, out: BinaryIO) -> None:
    """Write the texts of a file as lines of JSON."""
    end: dict[str, Any] = {"end": True}
    texts: list[tuple[object, ...]] = []
    characters = 0
    try:
        for document in parse(content, request["suffix"], request["column"]):
            texts.append((document.text, document.kind, document.part, document.headings))
            characters += len(document.text)
            if len(texts) == _TEXTS_PER_LINE or characters > _CHARACTERS_PER_LINE:
                _write(out, texts)
                texts, characters = [], 0
    except UnreadableFileError as error:
        end["unreadable"] = str(error)
    except MissingExtraError as error:
        end["missing"] = error.name
    _write(out, texts)
    _write(out, end)
    out.flush()


def serve(requests: BinaryIO, out: BinaryIO) -> None:
    """Answer requests until there are no more."""
    while line := requests.readline():
        request = json.loads(line)
        content = requests.read(request["size"])
        # If the asking process is gone, nothing else would end this one.
        faulthandler.dump_traceback_later(request["seconds"], exit=True, file=2)
        answer(request, content, out)
        faulthandler.cancel_dump_traceback_later()


def bound(memory: int) -> None:
    """Limit this process to so many bytes of memory, where the system can enforce it, and forbid it to write files."""
    with contextlib.suppress(
        ImportError, ValueError, OSError
    ):  # Windows has no limits, and macOS does not enforce all.
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))


def main() -> None:
    """Answer the requests on standard input. The argument is how many bytes of memory the process may use."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # The process that started this one handles Ctrl-C, and ends this one.
    bound(int(sys.argv[1]))
    try:
        serve(sys.stdin.buffer, sys.stdout.buffer)
    except MemoryError:
        os._exit(OUT_OF_MEMORY)


def _write(out: BinaryIO, value: object) -> None:
    out.write(json.dumps(value, ensure_ascii=False).encode("utf-8", "backslashreplace") + b"\n")


if __name__ == "__main__":
    main()
