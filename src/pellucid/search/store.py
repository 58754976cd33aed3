"""Chunks and their vectors on disk: LanceDB, which is imported here and nowhere else.

A change is several of LanceDB's commits, and the index must be the one before or the one after. So ``index.json``
names the table, and the version of it, that count. It is replaced, in one step, once all is done; readers look at the
version that it names; and a writer that finds a later one, of a process that was killed, goes back to it first. What
that process had embedded is kept beside the table (:mod:`pellucid.search.staging`), and is not embedded again.
"""

from __future__ import annotations

import contextlib
import logging
import math
import shutil
import uuid
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, fields
from datetime import timedelta
from pathlib import Path
from typing import Any, Literal

from pellucid.errors import IndexStateError, IndexWriteError, MissingExtraError, PellucidError
from pellucid.files.whole import remove_unfinished
from pellucid.search import pointer as pointers
from pellucid.search.damage import record
from pellucid.search.pointer import CHUNKS, Identity, Pointer, folder_of
from pellucid.search.rows import Row, from_record, in_order, schema_of
from pellucid.search.staging import Staging
from pellucid.types import Float32

logger = logging.getLogger("pellucid.search")

Mode = Literal["vector", "text"]
_OLD_STAGED = "staged-*.lance"
"""Tables that Pellucid 0.1 left when it was killed."""
_VALUES_PER_FILTER = 500
_ROWS_PER_PARTITION = 4096
"""What LanceDB aims at when it divides vectors. Going through a few such parts takes a few milliseconds."""
_PROBES_OF_ALL = 1 << 20
_PROBES_AT_LEAST = 64
"""Of fewer partitions, half would lose more than a hundredth of nDCG@10, and gain a few milliseconds."""
_FOR_READERS = timedelta(days=1)
"""How long an old version of the table stays on disk, for who has it open."""
_FOR_EVER = timedelta(days=36500)
_COLUMNS = [field.name for field in fields(Row)]


@dataclass(frozen=True)
class Known:
    """What an index knows of a file."""

    size: int
    modified: int
    digest: str


class Store:
    """The files of one index.

    Args:
        folder: the index.
        identity: whose vectors it holds.
        pointer: what counts; None before the first commit.
        rebuild: whether the first commit takes the place of what is there, whatever that is.
    """

    def __init__(self, folder: Path, identity: Identity, pointer: Pointer | None, *, rebuild: bool = False) -> None:
        self.folder = folder
        self.identity = identity
        self.pointer = pointer
        self._rebuild = rebuild
        self._went_back = False
        self._database = _lancedb().connect(folder)
        self._staging = Staging(folder, identity.space(), identity.dimensions)

    @classmethod
    def open(cls, folder: Path) -> Store:
        """The index in ``folder``.

        Raises:
            IndexStateError: there is none, or it is damaged, or of another format.
            MissingExtraError: the extra ``search`` is not installed.
        """
        pointer, identity = pointers.read(folder)
        return cls(folder, identity, pointer)

    def check(self, wanted: Identity) -> None:
        """Refuse another model's vectors.

        Raises:
            IndexStateError: the index has other vectors than those of ``wanted``.
        """
        held = self.identity
        for name in ("fingerprint", "dtype", "prompt", "dimensions", "column"):
            if getattr(held, name) != getattr(wanted, name):
                what = f"the vectors of {held.model}" if name == "fingerprint" else f"{name} {getattr(held, name)!r}"
                other = wanted.model if name == "fingerprint" else repr(getattr(wanted, name))
                raise IndexStateError(
                    f"the index in {self.folder} has {what}, and not {other}. They cannot be mixed: take the index's "
                    f"own, or make it again: pellucid index FOLDER --to {self.folder} --rebuild"
                )

    def known(self) -> dict[str, Known]:
        """The files of the index, by name."""
        if self.pointer is None:
            return {}
        names = ["file", "size", "modified", "file_digest"]
        with self._reading():
            rows = self._chunks().search().select(names).limit(None).to_arrow()
            columns = [rows[name].to_pylist() for name in names]
        return {name: Known(size, modified, digest) for name, size, modified, digest in zip(*columns, strict=True)}

    @contextlib.contextmanager
    def writing(self) -> Iterator[None]:
        """While no other process writes; and first, take what others wrote, and go back to what counts.

        Raises:
            IndexStateError: another process made it another model's meanwhile.
            IndexWriteError: the folder cannot be written to.
        """
        import filelock

        lock = filelock.FileLock(self.folder / "lock")
        with self._writing():
            try:
                lock.acquire(timeout=0)
            except filelock.Timeout:
                logger.warning("another process writes to the index in %s; waiting for it", self.folder)
                lock.acquire()
        try:
            self._recover()
            yield
        finally:
            lock.release()

    def _recover(self) -> None:
        counting = self._counting()
        if not self._rebuild:
            self.pointer = counting
        with self._writing():
            remove_unfinished(self.folder)
            self._remove_tables(but=None if counting is None else counting.table)
        if self.pointer is not None:
            self._chunks()  # Says so if that version is not there.
            with self._writing():
                table = self._database.open_table(self.pointer.table)
                self._went_back = table.version != self.pointer.version
                if self._went_back:
                    table.restore(self.pointer.version)

    def _remove_tables(self, but: str | None) -> None:
        """Remove all tables but one. LanceDB does not see one that it was removing when it was killed."""
        for path in [*self.folder.glob(f"{CHUNKS}*.lance"), *self.folder.glob(_OLD_STAGED)]:
            if but is None or path != folder_of(self.folder, but):
                shutil.rmtree(path)

    def _counting(self) -> Pointer | None:
        """What counts now: another process may have written since this one looked."""
        try:
            held, identity = pointers.read(self.folder)
        except IndexStateError:
            if self.pointer is None:  # There is none yet, or a damaged one is being made again.
                return None
            raise
        if not self._rebuild:
            Store(self.folder, identity, held).check(self.identity)
        return held

    def staged(self) -> dict[str, Float32]:
        """Vectors that processes embedded before they were killed, by the digest of their texts: ``float32[d]``."""
        return self._staging.vectors()

    def digests(self) -> set[str]:
        """Of which texts the index has vectors."""
        if self.pointer is None:
            return set()
        with self._reading():
            return set(self._chunks().search().select(["digest"]).limit(None).to_arrow()["digest"].to_pylist())

    def vectors_of(self, digests: Sequence[str]) -> dict[str, Float32]:
        """Of some texts, given by their digests, the vectors that the index has: ``float32[d]``."""
        vectors: dict[str, Float32] = {}
        if self.pointer is None or not digests:
            return vectors
        with self._reading():
            table = self._chunks()
            for start in range(0, len(digests), _VALUES_PER_FILTER):
                chosen = _any_of("digest", digests[start:][:_VALUES_PER_FILTER])
                rows = table.search().where(chosen).select(["digest", "vector"]).limit(None).to_arrow()
                numbers = rows["vector"].combine_chunks().flatten().to_numpy().reshape(-1, self.identity.dimensions)
                vectors |= zip(rows["digest"].to_pylist(), numbers, strict=True)
        return vectors

    def stage(self, rows: Sequence[Row], vectors: Float32) -> None:
        """Keep new chunks and their vectors, ``float32[n, d]``, where they do not count yet.

        Raises:
            IndexWriteError: the disk is full, for one.
        """
        with self._writing():
            self._staging.add(rows, vectors)

    def needs_commit(self) -> bool:
        """Whether a commit must be made though no file has changed.

        There is no index yet, an older Pellucid wrote it, or a process was killed while it wrote.
        """
        return self.pointer is None or self.pointer.is_old or self._went_back

    def commit(self, gone: Iterable[str]) -> None:
        """Take the chunks of some files out, put the staged ones in, and let that be the index.

        Args:
            gone: the names of files that are no more, or have changed.

        Raises:
            IndexWriteError: the disk is full, for one.
        """
        with self._writing():
            table = self._changed(sorted(gone))
            _bring_up_to_date(table)
            self._point_to(table)
            # Nobody else writes, so what no version names is of a process that was killed.
            table.optimize(cleanup_older_than=_FOR_READERS, delete_unverified=True)
            self._point_to(table)
        self.clean()

    def _point_to(self, table: Any) -> None:
        """Let a table's latest version be the one that counts."""
        known = {} if self.pointer is None else self.pointer.files
        pointer = Pointer(table.name, table.version, record(folder_of(self.folder, table.name), known))
        pointers.write(self.folder, pointer, self.identity)
        self.pointer, self._rebuild, self._went_back = pointer, False, False

    def clean(self) -> None:
        """Remove what does not count: what is staged, and other tables.

        Raises:
            IndexWriteError: something cannot be removed.
        """
        with self._writing():
            self._staging.clear()
            self._remove_tables(but=None if self.pointer is None else self.pointer.table)

    def _changed(self, gone: Sequence[str]) -> Any:
        """The table with the staged rows, and without those of the files that are gone."""
        schema = schema_of(self.identity.dimensions)
        if self.pointer is None:
            table = self._database.create_table(CHUNKS + uuid.uuid4().hex, schema=schema)
        else:
            table = self._database.open_table(self.pointer.table)
        for start in range(0, len(gone), _VALUES_PER_FILTER):
            table.delete(_any_of("file", gone[start:][:_VALUES_PER_FILTER]))
        if not self._staging.is_empty():
            table.add(in_order(self._staging.batches(), schema))
        return table

    def nearest(
        self, query: Float32 | str, count: int, mode: Mode, *, approximate: bool = False
    ) -> list[tuple[Row, float]]:
        """The chunks that answer a query best, best first, with their scores.

        Args:
            query: a vector of unit length, ``float32[d]``, for the cosine; or words, for BM25.
            count: how many.
            mode: "vector" or "text".
            approximate: look only at that half of the partitions that is nearest to the vector; at 64 of them at least.
        """
        with self._reading():
            table = self._chunks()
            if mode == "vector":
                # Partitions hold whole vectors: going through all of them is exact, and faster than through the table.
                half = max(_PROBES_AT_LEAST, table.count_rows() // _ROWS_PER_PARTITION // 2)
                search = table.search(query).distance_type("cosine").nprobes(half if approximate else _PROBES_OF_ALL)
                found = search.limit(count).select([*_COLUMNS, "_distance"]).to_list()
                scored = [(from_record(one), 1 - float(one["_distance"])) for one in found]
            else:
                search = table.search(query, query_type="fts").limit(count).select([*_COLUMNS, "_score"])
                scored = [(from_record(one), float(one["_score"])) for one in search.to_list()]
            if not all(math.isfinite(score) for _, score in scored):
                raise ValueError("a score that is not finite")
        return scored

    def rows(self) -> list[Row]:
        """All chunks."""
        with self._reading():
            return [from_record(found) for found in self._chunks().search().select(_COLUMNS).limit(None).to_list()]

    def count(self) -> int:
        """How many chunks there are."""
        if self.pointer is None:
            return 0
        with self._reading():
            return int(self._chunks().count_rows())

    def _chunks(self) -> Any:
        if self.pointer is None:
            raise IndexStateError(f"the index in {self.folder} is empty.")
        with self._reading():
            return self._database.open_table(self.pointer.table, version=self.pointer.version)

    @contextlib.contextmanager
    def _reading(self) -> Iterator[None]:
        """While LanceDB reads: whatever goes wrong, the index is not what we wrote."""
        try:
            yield
        except BaseException as error:
            if not _is_of_lancedb(error):
                raise
            raise self._unusable(error) from error

    @contextlib.contextmanager
    def _writing(self) -> Iterator[None]:
        """While LanceDB or we write: most likely the disk is full, or the folder may not be written to."""
        try:
            yield
        except (OSError, RuntimeError) as error:  # LanceDB's are of the second kind.
            reason = str(error).partition(", /")[0]  # It goes on with a line of LanceDB's source.
            raise IndexWriteError(
                f"the index in {self.folder} could not be written: {reason}. What was there before is there still; "
                f"what was embedded so far is not lost. Mend that, and run it again."
            ) from error
        except BaseException as error:
            if not _is_of_lancedb(error):
                raise
            raise self._unusable(error) from error

    def _unusable(self, error: BaseException) -> IndexStateError:
        return IndexStateError(
            f"the index in {self.folder} was made again since it was opened, or is damaged ({type(error).__name__}). "
            f"Open it again. If that does not help: pellucid index FOLDER --to {self.folder} --rebuild"
        )


def _lancedb() -> Any:
    try:
        import lancedb
        import lancedb.index
    except ImportError:
        raise MissingExtraError("lancedb", "search") from None
    return lancedb


def _is_of_lancedb(error: BaseException) -> bool:
    """Whether LanceDB raised this, in any of its ways: a panic of Rust is no Exception."""
    if isinstance(error, Exception):
        return not isinstance(error, PellucidError | MemoryError)
    return type(error).__name__ == "PanicException"


def _bring_up_to_date(table: Any) -> None:
    """Let the table's indices, of words and of vectors, know all of its rows, and join small pieces of it."""
    config, rows = _lancedb().index, table.count_rows()
    made = {column for index in table.list_indices() for column in index.columns}
    if rows and "text" not in made:
        table.create_index("text", config=config.FTS())
    if rows >= 4 * _ROWS_PER_PARTITION and "vector" not in made:
        table.create_index("vector", config=config.IvfFlat(distance_type="cosine"))
    table.optimize(cleanup_older_than=_FOR_EVER)  # The version that counts is an old one now, and must stay.


def _any_of(column: str, values: Sequence[str]) -> str:
    """A condition of SQL."""
    quoted = ("'" + value.replace("'", "''") + "'" for value in values)
    return f"{column} IN ({', '.join(quoted)})"
