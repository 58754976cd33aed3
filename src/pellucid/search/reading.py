"""Reading files whose formats can be hostile, in a process with bounded memory and time.

A small file can demand any amount of memory (a dictionary in Parquet) or time (nested elements in HTML), or crash a
library. Then the process ends, the file is skipped, and the next file gets a new process.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import threading
import time
from types import TracebackType
from typing import Any, Self

from pellucid.errors import MissingExtraError, UnreadableFileError
from pellucid.search.reader_process import OUT_OF_MEMORY
from pellucid.search.readers import Document, is_plain, parse

MEMORY_BYTES = 2 << 30
"""How much memory the process may use, where the system can enforce it: on Linux."""
SECONDS, SECONDS_PER_MEGABYTE, MAX_SECONDS = 10, 5, 120
"""How long it may read a file: some time for any file, more for a larger one, and never more than the last."""
_EXIT_SECONDS = 10
_FEW_THREADS = {"MALLOC_ARENA_MAX": "2", "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}


class DocumentReader:
    """Reads files, one after another. Close it, or use it in a ``with`` block.

    The process starts with the first file that needs it.
    """

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def read(self, content: bytes, suffix: str, column: str = "text") -> list[Document]:
        """The texts in the bytes of a file.

        Args:
            content: the bytes.
            suffix: how the file's name ends, such as ".md".
            column: in a table, the column of texts.

        Raises:
            UnreadableFileError: there is no text that can be read, or reading takes too much memory or time.
            MissingExtraError: the extra ``search`` is not installed.
        """
        if is_plain(suffix):
            return list(parse(content, suffix, column))
        started = time.monotonic()
        seconds = min(SECONDS + SECONDS_PER_MEGABYTE * len(content) // 1_000_000, MAX_SECONDS)
        request = {"suffix": suffix, "column": column, "size": len(content), "seconds": 2 * seconds}
        process = self._process = self._process or _start()
        timer = threading.Timer(seconds, process.kill)
        timer.start()
        try:
            documents, end = _ask(process, request, content)
        except BaseException:  # Such as Ctrl-C: the rest of this answer would be taken for the next one.
            self.close()
            raise
        finally:
            timer.cancel()
        if end is None:
            is_late = time.monotonic() - started >= seconds
            raise UnreadableFileError(_why_it_ended(self._wait_for_exit(), seconds, is_late=is_late))
        if "missing" in end:
            raise MissingExtraError(end["missing"], "search")
        if "unreadable" in end:
            raise UnreadableFileError(end["unreadable"])
        return documents

    def close(self) -> None:
        """End the process."""
        if self._process is not None:
            self._process.kill()
            self._wait_for_exit()

    def _wait_for_exit(self) -> int:
        """Wait for the process to end, and return its exit status: negative for a signal."""
        if self._process is None:
            return 0
        process, self._process = self._process, None
        try:
            process.wait(_EXIT_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):  # It may hold something that was never written.
                    pipe.close()
        return process.wait()


def _start() -> subprocess.Popen[bytes]:
    command = [sys.executable, "-P", "-m", "pellucid.search.reader_process", str(MEMORY_BYTES)]
    pipe = subprocess.PIPE
    try:
        return subprocess.Popen(
            command, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL, env=os.environ | _FEW_THREADS
        )
    except OSError as error:
        raise UnreadableFileError(
            f"the process that reads files could not start ({error.strerror or error})"
        ) from error


def _ask(
    process: subprocess.Popen[bytes], request: dict[str, Any], content: bytes
) -> tuple[list[Document], dict[str, Any] | None]:
    """The texts that the process finds, and its last line, which says how it ended; None if that line is missing."""
    documents: list[Document] = []
    if process.stdin is None or process.stdout is None:
        return documents, None
    try:
        process.stdin.write(json.dumps(request).encode() + b"\n" + content)
        process.stdin.flush()
    except OSError:  # The process is gone.
        return documents, None
    for line in process.stdout:
        if not line.endswith(b"\n"):
            break
        answer = json.loads(line)
        if isinstance(answer, dict):
            return documents, answer
        for text, kind, part, headings in answer:
            documents.append(Document(text, kind, part, tuple((start, heading) for start, heading in headings)))
    return documents, None


def _why_it_ended(status: int, seconds: int, *, is_late: bool) -> str:
    if is_late:
        return f"reading it takes more than {seconds} seconds"
    if status == OUT_OF_MEMORY:
        return f"reading it takes more than {MEMORY_BYTES >> 30} GiB of memory"
    return f"the process that read it crashed (exit status {status})"
