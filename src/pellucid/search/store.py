"""Chunks and their vectors on disk: LanceDB, which is imported here and nowhere else.

A change is several of LanceDB's commits, and the index must be the one before or the one after. So ``index.json``
names the table, and the version of it, that count. It is replaced, in one step, once all is done; readers look at the
version that it names; and a writer that finds a later one, of a process that was killed, goes back to it first. What
that process had embedded lies in a table of its own, and is not embedded again.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import uuid
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, fields
from datetime import timedelta
from pathlib import Path
from typing import Any, Literal

from pellucid.errors import IndexStateError, IndexWriteError, MissingExtraError
from pellucid.search.rows import Row, from_record, in_order, schema_of, to_table
from pellucid.types import Float32
from pellucid.writing import in_one_step, remove_unfinished

logger = logging.getLogger("pellucid.search")

Mode = Literal["vector", "text"]
_FORMAT = 1
POINTER = "index.json"
_CHUNKS, _STAGED = "chunks-", "staged-"  # Each table's name goes on with a number of its own.
_VALUES_PER_FILTER = 500
_ROWS_PER_PARTITION = 4096
"""What LanceDB aims at when it divides vectors. Going through a few such parts takes a few milliseconds."""
_PROBES_OF_ALL = 1 << 20
_PROBES_AT_LEAST = 64
"""Of fewer partitions, half would lose more than a hundredth of nDCG@10, and gain a few milliseconds."""
_FOR_READERS = timedelta(days=1)
"""How long an old version of the table stays on disk, for who has it open."""
_FOR_EVER = timedelta(days=36500)


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
class Known:
    """What an index knows of a file."""

    size: int
    modified: int
    digest: str


@dataclass(frozen=True)
class Pointer:
    """Which version of which table counts."""

    table: str
    version: int


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
        self._database = _lancedb().connect(folder)
        self._staging = f"{_STAGED}{identity.space()}-{uuid.uuid4().hex}"

    @classmethod
    def open(cls, folder: Path) -> Store:
        """The index in ``folder``.

        Raises:
            IndexStateError: there is none, or it is broken, or of another format.
            MissingExtraError: the extra ``search`` is not installed.
        """
        file = folder / POINTER
        try:
            told = json.loads(file.read_bytes())
            if told["format"] != _FORMAT:
                raise IndexStateError(f"{folder} is an index of format {told['format']}; this version has {_FORMAT}.")
            return cls(folder, Identity(**told["identity"]), Pointer(**told["pointer"]))
        except FileNotFoundError:
            raise IndexStateError(
                f"there is no index in {folder}. Make one: pellucid index FOLDER --to {folder}"
            ) from None
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise IndexStateError(
                f"{file} cannot be read as an index's ({type(error).__name__}). Make it again with --rebuild."
            ) from error

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
                    f"own, or make it again with --rebuild."
                )

    def known(self) -> dict[str, Known]:
        """The files of the index, by name."""
        if self.pointer is None:
            return {}
        rows = self._chunks().search().select(["file", "size", "modified", "file_digest"]).limit(None).to_arrow()
        columns = (rows[name].to_pylist() for name in ("file", "size", "modified", "file_digest"))
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
        with self._failing():
            try:
                lock.acquire(timeout=0)
            except filelock.Timeout:
                logger.warning("another process writes to the index in %s; waiting for it", self.folder)
                lock.acquire()
        try:
            with self._failing():
                self._recover()
            yield
        finally:
            lock.release()

    def _recover(self) -> None:
        remove_unfinished(self.folder)
        counting = self._counting()
        if not self._rebuild:
            self.pointer = counting
        for name in self._names(_CHUNKS):
            if counting is None or name != counting.table:
                self._database.drop_table(name)
        for name in self._names(_STAGED):
            try:
                self._database.open_table(name)
            except ValueError:  # Its process did not get as far as a first version of it.
                self._database.drop_table(name)
        if self.pointer is not None:
            self._chunks()  # Says so if that version is not there.
            if (table := self._database.open_table(self.pointer.table)).version != self.pointer.version:
                table.restore(self.pointer.version)

    def _counting(self) -> Pointer | None:
        """What counts now: another process may have written since this one looked."""
        try:
            held = Store.open(self.folder)
        except IndexStateError:
            if self.pointer is None:  # There is none yet, or a broken one is being made again.
                return None
            raise
        if not self._rebuild:
            held.check(self.identity)
        return held.pointer

    def staged(self) -> dict[str, Float32]:
        """Vectors that processes embedded before they were killed, by the digest of their texts: ``float32[d]``."""
        vectors: dict[str, Float32] = {}
        for name in self._names(_STAGED + self.identity.space()):
            vectors |= self._by_digest(self._database.open_table(name).search())
        return vectors

    def digests(self) -> set[str]:
        """Of which texts the index has vectors."""
        if self.pointer is None:
            return set()
        return set(self._chunks().search().select(["digest"]).limit(None).to_arrow()["digest"].to_pylist())

    def vectors_of(self, digests: Sequence[str]) -> dict[str, Float32]:
        """Of some texts, given by their digests, the vectors that the index has: ``float32[d]``."""
        vectors: dict[str, Float32] = {}
        if self.pointer is not None and digests:
            table = self._chunks()
            for start in range(0, len(digests), _VALUES_PER_FILTER):
                vectors |= self._by_digest(
                    table.search().where(_any_of("digest", digests[start:][:_VALUES_PER_FILTER]))
                )
        return vectors

    def _by_digest(self, search: Any) -> dict[str, Float32]:
        rows = search.select(["digest", "vector"]).limit(None).to_arrow()
        numbers = rows["vector"].combine_chunks().flatten().to_numpy().reshape(-1, self.identity.dimensions)
        return dict(zip(rows["digest"].to_pylist(), numbers, strict=True))

    def stage(self, rows: Sequence[Row], vectors: Float32) -> None:
        """Keep new chunks and their vectors, ``float32[n, d]``, where they do not count yet.

        Raises:
            IndexWriteError: the disk is full, for one.
        """
        batch = to_table(rows, vectors, self.identity.dimensions)
        with self._failing():
            if self._staging in self._names(_STAGED):
                self._database.open_table(self._staging).add(batch)
            else:
                self._database.create_table(self._staging, batch)

    def commit(self, gone: Iterable[str]) -> None:
        """Take the chunks of some files out, put the staged ones in, and let that be the index.

        Args:
            gone: the names of files that are no more, or have changed.

        Raises:
            IndexWriteError: the disk is full, for one.
        """
        with self._failing():
            table = self._changed(sorted(gone))
            _bring_up_to_date(table)
            self._point_to(Pointer(table.name, table.version))
            self._rebuild = False
            table.optimize(cleanup_older_than=_FOR_READERS)
            for name in (*self._names(_STAGED), *self._names(_CHUNKS)):
                if name != table.name:
                    self._database.drop_table(name)

    def _changed(self, gone: Sequence[str]) -> Any:
        """The table with the staged rows, and without those of the files that are gone."""
        schema = schema_of(self.identity.dimensions)
        if self.pointer is None:
            table = self._database.create_table(_CHUNKS + uuid.uuid4().hex, schema=schema)
        else:
            table = self._database.open_table(self.pointer.table)
        for start in range(0, len(gone), _VALUES_PER_FILTER):
            table.delete(_any_of("file", gone[start:][:_VALUES_PER_FILTER]))
        if self._staging in self._names(_STAGED):
            staged = self._database.open_table(self._staging).search().limit(None).to_batches()
            table.add(in_order(staged, schema))
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
        names = [field.name for field in fields(Row)]
        table = self._chunks()
        if mode == "vector":
            # Partitions hold whole vectors: going through all of them is exact, and faster than through the table.
            half = max(_PROBES_AT_LEAST, table.count_rows() // _ROWS_PER_PARTITION // 2)
            search = table.search(query).distance_type("cosine").nprobes(half if approximate else _PROBES_OF_ALL)
            search = search.limit(count).select([*names, "_distance"])
            return [(from_record(found), 1 - float(found["_distance"])) for found in search.to_list()]
        search = table.search(query, query_type="fts").limit(count).select([*names, "_score"])
        return [(from_record(found), float(found["_score"])) for found in search.to_list()]

    def rows(self) -> list[Row]:
        """All chunks."""
        names = [field.name for field in fields(Row)]
        return [from_record(found) for found in self._chunks().search().select(names).limit(None).to_list()]

    def count(self) -> int:
        """How many chunks there are."""
        return 0 if self.pointer is None else int(self._chunks().count_rows())

    def _chunks(self) -> Any:
        if self.pointer is None:
            raise IndexStateError(f"the index in {self.folder} is empty.")
        try:
            table = self._database.open_table(self.pointer.table)
            table.checkout(self.pointer.version)
        except ValueError as error:
            raise IndexStateError(
                f"the index in {self.folder} was made again since it was opened, or is broken ({error}). Open it "
                f"again; if that does not help, make it again with --rebuild."
            ) from error
        return table

    @contextlib.contextmanager
    def _failing(self) -> Iterator[None]:
        try:
            yield
        except (OSError, RuntimeError) as error:  # LanceDB's are of the second kind.
            reason = str(error).partition(", /")[0]  # It goes on with a line of LanceDB's source.
            raise IndexWriteError(
                f"the index in {self.folder} could not be written: {reason}. What was there before is there still; "
                f"what was embedded so far is not lost. Mend that, and run it again."
            ) from error

    def _names(self, prefix: str) -> list[str]:
        return [name for name in self._database.list_tables().tables if name.startswith(prefix)]

    def _point_to(self, pointer: Pointer) -> None:
        told = {"format": _FORMAT, "pointer": asdict(pointer), "identity": asdict(self.identity)}
        with in_one_step(self.folder / POINTER) as path:
            path.write_text(json.dumps(told, indent=2), encoding="utf-8")
        self.pointer = pointer


def _lancedb() -> Any:
    try:
        import lancedb
        import lancedb.index
    except ImportError:
        raise MissingExtraError("lancedb", "search") from None
    return lancedb


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
