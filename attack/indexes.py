"""Indexes that were corrupted: the right answers, or a documented error; and ``rebuild`` always mends them."""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from fuzz import model_files

from attack import indexed, strange_files
from attack.child import Attack, Bounds, Result, unfit
from attack.drawn import Drawn
from attack.killing import finished
from attack.strange_files import replace_file
from attack.target import Target
from pellucid.errors import IndexStateError, IndexWriteError, PellucidError

VALUES = (
    0,
    -1,
    1,
    2,
    99,
    2**31,
    2**63,
    10**30,
    "",
    "../x",
    "chunks-",
    "\0",
    "\x1b",
    None,
    [],
    {},
    True,
    0.5,
    "a" * 5000,
)


def prepare(shared: Path) -> Attack:
    model, notes = indexed.prepare(shared, "index")
    indexed.write_notes(notes, range(25, 40))
    finished(lambda: indexed.update(model, shared / "index", notes))
    finished(lambda: _save(model, shared))
    expected: dict[str, Any] = json.loads((shared / "expected.json").read_text())

    def attack(rng: random.Random, files: Path) -> Result:
        index, refused = files / "index", ""
        shutil.copytree(shared / "index", index)
        rng.choice(CHANGES)(rng, index)
        for step in (_search, _update, _search, _rebuild, _search):
            try:
                step(model, index, notes, expected)
            except (IndexStateError, IndexWriteError) as error:
                fault = unfit(str(error))
                assert fault is None, fault
                refused = type(error).__name__
        return Result("refused", refused) if refused else Result()

    return attack


def _search(model: Path, index: Path, _notes: Path, expected: dict[str, Any]) -> None:
    indexed.check_answers(indexed.answers(model, index), expected)


def _update(model: Path, index: Path, notes: Path, expected: dict[str, Any]) -> None:
    indexed.update(model, index, notes)
    indexed.check_answers(indexed.answers(model, index), expected)


def _rebuild(model: Path, index: Path, notes: Path, expected: dict[str, Any]) -> None:
    try:
        indexed.update(model, index, notes, rebuild=True)
    except IndexWriteError:  # Where it can't be written, it says so.
        raise
    except PellucidError as error:
        raise AssertionError(f"a rebuild does not mend it: {error}") from error
    indexed.check_answers(indexed.answers(model, index), expected)


def _save(model: Path, shared: Path) -> None:
    (shared / "expected.json").write_text(json.dumps(indexed.answers(model, shared / "index")))


def _pointer(rng: random.Random, index: Path) -> None:
    """What ``index.json`` says."""
    path = index / "index.json"
    told = json.loads(path.read_bytes())
    what = rng.randrange(4)
    if what == 0:
        replace_file(path, model_files.changed(path.read_bytes(), path, Drawn(rng)))
        return
    part = rng.choice(("pointer", "pointer", "identity", "format"))
    if part == "format" or what == 1:
        told[part] = rng.choice(VALUES)
    else:
        told[part][rng.choice(sorted(told[part]))] = rng.choice(VALUES)
    replace_file(path, json.dumps(told).encode())


def _any(rng: random.Random, index: Path) -> None:
    strange_files.break_any(rng, index)


def _data(rng: random.Random, index: Path) -> None:
    """A file with rows in it."""
    path = rng.choice(sorted(index.rglob("*.lance/data/*")))
    rng.choice(strange_files.OTHER_BYTES)(rng, path)


def _words(rng: random.Random, index: Path) -> None:
    """The index of words, or what says which versions there are."""
    places = [
        path
        for part in ("_indices", "_versions", "_transactions", "_deletions")
        for path in index.rglob(f"{part}/**/*")
    ]
    path = rng.choice(sorted(path for path in places if path.is_file()))
    rng.choice((*strange_files.OTHER_BYTES, strange_files.gone))(rng, path)


def _folders(rng: random.Random, index: Path) -> None:
    """Whole folders removed, emptied, or of another's place."""
    folders = sorted(path for path in index.rglob("*") if path.is_dir())
    path = rng.choice(folders)
    what = rng.randrange(4)
    shutil.rmtree(path)
    if what == 0:
        path.mkdir()
    elif what == 1:
        path.write_bytes(b"a file")
    elif what == 2:
        path.symlink_to(".")


def _more(rng: random.Random, index: Path) -> None:
    """Tables that are none, or nobody's; and a lock that is none."""
    what = rng.randrange(4)
    name = rng.choice(("staged-x.lance", "chunks-x.lance", "other.lance", "\x1b.lance"))
    if what == 0:
        (index / name).mkdir()
    elif what == 1:
        shutil.copytree(next(index.glob("chunks-*.lance")), index / name)
    elif what == 2:
        (index / name).write_bytes(rng.randbytes(100))
    else:
        (index / "lock").unlink(missing_ok=True)
        rng.choice((strange_files.fifo, strange_files.folder, strange_files.looping))(rng, index / "lock")


CHANGES: tuple[Callable[[random.Random, Path], None], ...] = (
    *(_pointer, _pointer, _any, _any, _data, _data, _words, _words, _folders, _more),
)
TARGET = Target(
    prepare,
    cases=300,
    short=6,
    law="right answers, IndexStateError or IndexWriteError; a rebuild mends it",
    bounds=Bounds(seconds=60),
)
