"""Run the ``pellucid`` command: in this process, or with a terminal in a process of its own."""

from __future__ import annotations

import io
import logging
import os
import subprocess
import sys
import warnings
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

from pellucid.cli import main


@dataclass(frozen=True)
class Result:
    """The exit status, and what was written to standard output and standard error."""

    code: int
    out: str
    err: str


class _Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


def run(*arguments: str, stdin: bytes = b"", terminal: bool = False) -> Result:
    """Run ``pellucid ARGUMENTS`` with ``stdin`` as standard input. Only standard output may be a terminal."""
    out, err, code = _Terminal() if terminal else io.StringIO(), io.StringIO(), 0
    handlers = logging.root.handlers[:]
    source = io.TextIOWrapper(io.BytesIO(stdin), encoding="utf-8")
    with (
        mock.patch.multiple(sys, argv=["pellucid", *arguments], stdin=source),
        warnings.catch_warnings(),
        redirect_stdout(out),
        redirect_stderr(err),
    ):
        warnings.simplefilter("default")
        try:
            main()
        except SystemExit as exit_request:
            code = exit_request.code or 0
        finally:
            logging.root.handlers[:] = handlers
    return Result(code, out.getvalue(), err.getvalue())


def run_on_terminal(*arguments: str, columns: int, out: Path) -> bytes:
    """Run ``pellucid ARGUMENTS`` with a terminal as standard error, and return what it draws there.

    Standard output goes to the file ``out``. The command must succeed. There are no such terminals on Windows.
    """
    import pty
    import termios

    main, terminal = pty.openpty()
    termios.tcsetwinsize(main, (24, columns))
    call = [sys.executable, "-m", "pellucid", *arguments]
    with (
        out.open("wb") as file,
        subprocess.Popen(call, stdout=file, stderr=terminal, stdin=subprocess.DEVNULL) as process,
    ):
        os.close(terminal)
        shown = b"".join(iter(lambda: read_terminal(main), b""))
        assert process.wait(300) == 0
    os.close(main)
    return shown


def read_terminal(terminal: int) -> bytes:
    """What a terminal shows next; nothing once its other end is closed."""
    try:
        return os.read(terminal, 4096)
    except OSError:  # Linux's way to say that the other end is closed.
        return b""
