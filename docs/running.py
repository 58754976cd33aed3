"""Runs the blocks of a page as a reader would: in order, in one folder that is empty at first.

All Python on a page is one program. The commands of a ``console`` block run in a shell, one after another, except those
that install something. Their output goes to a pseudo-terminal, so a page shows what a person sees, and not what a
program would get. A ``pellucid serve`` runs until the end of the page, at a free port; wherever the page has the
port 8080, the free port is used, and the output shows 8080 again. :func:`matches` compares the output of commands with
the page. The output does not depend on the terminal, locale, home folder or cache of the person who runs the page.
"""

from __future__ import annotations

import collections
import contextlib
import importlib.util
import io
import itertools
import os
import pty
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from docs.blocks import Block, blocks

from pellucid.sources import hf_cache, package_index

_INSTALL_COMMAND = re.compile(r"(\S*pip|make|apt|apt-get|docker) ")
_SERVE_COMMAND = re.compile(r"pellucid serve (?!--help)")
_NUMBER = re.compile(r"[-+]?\d[\d,]*(?:\.\d+)?(?:e[-+]?\d+)?")
_PORT = "8080"
_ADDRESS = re.compile(r"http://[\d.]+:(\d+)")
# Environment variables that change what programs print. They differ from person to person.
PERSONAL_VARIABLES = (
    *("CLICOLOR_FORCE", "COLORTERM", "COLUMNS", "FORCE_COLOR", "JUPYTER_COLUMNS", "LINES", "NO_COLOR", "PY_COLORS"),
    *("TERM", "TERMINAL_WIDTH", "TTY_COMPATIBLE", "TTY_INTERACTIVE", "GITHUB_ACTIONS", "PYTHONWARNINGS"),
    *("LANG", "LANGUAGE", "LC_ALL", "PELLUCID_API_KEYS"),
)
# Rich looks at the size of a dumb terminal only if both of its numbers are there.
_PAGE_VARIABLES = {"COLUMNS": "110", "LINES": "50", "NO_COLOR": "1", "TERM": "dumb"}
_PAGE_VARIABLES |= {"LC_ALL": "C.UTF-8", "PYTHONUTF8": "1"}
_MAX_SECONDS = 300
"""A command that takes longer is ended."""
_BYTES_PER_READ = 1 << 16
_BARS = re.compile(r"[█▉▊▋▌▍▎▏▓▒░─]+")


@dataclass(frozen=True)
class Output:
    """What a block of Python, or one command of a ``console`` block, printed.

    Attributes:
        block: the block.
        command: the command of a ``console`` block; "" for Python.
        expected: the output that the page shows; None if the page shows no output below the Python.
        actual: the output of this run. For a command, it includes standard error.
        status: the exit status of a command.
    """

    block: Block
    command: str
    expected: str | None
    actual: str
    status: int = 0

    @property
    def should_fail(self) -> bool:
        """True if the page shows an error message of the command."""
        return bool(re.search(r"^(pellucid:|Usage: .*\n.*\nError)", self.expected or "", flags=re.MULTILINE))


def run(page: str, folder: Path, *, helps: bool = True) -> Iterator[Output]:
    """Run a page.

    Args:
        page: Markdown.
        folder: an empty folder, which is the working directory of the page's code.
        helps: run the commands that end with ``--help``, too.

    Yields:
        The output of each block of Python and of each command. Blocks that need a missing package are skipped.
    """
    program: dict[str, object] = {"__name__": "__main__"}
    port = _PORT
    with contextlib.ExitStack() as servers:
        for block, following in itertools.pairwise([*blocks(page), None]):
            if block is None or not block.runs or not all(map(importlib.util.find_spec, block.needs)):
                continue
            if block.language == "python":
                expected = following.code if following is not None and _is_output(page, block, following) else None
                actual = run_python(block.code.replace(_PORT, port), program, folder)
                yield Output(block, "", expected, actual.replace(port, _PORT))
                continue
            for command, expected in block.commands:
                if command.endswith("--help") and not helps:
                    continue
                if _SERVE_COMMAND.match(command):
                    actual, status = servers.enter_context(_serving(f"{command} --port 0", folder))
                    address = _ADDRESS.search(actual)
                    port = address[1] if address else port
                elif not _INSTALL_COMMAND.match(command):
                    actual, status = run_command(command.replace(_PORT, port), folder)
                else:
                    continue
                yield Output(block, command, expected, actual.replace(port, _PORT), status)


def run_python(code: str, program: dict[str, object], folder: Path) -> str:
    """Run code with ``program`` as its namespace. Returns what it prints, without spaces at the ends of lines."""
    stdout = io.StringIO()
    with contextlib.chdir(folder), contextlib.redirect_stdout(stdout):
        exec(compile(code, "<page>", "exec"), program)
    return "".join(f"{line.rstrip()}\n" for line in stdout.getvalue().splitlines())


def run_command(command: str, folder: Path) -> tuple[str, int]:
    """Run a command in a shell. Returns its output, which includes standard error, and its exit status."""
    with _start(command, folder) as (process, lines):
        watchdog = threading.Timer(_MAX_SECONDS, process.kill)
        watchdog.start()
        output = "".join(lines)
        watchdog.cancel()
        return _with_usual_paths(output), process.wait()


def _with_usual_paths(output: str) -> str:
    """The output, with the home folder as ``~``, and with the caches at their default paths."""
    places = {hf_cache.directory(None): "~/.cache/huggingface/hub", package_index.directory(None): "~/.cache/pellucid"}
    for place, usual in {**places, Path.home(): "~"}.items():
        if place != Path("/"):
            # A path with spaces may be on two lines.
            output = re.sub(r"\s".join(map(re.escape, str(place).split(" "))), usual, output)
    return output


@contextlib.contextmanager
def _serving(command: str, folder: Path) -> Iterator[tuple[str, int]]:
    """Start a server, and stop it at the end.

    Yields:
        The line that it prints when it is ready, and 0. If it does not start: all its output, and its exit status.
    """
    with _start(f"exec {command}", folder) as (process, lines):
        # A terminal that nobody reads soon makes the server wait.
        reading = threading.Thread(target=collections.deque, args=(lines, 0))
        try:
            shown = list(_until(lines, "Pellucid serves"))
            reading.start()
            if shown and shown[-1].startswith("Pellucid serves"):
                yield shown[-1], 0
            else:
                yield "".join(shown), process.wait()
        finally:
            process.terminate()
            reading.join()


def _until(lines: Iterator[str], beginning: str) -> Iterator[str]:
    for line in lines:
        yield line
        if line.startswith(beginning):
            return


@contextlib.contextmanager
def _start(command: str, folder: Path) -> Iterator[tuple[subprocess.Popen[bytes], Iterator[str]]]:
    """Start a command in a pseudo-terminal. Yields its process, and the lines that the terminal shows."""
    inherited = {name: value for name, value in os.environ.items() if name not in PERSONAL_VARIABLES}
    path = {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    terminal, its_end = pty.openpty()
    try:
        process = subprocess.Popen(
            ["bash", "-o", "pipefail", "-c", command],  # noqa: S607
            cwd=folder,
            env={**inherited, **path, **_PAGE_VARIABLES},
            stdin=subprocess.DEVNULL,
            stdout=its_end,
            stderr=its_end,
        )
    finally:
        os.close(its_end)
    try:
        with process:
            yield process, map(shown_line, _lines(terminal))
    finally:
        os.close(terminal)


def _lines(terminal: int) -> Iterator[str]:
    """What was written to a pseudo-terminal, line by line, until every process that writes there has ended."""
    rest = b""
    while True:
        try:
            written = os.read(terminal, _BYTES_PER_READ)
        except OSError:  # How Linux says that this was the end. Others return nothing.
            written = b""
        *lines, rest = (rest + written).split(b"\n")
        yield from (f"{line.decode()}\n" for line in lines)
        if not written:
            break
    if rest:
        yield rest.decode()


def shown_line(line: str) -> str:
    r"""A line as a terminal shows it: after a carriage return, what follows overwrites what was there.

    >>> shown_line("working\rdone   \r\n")
    'done\n'
    """
    end = "\n" if line.endswith("\n") else ""
    shown = ""
    for part in line.removesuffix("\n").split("\r"):
        shown = part + shown[len(part) :]
    return (shown.rstrip() if "\r" in line.removesuffix("\r\n") else shown) + end


def matches(expected: str, actual: str) -> bool:
    """True if the output of a command is what the page shows, apart from what differs from machine to machine.

    Any number matches any other number. Bars made of block characters, spaces and line breaks don't matter. A ``…`` on
    the page matches anything: inside a word, any letters; on its own, any words. A page that shows no output matches
    any output.
    """
    if not expected.strip():
        return True
    pattern = "".join(r"(?:\S+ )*" if word == "…" else f"{_as_pattern(word)} " for word in _words(expected))
    return re.fullmatch(pattern, "".join(f"{word} " for word in _words(actual))) is not None


def _as_pattern(word: str) -> str:
    return r"\S*".join(map(re.escape, word.split("…")))


def _words(output: str) -> list[str]:
    return _BARS.sub(" ", _NUMBER.sub("0", output)).split()


def _is_output(page: str, block: Block, following: Block) -> bool:
    """True if the next block shows the output of ``block``: a ``text`` block after one blank line."""
    between = page[block.start + len(block.code) : following.start]
    return following.language == "text" and between == "```\n\n```text\n"
