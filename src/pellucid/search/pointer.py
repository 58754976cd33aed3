"""``index.json``: whose vectors an index holds, which version of which table counts, and what its files are."""

from __future__ import annotations

import hashlib
import json
import re
import stat
from collections.abc import Mapping
from dataclasses import asdict, astuple, dataclass, field
from pathlib import Path
from typing import Any

from pellucid.errors import IndexStateError
from pellucid.files.whole import in_one_step
from pellucid.search.damage import FileRecord, first_damaged

POINTER = "index.json"
CHUNKS = "chunks-"
"""How a table's name begins; it goes on with a number of its own."""
_FORMAT = 2
_WITHOUT_RECORDS = 1
"""The format of Pellucid 0.1: no records of files, and a name might stand for two files."""
_LARGEST = 256 << 20


@dataclass(frozen=True)
class Identity:
    """Whose vectors an index holds. Vectors of another identity cannot be compared with them.

    Attributes:
        model: the model's name, or its folder.
        fingerprint: of its files.
        dtype: the arithmetic.
        prompt: what was put before each chunk.
        dimensions: the length of a vector.
        column: of tables, where the texts were.
    """

    model: str
    fingerprint: str
    dtype: str
    prompt: str
    dimensions: int
    column: str

    def space(self) -> str:
        """A name for what a vector depends on beside its text: vectors of another space are never taken for its own."""
        told = (self.fingerprint, self.dtype, self.prompt, self.dimensions)
        return hashlib.sha256(json.dumps(told).encode()).hexdigest()[:16]


@dataclass(frozen=True)
class Pointer:
    """Which version of which table counts.

    Attributes:
        table: its name.
        version: its number.
        files: what the table's files were when the version was made, by their path within the table's folder.
        is_old: whether an older Pellucid wrote it, which recorded no files.
    """

    table: str
    version: int
    files: Mapping[str, FileRecord] = field(default_factory=dict, compare=False)
    is_old: bool = False


def folder_of(folder: Path, table: str) -> Path:
    """Where LanceDB keeps a table."""
    return folder / f"{table}.lance"


def write(folder: Path, pointer: Pointer, identity: Identity) -> None:
    """Let a version be the one that counts, in one step.

    Raises:
        OSError: it cannot be written.
    """
    told = {
        "format": _FORMAT,
        "pointer": {"table": pointer.table, "version": pointer.version},
        "identity": asdict(identity),
        "files": {name: astuple(file) for name, file in pointer.files.items()},
    }
    with in_one_step(folder / POINTER) as path:
        path.write_text(json.dumps(told | {"sha256": _sha256(told)}, indent=1), encoding="utf-8")


def read(folder: Path) -> tuple[Pointer, Identity]:
    """What counts in ``folder``, once its files are known to be sound.

    Raises:
        IndexStateError: there is no index, it is damaged, or of another format.
    """
    try:
        told = json.loads(_content(folder / POINTER))
        if told["format"] not in (_FORMAT, _WITHOUT_RECORDS):
            raise IndexStateError(
                f"{folder} is an index of format {int(told['format'])}, which this version of Pellucid cannot read. "
                f"{cure(folder)}"
            )
        pointer, identity = _parsed(told)
        damaged = first_damaged(folder_of(folder, pointer.table), pointer.files)
    except FileNotFoundError:
        raise IndexStateError(f"there is no index in {folder}. Make one: pellucid index FOLDER --to {folder}") from None
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise IndexStateError(
            f"the index in {folder} is damaged: {POINTER} cannot be read ({type(error).__name__}). {cure(folder)}"
        ) from error
    if damaged is not None:
        raise IndexStateError(
            f"the index in {folder} is damaged: {damaged} is not what was written there. {cure(folder)}"
        )
    return pointer, identity


def cure(folder: Path) -> str:
    """What to do with an index that cannot be used."""
    return f"Make it again: pellucid index FOLDER --to {folder} --rebuild"


def _content(path: Path) -> bytes:
    status = path.stat()
    if not stat.S_ISREG(status.st_mode) or status.st_size > _LARGEST:
        raise ValueError("no file of a sane size")
    return path.read_bytes()


def _parsed(told: dict[str, Any]) -> tuple[Pointer, Identity]:
    """What a file says, if it is what we wrote."""
    is_old = told["format"] == _WITHOUT_RECORDS
    if not is_old and told.pop("sha256") != _sha256(told):
        raise ValueError("not the digest it should have")
    files = {name: FileRecord(*values) for name, values in told.get("files", {}).items()}
    pointer = Pointer(told["pointer"]["table"], told["pointer"]["version"], files, is_old)
    identity = Identity(**told["identity"])
    texts = (identity.model, identity.fingerprint, identity.dtype, identity.prompt, identity.column)
    if not all(isinstance(text, str) for text in texts) or not re.fullmatch(f"{CHUNKS}[0-9a-f]{{32}}", pointer.table):
        raise ValueError("no text where one belongs")
    if not all(type(number) is int and number > 0 for number in (pointer.version, identity.dimensions)):
        raise ValueError("no number where one belongs")
    return pointer, identity


def _sha256(told: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()
