"""Ways to break a file: replace it by something that is not a file, or change its content."""

from __future__ import annotations

import os
import random
import socket
from collections.abc import Callable
from pathlib import Path

Change = Callable[[random.Random, Path], None]


def _remove(path: Path) -> None:
    path.unlink(missing_ok=True)


def make_fifo(_rng: random.Random, path: Path) -> None:
    _remove(path)
    os.mkfifo(path)


def link_to_device(rng: random.Random, path: Path) -> None:
    _remove(path)
    path.symlink_to(rng.choice(("/dev/zero", "/dev/urandom", "/dev/full", "/dev/tty", "/proc/self/mem")))


def link_to_itself(_rng: random.Random, path: Path) -> None:
    _remove(path)
    path.symlink_to(path.name)


def link_to_nothing(_rng: random.Random, path: Path) -> None:
    _remove(path)
    path.symlink_to("nowhere")


def make_folder(_rng: random.Random, path: Path) -> None:
    _remove(path)
    path.mkdir()


def link_to_own_folder(_rng: random.Random, path: Path) -> None:
    _remove(path)
    path.symlink_to(".")


def make_socket(_rng: random.Random, path: Path) -> None:
    _remove(path)
    here = Path.cwd()
    os.chdir(path.parent)  # The system limits the length of a socket's path, so bind a relative one.
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(path.name)
    os.chdir(here)


def remove(_rng: random.Random, path: Path) -> None:
    _remove(path)


def empty(_rng: random.Random, path: Path) -> None:
    replace_file(path, b"")


def cut_short(rng: random.Random, path: Path) -> None:
    content = path.read_bytes()
    replace_file(path, content[: rng.randrange(len(content) + 1)])


def append(rng: random.Random, path: Path) -> None:
    replace_file(path, path.read_bytes() + rng.choice((b"\0", b"}", b"\n\n{}", rng.randbytes(1000))))


def make_sparse(rng: random.Random, path: Path) -> None:
    """Make the file a gigabyte long, with zeros that take no space on the disk."""
    content = path.read_bytes()
    replace_file(path, b"" if rng.random() < 0.5 else content)
    os.truncate(path, 1 << 30)


def change_encoding(rng: random.Random, path: Path) -> None:
    text = path.read_bytes().decode("utf-8", "replace")
    replace_file(path, text.encode(rng.choice(("utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-8-sig"))))


def flip_bits(rng: random.Random, path: Path) -> None:
    content = bytearray(path.read_bytes())
    for _ in range(rng.choice((1, 1, 3, 30))):
        if content:
            content[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
    replace_file(path, bytes(content))


def overwrite_range(rng: random.Random, path: Path) -> None:
    """Overwrite consecutive bytes with zeros or with random bytes."""
    content = bytearray(path.read_bytes())
    begin = rng.randrange(len(content) + 1)
    end = min(len(content), begin + rng.choice((1, 16, 512, 4096, 16384)))
    content[begin:end] = bytes(end - begin) if rng.random() < 0.5 else rng.randbytes(end - begin)
    replace_file(path, bytes(content))


def replace_with_noise(rng: random.Random, path: Path) -> None:
    replace_file(path, rng.randbytes(rng.choice((1, 8, 100, 5000))))


NON_FILES: tuple[Change, ...] = (
    *(make_fifo, link_to_device, link_to_itself, link_to_nothing),
    *(make_folder, link_to_own_folder, make_socket, remove),
)
"""Put something in the file's place that is not a regular file, or nothing."""
CONTENT_CHANGES: tuple[Change, ...] = (
    *(empty, cut_short, append, make_sparse),
    *(change_encoding, flip_bits, overwrite_range, replace_with_noise),
)
"""Change the file's content."""


def replace_file(path: Path, content: bytes) -> None:
    """Write a new file in place of the old one. Other hard links to the old file keep its content."""
    _remove(path)
    path.write_bytes(content)


def any_file(rng: random.Random, below: Path) -> Path:
    """Choose one of the files below a folder."""
    return rng.choice(sorted(path for path in below.rglob("*") if path.is_file()))


def break_any(rng: random.Random, below: Path) -> None:
    """Break one of the files below a folder."""
    rng.choice((*CONTENT_CHANGES, *CONTENT_CHANGES, *NON_FILES))(rng, any_file(rng, below))
