"""``index.json``: whose vectors an index holds, which version of which table is valid, and what its files are."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shlex
import stat
from collections.abc import Mapping
from dataclasses import astuple, dataclass, field, replace
from pathlib import Path
from typing import Any

from pellucid.encoder.fingerprint import Fingerprint
from pellucid.errors import IndexStateError, printable
from pellucid.files.own_folders import INDEX_POINTER, INDEX_STAGED, INDEX_TABLE
from pellucid.files.whole import in_one_step
from pellucid.reprs import short_repr
from pellucid.search.damage import FileRecord, first_damaged
from pellucid.search.vector_kinds import KINDS
from pellucid.tables.vector_columns import ColumnType

_FORMAT = 4
_WITHOUT_HEADINGS = 3
"""An older format, which kept neither the headings of chunks nor the folders that were indexed."""
_WITHOUT_ENGINE = 2
"""Before that: it kept the digest, dtype and prompt of the model, but neither engine nor device."""
_WITHOUT_RECORDS = 1
"""Like format 2, but without records of files, and a name might stand for two files."""
_MAX_BYTES = 256 << 20


@dataclass(frozen=True)
class Identity:
    """Whose vectors an index holds.

    Attributes:
        model: the model's name, or its folder.
        fingerprint: what the vectors depend on besides their texts. Its task says of what kind they are.
        dimensions: the length of a vector.
        column: in tables, the column of texts.
    """

    model: str
    fingerprint: Fingerprint
    dimensions: int
    column: str

    __repr__ = short_repr

    @property
    def column_type(self) -> ColumnType:
        """The type of the column of vectors."""
        return KINDS[self.fingerprint.task].column_type(self.dimensions)

    def space(self) -> str:
        """A name for what a vector depends on besides its text. Vectors of different spaces are never mixed."""
        return self.fingerprint.key().hex()[:16]

    def completed(self, other: Identity) -> Identity:
        """The same, with what an older version did not keep taken from ``other``."""
        mine, theirs = self.fingerprint, other.fingerprint
        unknown = {name: value for name, value in vars(theirs).items() if getattr(mine, name) is None}
        return replace(self, fingerprint=replace(mine, **unknown))

    def difference(self, other: Identity, *, any_engine: bool) -> tuple[str, str] | None:
        """The first thing in which two identities differ, as a message names it: how it is here, and in the other.

        Args:
            other: the other identity.
            any_engine: True if the engine and the device may differ.
        """
        mine, theirs = self.fingerprint, other.fingerprint
        if mine.task != theirs.task:
            return f"task {KINDS[mine.task].name!r}", repr(KINDS[theirs.task].name)
        if any_engine:
            mine = replace(mine, engine=theirs.engine, device=theirs.device)
        name = mine.difference(theirs)
        if name == "model":
            return f"the model {self.model}", other.model
        if name is not None:
            return f"{name} {getattr(mine, name)!r}", repr(getattr(theirs, name))
        for name in ("dimensions", "column"):
            if getattr(self, name) != getattr(other, name):
                return f"{name} {getattr(self, name)!r}", repr(getattr(other, name))
        return None


@dataclass(frozen=True)
class Pointer:
    """The version of the table that is valid.

    Attributes:
        table: the table's name.
        version: the number of the version.
        files: what the table's files were when the version was made, by their path below the table's folder.
        roots: the folders and files that were indexed, by the name that the names of their files begin with.
        is_old: True if an older Pellucid wrote it. Then the chunks have no headings, and ``roots`` is empty.
    """

    table: str
    version: int
    files: Mapping[str, FileRecord] = field(default_factory=dict, compare=False)
    roots: Mapping[str, Path] = field(default_factory=dict, compare=False)
    is_old: bool = False

    __repr__ = short_repr


def folder_of(folder: Path, table: str) -> Path:
    """Where LanceDB keeps a table."""
    return folder / f"{table}.lance"


def write(folder: Path, pointer: Pointer, identity: Identity) -> None:
    """Make a version the valid one, in one step.

    Raises:
        OSError: it cannot be written.
    """
    content = {
        "format": _FORMAT,
        "pointer": {"table": pointer.table, "version": pointer.version},
        "identity": {**vars(identity), "fingerprint": identity.fingerprint.to_json()},
        "roots": {name: str(root) for name, root in pointer.roots.items()},
        "files": {name: astuple(file) for name, file in pointer.files.items()},
    }
    with in_one_step(folder / INDEX_POINTER) as path:
        path.write_text(json.dumps(content | {"sha256": _sha256(content)}, indent=1), encoding="utf-8")


def read(folder: Path) -> tuple[Pointer, Identity]:
    """The valid version of the index in ``folder``, once its files are known to be sound.

    Raises:
        IndexStateError: there is no index, it is damaged, or it has another format.
    """
    try:
        content = json.loads(_read_bytes(folder / INDEX_POINTER))
        if content["format"] not in (_FORMAT, _WITHOUT_HEADINGS, _WITHOUT_ENGINE, _WITHOUT_RECORDS):
            raise IndexStateError(
                f"a later version of Pellucid made the index in {folder} (format {int(content['format'])}), and this "
                f"one cannot read it. Update Pellucid, or build the index again: {rebuild_command(folder)}"
            )
        pointer, identity = _parse(content)
        damaged = first_damaged(folder_of(folder, pointer.table), pointer.files)
    except FileNotFoundError:
        raise _no_index(folder) from None
    except (OSError, ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError) as error:
        raise IndexStateError(
            f"the index in {folder} is damaged: {INDEX_POINTER} cannot be read ({_describe(error)}). Build it again: "
            f"{rebuild_command(folder)}"
        ) from error
    if damaged is not None:
        raise IndexStateError(
            f"the index in {folder} is damaged: {damaged} was changed since it was written. Build it again: "
            f"{rebuild_command(folder)}"
        )
    return pointer, identity


def is_unfinished(folder: Path) -> bool:
    """Whether chunks are waiting to be put into the index: an update was stopped, or is still running."""
    return any((folder / INDEX_STAGED).glob("*.arrow"))


def find_index(name: str, start: Path) -> tuple[Path | None, list[Path]]:
    """The nearest index of this name, in a folder or in one above it; None if there is none.

    As git does, it skips folders of other users: nobody should search what somebody else has put above their files. It
    also skips what cannot be read.

    Returns:
        The index, and the folders of that name that were skipped, nearest first.
    """
    skipped = []
    for place in (folder / name for folder in (start, *start.parents)):
        try:
            if not _is_own(place):
                skipped.append(place)
            elif (place / INDEX_POINTER).is_file() or is_unfinished(place):
                return place, skipped
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError:
            skipped.append(place)
    return None, skipped


def _is_own(path: Path) -> bool:
    """Whether a file or folder belongs to the user of this process. Windows does not say."""
    owner = path.stat().st_uid
    return not hasattr(os, "geteuid") or owner == os.geteuid()


def index_command(folder: Path) -> str:
    """The command that makes or updates an index."""
    return f"pellucid index FOLDER --index {shlex.quote(str(folder))}"


def rebuild_command(folder: Path) -> str:
    """The command that makes an index again, whatever is there."""
    return f"{index_command(folder)} --rebuild"


def _no_index(folder: Path) -> IndexStateError:
    if is_unfinished(folder):
        return IndexStateError(
            f"the index in {folder} is unfinished: the command that makes it was stopped, or is still running. If it "
            f"was stopped, run it again, and it goes on where it was: {index_command(folder)}"
        )
    return IndexStateError(
        f"there is no index in {folder.absolute()}. Make one: {index_command(folder)}, or name yours: --index PATH"
    )


def _describe(error: Exception) -> str:
    """The reason that an error gives."""
    if isinstance(error, KeyError):
        return f"it has no {printable(str(error))}"
    reason = error.strerror if isinstance(error, OSError) else str(error)
    return printable(reason or type(error).__name__)


def _read_bytes(path: Path) -> bytes:
    status = path.stat()
    if not stat.S_ISREG(status.st_mode) or status.st_size > _MAX_BYTES:
        raise ValueError(f"not a regular file of at most {_MAX_BYTES >> 20} MiB")
    return path.read_bytes()


def _parse(content: dict[str, Any]) -> tuple[Pointer, Identity]:
    """What the file says, if Pellucid wrote it.

    Raises:
        ValueError, KeyError, TypeError, AttributeError: the file says something else.
    """
    number = content["format"]
    if number != _WITHOUT_RECORDS and content.pop("sha256") != _sha256(content):
        raise ValueError("checksum mismatch")
    files = {name: FileRecord(*values) for name, values in content.get("files", {}).items()}
    table, version = content["pointer"]["table"], content["pointer"]["version"]
    roots = {name: Path(root) for name, root in content.get("roots", {}).items()}
    pointer = Pointer(table, version, files, roots, number != _FORMAT)
    values = dict(content["identity"])
    if number in (_FORMAT, _WITHOUT_HEADINGS):
        fingerprint = Fingerprint.from_json(values.pop("fingerprint"))
    else:
        digest, dtype, prompt = (values.pop(name) for name in ("fingerprint", "dtype", "prompt"))
        fingerprint = Fingerprint.from_json(Fingerprint(digest, None, dtype, None, prompt, None).to_json())
    identity = Identity(**values, fingerprint=fingerprint)
    if fingerprint.task not in KINDS:
        raise ValueError("an unknown kind of vectors")
    texts = (identity.model, identity.column)
    if not all(isinstance(text, str) for text in texts) or not re.fullmatch(
        f"{INDEX_TABLE}[0-9a-f]{{32}}", pointer.table
    ):
        raise ValueError("a name is missing or malformed")
    if not all(type(number) is int and number > 0 for number in (pointer.version, identity.dimensions)):
        raise ValueError("a number is missing or not positive")
    return pointer, identity


def _sha256(content: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
