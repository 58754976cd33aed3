"""Files that are no files, or not what their name says: put in the place of any file."""

from __future__ import annotations

import os
import random
import socket
from collections.abc import Callable
from pathlib import Path

Change = Callable[[random.Random, Path], None]


def _removed(path: Path) -> None:
    path.unlink(missing_ok=True)


def fifo(_rng: random.Random, path: Path) -> None:
    _removed(path)
    os.mkfifo(path)


def endless(rng: random.Random, path: Path) -> None:
    _removed(path)
    path.symlink_to(rng.choice(("/dev/zero", "/dev/urandom", "/dev/full", "/dev/tty", "/proc/self/mem")))


def looping(_rng: random.Random, path: Path) -> None:
    _removed(path)
    path.symlink_to(path.name)


def dangling(_rng: random.Random, path: Path) -> None:
    _removed(path)
    path.symlink_to("nowhere")


def folder(_rng: random.Random, path: Path) -> None:
    _removed(path)
    path.mkdir()


def own_folder(_rng: random.Random, path: Path) -> None:
    _removed(path)
    path.symlink_to(".")


def listening(_rng: random.Random, path: Path) -> None:
    _removed(path)
    here = Path.cwd()
    os.chdir(path.parent)  # The path of a socket is short.
    with socket.socket(socket.AF_UNIX) as opened:
        opened.bind(path.name)
    os.chdir(here)


def gone(_rng: random.Random, path: Path) -> None:
    _removed(path)


def empty(_rng: random.Random, path: Path) -> None:
    _replaced(path, b"")


def cut(rng: random.Random, path: Path) -> None:
    content = path.read_bytes()
    _replaced(path, content[: rng.randrange(len(content) + 1)])


def longer(rng: random.Random, path: Path) -> None:
    _replaced(path, path.read_bytes() + rng.choice((b"\0", b"}", b"\n\n{}", rng.randbytes(1000))))


def sparse(rng: random.Random, path: Path) -> None:
    """Grown by a gigabyte of zeros that take no room."""
    content = path.read_bytes()
    _replaced(path, b"" if rng.random() < 0.5 else content)
    os.truncate(path, 1 << 30)


def utf_16(rng: random.Random, path: Path) -> None:
    text = path.read_bytes().decode("utf-8", "replace")
    _replaced(path, text.encode(rng.choice(("utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-8-sig"))))


def flipped(rng: random.Random, path: Path) -> None:
    """Some bits changed."""
    content = bytearray(path.read_bytes())
    for _ in range(rng.choice((1, 1, 3, 30))):
        if content:
            content[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
    _replaced(path, bytes(content))


def overwritten(rng: random.Random, path: Path) -> None:
    """A stretch of it is zeros, or noise."""
    content = bytearray(path.read_bytes())
    begin = rng.randrange(len(content) + 1)
    end = min(len(content), begin + rng.choice((1, 16, 512, 4096, 16384)))
    content[begin:end] = bytes(end - begin) if rng.random() < 0.5 else rng.randbytes(end - begin)
    _replaced(path, bytes(content))


def noise(rng: random.Random, path: Path) -> None:
    _replaced(path, rng.randbytes(rng.choice((1, 8, 100, 5000))))


NO_FILES: tuple[Change, ...] = (fifo, endless, looping, dangling, folder, own_folder, listening, gone)
OTHER_BYTES: tuple[Change, ...] = (empty, cut, longer, sparse, utf_16, flipped, overwritten, noise)


def _replaced(path: Path, content: bytes) -> None:
    """Written anew: what has the same bytes by a link keeps its own."""
    _removed(path)
    path.write_bytes(content)


replace_file = _replaced


def any_file(rng: random.Random, below: Path) -> Path:
    """One of the files below a folder."""
    return rng.choice(sorted(path for path in below.rglob("*") if path.is_file()))


def break_any(rng: random.Random, below: Path) -> None:
    """Break one of the files below a folder."""
    rng.choice((*OTHER_BYTES, *OTHER_BYTES, *NO_FILES))(rng, any_file(rng, below))
