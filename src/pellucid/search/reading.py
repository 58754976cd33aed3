"""Reading files that may be hostile: those whose formats can lie, in a process of bounded memory and time.

A small file can ask for any memory (a dictionary in Parquet), for any time (nested elements of HTML), or crash a
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

MEMORY = 2 << 30
"""How many bytes of memory the process may have, where the system can hold it to that: on Linux."""
SECONDS, SECONDS_PER_MEGABYTE, MOST_SECONDS = 10, 5, 120
"""How long it may read one file: some time for each, and more for a large one."""
_PATIENCE = 10
_ALONE = {"MALLOC_ARENA_MAX": "2", "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}


class DocumentReader:
    """Reads files, one after another. Close it, or use it in a ``with`` block.

    Its process is started for the first file that needs it.
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
            column: of a table, where the texts are.

        Raises:
            UnreadableFileError: there is no text that can be read, or reading it takes too much memory or time.
            MissingExtraError: the extra ``search`` is not installed.
        """
        if is_plain(suffix):
            return list(parse(content, suffix, column))
        started = time.monotonic()
        seconds = min(SECONDS + SECONDS_PER_MEGABYTE * len(content) // 1_000_000, MOST_SECONDS)
        question = {"suffix": suffix, "column": column, "size": len(content), "seconds": 2 * seconds}
        process = self._process = self._process or _start()
        timer = threading.Timer(seconds, process.kill)
        timer.start()
        try:
            documents, end = _ask(process, question, content)
        except BaseException:  # Such as Ctrl-C: what the process still says would be taken for its next answer.
            self.close()
            raise
        finally:
            timer.cancel()
        if end is None:
            is_late = time.monotonic() - started >= seconds
            raise UnreadableFileError(_why_it_ended(self._ended(), seconds, is_late=is_late))
        if "missing" in end:
            raise MissingExtraError(end["missing"], "search")
        if "unreadable" in end:
            raise UnreadableFileError(end["unreadable"])
        return documents

    def close(self) -> None:
        """End the process."""
        if self._process is not None:
            self._process.kill()
            self._ended()

    def _ended(self) -> int:
        """The exit status of the process, which is ending; negative for a signal."""
        if self._process is None:
            return 0
        process, self._process = self._process, None
        try:
            process.wait(_PATIENCE)
        except subprocess.TimeoutExpired:
            process.kill()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):  # There may be something in it that was never written.
                    pipe.close()
        return process.wait()


def _start() -> subprocess.Popen[bytes]:
    command = [sys.executable, "-P", "-m", "pellucid.search.reader_process", str(MEMORY)]
    pipe, nowhere = subprocess.PIPE, subprocess.DEVNULL
    try:
        return subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=nowhere, env=os.environ | _ALONE)
    except OSError as error:
        raise UnreadableFileError(f"no process could be started to read it ({error.strerror or error})") from error


def _ask(
    process: subprocess.Popen[bytes], question: dict[str, Any], content: bytes
) -> tuple[list[Document], dict[str, Any] | None]:
    """The texts that the process finds, and how it ended; None if it did not come to an end."""
    documents: list[Document] = []
    if process.stdin is None or process.stdout is None:
        return documents, None
    try:
        process.stdin.write(json.dumps(question).encode() + b"\n" + content)
        process.stdin.flush()
    except OSError:  # It is gone.
        return documents, None
    for line in process.stdout:
        if not line.endswith(b"\n"):
            break
        told = json.loads(line)
        if isinstance(told, dict):
            return documents, told
        documents += (Document(*each) for each in told)
    return documents, None


def _why_it_ended(status: int, seconds: int, *, is_late: bool) -> str:
    if is_late:
        return f"reading it takes more than {seconds} seconds"
    if status == OUT_OF_MEMORY:
        return f"reading it takes more than {MEMORY >> 30} GiB of memory"
    return f"reading it ended the process that read it (exit status {status})"
