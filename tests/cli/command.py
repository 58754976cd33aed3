"""Run the ``pellucid`` command in this process."""

from __future__ import annotations

import io
import logging
import sys
import warnings
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
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
