"""Target ``indexes``: damaged indexes. A search gives the right chunks or a documented error, and ``--rebuild`` always
repairs the index.
"""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from fuzz import model_files

from attack import indexed, strange_files
from attack.child import Case, Limits, Result, message_fault
from attack.drawn import RandomDataProvider
from attack.killing import run_to_end
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


def prepare(shared: Path) -> Case:
    model, notes = indexed.prepare(shared, "index")
    indexed.write_notes(notes, range(25, 40))
    run_to_end(lambda: indexed.update(model, shared / "index", notes))
    run_to_end(lambda: _save(model, shared))
    expected: dict[str, Any] = json.loads((shared / "expected.json").read_text())

    def case(rng: random.Random, files: Path) -> Result:
        index, error_name = files / "index", ""
        shutil.copytree(shared / "index", index)
        rng.choice(CHANGES)(rng, index)
        for step in (_search, _update, _search, _rebuild, _search):
            try:
                step(model, index, notes, expected)
            except (IndexStateError, IndexWriteError) as error:
                fault = message_fault(str(error))
                assert fault is None, fault
                error_name = type(error).__name__
        return Result("refused", error_name) if error_name else Result()

    return case


def _search(model: Path, index: Path, _notes: Path, expected: dict[str, Any]) -> None:
    indexed.check_answers(indexed.answers(model, index), expected)


def _update(model: Path, index: Path, notes: Path, expected: dict[str, Any]) -> None:
    indexed.update(model, index, notes)
    indexed.check_answers(indexed.answers(model, index), expected)


def _rebuild(model: Path, index: Path, notes: Path, expected: dict[str, Any]) -> None:
    try:
        indexed.update(model, index, notes, rebuild=True)
    except IndexWriteError:  # This is allowed: the index cannot be written.
        raise
    except PellucidError as error:
        raise AssertionError(f"a rebuild does not repair the index: {error}") from error
    indexed.check_answers(indexed.answers(model, index), expected)


def _save(model: Path, shared: Path) -> None:
    (shared / "expected.json").write_text(json.dumps(indexed.answers(model, shared / "index")))


def _pointer_file(rng: random.Random, index: Path) -> None:
    """Change the content of ``index.json``."""
    path = index / "index.json"
    content = json.loads(path.read_bytes())
    choice = rng.randrange(4)
    if choice == 0:
        replace_file(path, model_files.mutate(path.read_bytes(), path, RandomDataProvider(rng)))
        return
    part = rng.choice(("pointer", "pointer", "identity", "format"))
    if part == "format" or choice == 1:
        content[part] = rng.choice(VALUES)
    else:
        content[part][rng.choice(sorted(content[part]))] = rng.choice(VALUES)
    replace_file(path, json.dumps(content).encode())


def _any_file(rng: random.Random, index: Path) -> None:
    strange_files.break_any(rng, index)


def _data_file(rng: random.Random, index: Path) -> None:
    """Damage a file with the table's rows."""
    path = rng.choice(sorted(index.rglob("*.lance/data/*")))
    rng.choice(strange_files.CONTENT_CHANGES)(rng, path)


def _table_metadata(rng: random.Random, index: Path) -> None:
    """Damage the word index, or a file that records the table's versions."""
    places = [
        path
        for part in ("_indices", "_versions", "_transactions", "_deletions")
        for path in index.rglob(f"{part}/**/*")
    ]
    path = rng.choice(sorted(path for path in places if path.is_file()))
    rng.choice((*strange_files.CONTENT_CHANGES, strange_files.remove))(rng, path)


def _folder(rng: random.Random, index: Path) -> None:
    """Remove a folder, empty it, or put a file or a link in its place."""
    folders = sorted(path for path in index.rglob("*") if path.is_dir())
    path = rng.choice(folders)
    choice = rng.randrange(4)
    shutil.rmtree(path)
    if choice == 0:
        path.mkdir()
    elif choice == 1:
        path.write_bytes(b"a file")
    elif choice == 2:
        path.symlink_to(".")


def _extra_entry(rng: random.Random, index: Path) -> None:
    """Add something that only looks like a table, or a table that no index uses; or replace the lock by a non-file."""
    choice = rng.randrange(4)
    name = rng.choice(("staged-x.lance", "chunks-x.lance", "other.lance", "\x1b.lance"))
    if choice == 0:
        (index / name).mkdir()
    elif choice == 1:
        shutil.copytree(next(index.glob("chunks-*.lance")), index / name)
    elif choice == 2:
        (index / name).write_bytes(rng.randbytes(100))
    else:
        (index / "lock").unlink(missing_ok=True)
        replace = rng.choice((strange_files.make_fifo, strange_files.make_folder, strange_files.link_to_itself))
        replace(rng, index / "lock")


CHANGES: tuple[Callable[[random.Random, Path], None], ...] = (
    *(_pointer_file, _pointer_file, _any_file, _any_file, _data_file, _data_file),
    *(_table_metadata, _table_metadata, _folder, _extra_entry),
)
TARGET = Target(
    prepare,
    cases=300,
    short=6,
    invariant="right answers, IndexStateError or IndexWriteError; a rebuild repairs the index",
    limits=Limits(seconds=60),
)
