"""Chunks and their vectors on disk, in a table of LanceDB's.

An update takes several LanceDB commits, but the index must be in either the old or the new state. So ``index.json``
names the table and its valid version, and is replaced in one step once the update is done. Readers open the version
that it names. A writer that finds a later version, left by a killed process, goes back to the valid one first. What
that process had embedded is kept next to the table (:mod:`pellucid.search.staging`), and is not embedded again.
"""

from __future__ import annotations

import contextlib
import logging
import math
import shutil
import uuid
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pellucid.errors import IndexStateError, IndexWriteError
from pellucid.files.locks import locked
from pellucid.files.own_folders import INDEX_LOCK, INDEX_TABLE
from pellucid.files.whole import remove_unfinished
from pellucid.reprs import short_text
from pellucid.search import lance
from pellucid.search import pointer as pointers
from pellucid.search.damage import record
from pellucid.search.pointer import Identity, Pointer, folder_of
from pellucid.search.rows import COLUMNS, VECTOR, IndexedFile, RankedRow, Row, from_record, schema_of, vectors_by_digest
from pellucid.search.staging import Staging
from pellucid.search.vector_kinds import KINDS
from pellucid.search.vector_kinds.base import Question
from pellucid.tables import arrow
from pellucid.tables.vector_columns import column_in, rows_of

logger = logging.getLogger("pellucid.search")

_OLD_STAGED = "staged-*.lance"
"""Tables that Pellucid 0.1 may have left when it was killed."""


class Store:
    """The files of one index.

    Args:
        folder: the index.
        identity: whose vectors it holds.
        pointer: the valid version; None before the first commit.
        rebuild: True if the first commit replaces whatever is there.
    """

    def __init__(self, folder: Path, identity: Identity, pointer: Pointer | None, *, rebuild: bool = False) -> None:
        self.folder = folder
        self.identity = identity
        self.pointer = pointer
        self._rebuild = rebuild
        self._went_back = False
        self._database = lance.connect(folder)
        self._staging = self._new_staging()

    def __repr__(self) -> str:
        return f"Store({short_text(str(self.folder))}, {short_text(self.identity.model, 60)})"

    @classmethod
    def open(cls, folder: Path) -> Store:
        """The index in ``folder``.

        Raises:
            IndexStateError: there is none, it is damaged, or it has another format.
            MissingExtraError: the extra ``search`` is not installed.
        """
        pointer, identity = pointers.read(folder)
        return cls(folder, identity, pointer)

    def check(self, requested: Identity, *, for_update: bool = False) -> None:
        """Refuse another model's vectors.

        A search may use another engine or device than the index: its vector differs by a rounding, and is not stored.
        An update may not. An index of an older version does not say which engine made it; it gets the engine of its
        next update.

        Raises:
            IndexStateError: the index has other vectors than ``requested``.
        """
        stored = self.identity.completed(requested)
        if difference := stored.difference(requested, any_engine=not for_update):
            what, other = difference
            raise IndexStateError(
                f"the index in {self.folder} was made with {what}, not with {other}. An index cannot mix them. Use "
                f"{what}, or build the index again: {pointers.rebuild_command(self.folder)}"
            )
        if for_update and stored != self.identity:
            self.identity = stored
            self._staging = self._new_staging()

    def files(self) -> dict[str, IndexedFile]:
        """The files of the index, by name."""
        if self.pointer is None:
            return {}
        names = ["file", "size", "modified", "file_digest"]
        with self._reading():
            rows = lance.read(self._chunks(), names)
            columns = [rows[name].to_pylist() for name in names]
        return {name: IndexedFile(*values) for name, *values in zip(*columns, strict=True)}

    def roots(self) -> Mapping[str, Path]:
        """The files and folders that the index was made of, by the name that the names of their files begin with."""
        return {} if self.pointer is None else self.pointer.roots

    @contextlib.contextmanager
    def writing(self) -> Iterator[None]:
        """Keep other writers out. First take over what they wrote, and go back to the valid version.

        Raises:
            IndexStateError: another process has made it another model's index meanwhile.
            IndexWriteError: the folder cannot be written to.
        """

        def warn() -> None:
            logger.warning("another process is writing to the index in %s; waiting until it is done", self.folder)

        with contextlib.ExitStack() as stack:
            with self._writing():
                stack.enter_context(locked(self.folder / INDEX_LOCK, on_wait=warn))
            self._recover()
            yield

    def _recover(self) -> None:
        valid = self._valid_pointer()
        if not self._rebuild:
            self.pointer = valid
        # An update that this process began and did not finish is as one that another process left.
        self._staging = self._new_staging()
        with self._writing():
            remove_unfinished(self.folder)
            self._remove_tables(but=None if valid is None else valid.table)
        if self.pointer is not None:
            self._chunks()  # Raises if that version is missing.
            with self._writing():
                table = self._database.open_table(self.pointer.table)
                self._went_back = table.version != self.pointer.version
                if self._went_back:
                    table.restore(self.pointer.version)

    def _remove_tables(self, but: str | None) -> None:
        """Remove all tables but one. LanceDB does not see a table that it was removing when it was killed."""
        for path in [*self.folder.glob(f"{INDEX_TABLE}*.lance"), *self.folder.glob(_OLD_STAGED)]:
            if but is None or path != folder_of(self.folder, but):
                shutil.rmtree(path)

    def _valid_pointer(self) -> Pointer | None:
        """The version that is valid now: another process may have written since this one looked."""
        try:
            pointer, identity = pointers.read(self.folder)
        except IndexStateError:
            if self.pointer is None:  # There is no index yet, or a damaged one is being made again.
                return None
            raise
        if not self._rebuild:
            Store(self.folder, identity, pointer).check(self.identity, for_update=True)
        return pointer

    def staged(self) -> Mapping[str, arrow.Column]:
        """Vectors that killed processes had embedded, by the digest of their texts: columns of one row."""
        return self._staging.vectors()

    def digests(self) -> set[str]:
        """The digests of all texts that the index has vectors for."""
        if self.pointer is None:
            return set()
        with self._reading():
            return set(lance.read(self._chunks(), ["digest"])["digest"].to_pylist())

    def vectors_of(self, digests: Sequence[str]) -> dict[str, arrow.Column]:
        """The vectors that the index has for texts, by the texts' digests: columns of one row."""
        vectors: dict[str, arrow.Column] = {}
        if self.pointer is None or not digests:
            return vectors
        with self._reading():
            for rows in lance.read_where(self._chunks(), "digest", digests, ["digest", VECTOR]):
                vectors |= vectors_by_digest(rows, self.identity.column_type)
        return vectors

    def stage(self, rows: Sequence[Row], vectors: arrow.Column) -> None:
        """Keep new chunks, and a column of their vectors, until they are committed.

        Raises:
            IndexWriteError: the disk is full, for example.
        """
        with self._writing():
            self._staging.add(rows, vectors)

    def is_unfinished(self) -> bool:
        """Whether an update was stopped before it was done, or is still running."""
        return pointers.is_unfinished(self.folder)

    def needs_commit(self, roots: Mapping[str, Path]) -> bool:
        """Whether there is something to commit even if no file has changed.

        That is so if there is no index yet, an older Pellucid wrote it, a process was killed while it wrote, or the
        folders that were indexed are elsewhere now.
        """
        pointer = self.pointer
        return pointer is None or pointer.is_old or self._went_back or dict(pointer.roots) != dict(roots)

    def commit(self, removed: Iterable[str], roots: Mapping[str, Path] | None = None) -> None:
        """Take the chunks of some files out and put the staged chunks in; the result becomes the index.

        Args:
            removed: the names of files that are gone or have changed.
            roots: the folders and files that were indexed, by name; None if they are the same as before.

        Raises:
            IndexWriteError: the disk is full, for example.
        """
        if roots is None:
            roots = self.roots()
        is_new = self._rebuild
        with self._writing():
            table = self._changed_table(sorted(removed))
            lance.update_indices(table, by_cosine=KINDS[self.identity.fingerprint.task].searches_approximately)
            self._point_to(table, roots)
            lance.remove_old_versions(table)
            self._point_to(table, roots)
            self._staging.clear_own()
            if is_new:
                self._staging.remove(self._staging.files())
            self._remove_tables(but=table.name)

    def _point_to(self, table: Any, roots: Mapping[str, Path]) -> None:
        """Make a table's latest version the valid one."""
        known = {} if self.pointer is None else self.pointer.files
        pointer = Pointer(table.name, table.version, record(folder_of(self.folder, table.name), known), roots)
        pointers.write(self.folder, pointer, self.identity)
        self.pointer, self._rebuild, self._went_back = pointer, False, False

    def staged_files(self) -> set[str]:
        """The names of the files that have staged chunks."""
        return self._staging.files()

    def unstage(self, files: Collection[str]) -> None:
        """Remove the staged chunks of some files: the index has them by now, or nobody needs them any more.

        Raises:
            IndexWriteError: something cannot be removed.
        """
        with self._writing():
            self._staging.remove(files)

    def _changed_table(self, removed: Sequence[str]) -> Any:
        """The table with the staged rows, and without those of ``removed`` files."""
        schema = schema_of(self.identity.column_type)
        if self.pointer is None:
            table = self._database.create_table(INDEX_TABLE + uuid.uuid4().hex, schema=schema)
        else:
            table = self._database.open_table(self.pointer.table)
        lance.delete_where(table, "file", removed)
        if missing := set(COLUMNS) - set(table.schema.names):  # An older Pellucid made the table.
            table.add_columns(dict.fromkeys(missing, "''"))
        if not self._staging.is_empty():
            table.add(arrow.stream(self._staging.batches(), schema))
        return table

    def rank(self, question: Question, count: int, *, approximate: bool = False) -> list[RankedRow]:
        """The chunks that are nearest to a query, nearest first.

        Args:
            question: the query.
            count: how many.
            approximate: search only the half of the vectors that is likely to be near.
        """
        return self._ranked(lambda table: question.nearest(table, count, approximate=approximate))

    def rank_by_words(self, words: str, count: int) -> list[RankedRow]:
        """The chunks that match words best, by BM25, best first."""
        return self._ranked(lambda table: lance.best_by_words(table, words, count))

    def _ranked(self, search: Callable[[Any], lance.Found]) -> list[RankedRow]:
        with self._reading():
            table = self._chunks()
            found, scores = search(table)
            if not all(map(math.isfinite, scores)):
                raise ValueError("a score that is not finite")
            records = found.select(lance.columns_of(table)).to_pylist()
            vectors = rows_of(column_in(found, VECTOR, self.identity.column_type))
            return [
                RankedRow(from_record(record), score, vector)
                for record, score, vector in zip(records, scores, vectors, strict=True)
            ]

    def rows(self) -> list[Row]:
        """All chunks."""
        with self._reading():
            table = self._chunks()
            return [from_record(values) for values in lance.read(table, lance.columns_of(table)).to_pylist()]

    def count(self) -> int:
        """How many chunks there are."""
        if self.pointer is None:
            return 0
        with self._reading():
            return int(self._chunks().count_rows())

    def _new_staging(self) -> Staging:
        return Staging(self.folder, self.identity.space(), self.identity.column_type)

    def _chunks(self) -> Any:
        if self.pointer is None:
            raise IndexStateError(f"the index in {self.folder} is empty.")
        with self._reading():
            return self._database.open_table(self.pointer.table, version=self.pointer.version)

    @contextlib.contextmanager
    def _reading(self) -> Iterator[None]:
        """Run while LanceDB reads. Whatever goes wrong, the index is not what Pellucid wrote."""
        try:
            yield
        except BaseException as error:
            if not lance.is_raised_by_lancedb(error):
                raise
            raise self._unusable(error) from error

    @contextlib.contextmanager
    def _writing(self) -> Iterator[None]:
        """Run while LanceDB or Pellucid writes. Most likely the disk is full, or the folder is read-only."""
        try:
            yield
        except (OSError, RuntimeError) as error:  # LanceDB raises RuntimeError.
            reason = str(error).partition(", /")[0]  # A line of LanceDB's source follows.
            raise IndexWriteError(
                f"the index in {self.folder} could not be written: {reason}. The index from before is still there, and "
                f"what was embedded so far is kept. Fix the cause (permissions, disk space), then run the same command "
                f"again."
            ) from error
        except BaseException as error:
            if not lance.is_raised_by_lancedb(error):
                raise
            raise self._unusable(error) from error

    def _unusable(self, error: BaseException) -> IndexStateError:
        return IndexStateError(
            f"the index in {self.folder} was rebuilt since it was opened, or is damaged ({type(error).__name__}). "
            f"Open it again. If that does not help, build it again: {pointers.rebuild_command(self.folder)}"
        )
