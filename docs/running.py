"""Runs the blocks of a page as a reader would: in their order, in one folder, which is empty at first.

The Python of a page is one program. The commands of a ``console`` block go to a shell, one after another; those that
install something are passed over. ``pellucid serve`` serves to the end of the page, at a free port, which stands for
the page's 8080. What is printed is compared with the page by :func:`alike`. Nobody's terminal, locale, home folder or
cache changes what is printed.
"""

from __future__ import annotations

import contextlib
import importlib.util
import io
import itertools
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from docs.blocks import Block, blocks

from pellucid.sources import hf_cache, package_index

_INSTALLS = re.compile(r"(\S*pip|make|apt|apt-get|docker) ")
_SERVES = re.compile(r"pellucid serve (?!--help)")
_NUMBER = re.compile(r"[-+]?\d[\d,]*(?:\.\d+)?(?:e[-+]?\d+)?")
_PORT = "8080"
_ADDRESS = re.compile(r"http://[\d.]+:(\d+)")
# Variables of the reader's machine that change what is printed.
PERSONAL = (
    *("CLICOLOR_FORCE", "COLORTERM", "COLUMNS", "FORCE_COLOR", "JUPYTER_COLUMNS", "LINES", "NO_COLOR", "PY_COLORS"),
    *("TERM", "TERMINAL_WIDTH", "TTY_COMPATIBLE", "TTY_INTERACTIVE", "GITHUB_ACTIONS", "PYTHONWARNINGS"),
    *("LANG", "LANGUAGE", "LC_ALL", "PELLUCID_API_KEYS"),
)
_OF_A_PAGE = {"COLUMNS": "110", "NO_COLOR": "1", "TERM": "dumb", "LC_ALL": "C.UTF-8", "PYTHONUTF8": "1"}
_BARS = re.compile(r"[█▉▊▋▌▍▎▏▓▒░─]+")


@dataclass(frozen=True)
class Printed:
    """What a block, or one command of it, printed.

    Attributes:
        block: the block.
        command: of a ``console`` block, the command; "" of Python.
        expected: what the page says; None where nothing stands below Python.
        actual: what it was. A command's standard error is in it.
        status: how a command ended.
    """

    block: Block
    command: str
    expected: str | None
    actual: str
    status: int = 0

    @property
    def should_fail(self) -> bool:
        """Whether the page shows an error of the command's."""
        return bool(re.search(r"^(pellucid:|Usage: .*\n.*\nError)", self.expected or "", flags=re.MULTILINE))


def run(page: str, folder: Path) -> Iterator[Printed]:
    """Run a page.

    Args:
        page: Markdown.
        folder: empty; the working directory while the page is run.

    Yields:
        What each block printed. Blocks that need a package that is not here are left out.
    """
    program: dict[str, object] = {"__name__": "__main__"}
    port = _PORT
    found = blocks(page)
    with contextlib.ExitStack() as servers:
        for block, after in itertools.pairwise([*found, None]):
            if block is None or not block.runs or not all(map(importlib.util.find_spec, block.needs)):
                continue
            if block.language == "python":
                expected = after.code if after is not None and _follows(page, block, after) else None
                actual = run_python(block.code.replace(_PORT, port), program, folder)
                yield Printed(block, "", expected, actual.replace(port, _PORT))
                continue
            for command, expected in block.commands:
                if _SERVES.match(command):
                    actual, status = servers.enter_context(_serving(f"{command} --port 0", folder))
                    address = _ADDRESS.search(actual)
                    port = address[1] if address else port
                elif not _INSTALLS.match(command):
                    actual, status = run_command(command.replace(_PORT, port), folder)
                else:
                    continue
                yield Printed(block, command, expected, actual.replace(port, _PORT), status)


def run_python(code: str, program: dict[str, object], folder: Path) -> str:
    """What code prints, without the spaces at the ends of its lines. ``program`` is its namespace."""
    printed = io.StringIO()
    with contextlib.chdir(folder), contextlib.redirect_stdout(printed):
        exec(compile(code, "<page>", "exec"), program)
    return "".join(f"{line.rstrip()}\n" for line in printed.getvalue().splitlines())


def run_command(command: str, folder: Path) -> tuple[str, int]:
    """What a shell prints for a command, standard error included, and its exit status."""
    with _started(command, folder) as process:
        printed, _ = process.communicate(timeout=300)
    return _at_home(printed), process.returncode


def _at_home(printed: str) -> str:
    """What was printed, with the reader's home as ``~`` and the caches where they are unless a variable moves them."""
    places = {hf_cache.directory(None): "~/.cache/huggingface/hub", package_index.directory(None): "~/.cache/pellucid"}
    for place, shown in {**places, Path.home(): "~"}.items():
        if place != Path("/"):
            printed = printed.replace(str(place), shown)
    return printed


@contextlib.contextmanager
def _serving(command: str, folder: Path) -> Iterator[tuple[str, int]]:
    """A server, to the end of the page: what it says once it answers; or all, and its status, if it does not start."""
    with _started(f"exec {command}", folder) as process:
        try:
            lines = list(_until(process, "Pellucid serves"))
            if lines and lines[-1].startswith("Pellucid serves"):
                yield lines[-1], 0
            else:
                yield "".join(lines), process.wait()
        finally:
            process.terminate()


def _until(process: subprocess.Popen[str], beginning: str) -> Iterator[str]:
    for line in process.stdout or ():
        yield line
        if line.startswith(beginning):
            return


def _started(command: str, folder: Path) -> subprocess.Popen[str]:
    kept = {name: value for name, value in os.environ.items() if name not in PERSONAL}
    found = {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    return subprocess.Popen(
        ["bash", "-o", "pipefail", "-c", command],  # noqa: S607
        cwd=folder,
        env={**kept, **found, **_OF_A_PAGE},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
    )


def alike(expected: str, actual: str) -> bool:
    """Whether a command printed what the page says, but for what differs from machine to machine.

    Numbers, bars made of blocks, spaces and where lines are broken are of no account. ``…`` on the page is anything: in
    a word, some letters; on its own, any number of words. A page that says nothing is right.
    """
    if not expected.strip():
        return True
    pattern = "".join(r"(?:\S+ )*" if word == "…" else f"{_as_pattern(word)} " for word in _words(expected))
    return re.fullmatch(pattern, "".join(f"{word} " for word in _words(actual))) is not None


def _as_pattern(word: str) -> str:
    return r"\S*".join(map(re.escape, word.split("…")))


def _words(printed: str) -> list[str]:
    return _BARS.sub(" ", _NUMBER.sub("0", printed)).split()


def _follows(page: str, block: Block, after: Block) -> bool:
    between = page[block.start + len(block.code) : after.start]
    return after.language == "text" and between == "```\n\n```text\n"
