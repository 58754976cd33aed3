"""Ways to damage the files of a folder: what disks, half a copy and wrong hands do to them."""

from __future__ import annotations

import json
import random
import shutil
from pathlib import Path


def damage(folder: Path, drawn: random.Random) -> str:
    """Damage one file, or two; returns what was done, without any bytes of them."""
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path.name != "lock")
    path = drawn.choice(files)
    way = drawn.choice([_flip, _flip, _fill, _shorten, _lengthen, _empty, _remove, _swap, _folder, _json, _number])
    way(path, files, drawn)
    return f"{way.__name__} {path.relative_to(folder)}"


def _flip(path, _files, drawn):
    content = bytearray(path.read_bytes())
    for _ in range(drawn.choice([1, 1, 8])):
        if content:
            content[drawn.randrange(len(content))] ^= 1 << drawn.randrange(8)
    path.write_bytes(content)


def _fill(path, _files, drawn):
    content = bytearray(path.read_bytes())
    start = drawn.randrange(len(content) + 1)
    content[start : start + 16] = drawn.choice([b"\0", b"\xff", b"\x7f"]) * 16
    path.write_bytes(content)


def _shorten(path, _files, drawn):
    content = path.read_bytes()
    path.write_bytes(content[: drawn.randrange(len(content) + 1)])


def _lengthen(path, _files, drawn):
    path.write_bytes(path.read_bytes() + drawn.randbytes(100))


def _empty(path, _files, _drawn):
    path.write_bytes(b"")


def _remove(path, _files, drawn):
    if drawn.random() < 0.3:
        shutil.rmtree(path.parent)
    else:
        path.unlink()


def _swap(path, files, drawn):
    other = drawn.choice([file for file in files if file.suffix == path.suffix])
    content = path.read_bytes()
    path.write_bytes(other.read_bytes())
    other.write_bytes(content)


def _folder(path, _files, _drawn):
    path.unlink()
    path.mkdir()


def _json(path, files, drawn):
    """In our own file, a value of another type or size."""
    (path,) = (file for file in files if file.name == "index.json")
    told = json.loads(path.read_bytes())
    part = drawn.choice(["pointer", "identity", "files"])
    if drawn.random() < 0.3:
        told[part] = _value(drawn)
    else:
        told[part][drawn.choice(sorted(told[part]))] = _value(drawn)
    path.write_text(json.dumps(told))


def _number(path, files, drawn):
    """LanceDB's hint of its latest version."""
    for hint in (file for file in files if file.name == "latest_version_hint.json"):
        hint.write_text(drawn.choice(["", "{}", '{"version":9999}', '{"version":-1}', '{"version":1}', "\0" * 20]))


def _value(drawn):
    return drawn.choice([None, -1, 0, 1e300, 2**70, "", "../../etc", [], {}, [[[]]], True, "\ud800"])
