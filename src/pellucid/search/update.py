"""Brings an index up to date: reads what is new or changed, embeds chunks that have no vector yet, and commits."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from pellucid.errors import OptionError, UnreadableFileError
from pellucid.files.own_folders import what_pellucid_made
from pellucid.files.walk import FoundFile, SkippedFile, find_files, path_of
from pellucid.model.spec import NO_LIMIT
from pellucid.reprs import short_repr
from pellucid.search import roots as index_roots
from pellucid.search.headings import heading_of
from pellucid.search.readers import Document, read_bytes
from pellucid.search.reading import DocumentReader
from pellucid.search.rows import IndexedFile, Row
from pellucid.search.store import Store
from pellucid.search.vector_kinds.base import AnyEmbedder, VectorKind
from pellucid.tables import arrow
from pellucid.tables.vector_columns import join, rows_of
from pellucid.text.chunking import spans

_OVERLAP_TOKENS = 32
"""About how many tokens at the end of a chunk are repeated at the start of the next."""
_CHUNK_TOKENS = 256
"""How many tokens a chunk has, if the model reads texts of any length. A mean over more says little of any sentence."""
_MIN_CHUNKS_PER_STEP = 64
"""How many chunks to embed and write to disk at a time, at least. Two cores need about a second for them."""


@dataclass(frozen=True)
class Summary:
    """What an update did.

    Attributes:
        files: how many files the index has.
        chunks: how many chunks the index has.
        added: how many files are new or changed. An older index has no headings, so all its files count as changed.
        removed: how many files are gone.
        embedded: how many chunks were embedded; the others had vectors already.
        others: how many files are from folders that were not named this time; they stay as they were.
        skipped: the files that could not be read, and why.
    """

    files: int
    chunks: int
    added: int
    removed: int
    embedded: int
    others: int
    skipped: tuple[SkippedFile, ...]

    __repr__ = short_repr


@dataclass(frozen=True)
class Progress:
    """How far an update is.

    Attributes:
        found: how many files were found so far.
        files: how many of them are new or changed; None until all are found.
        read: how many of those were read.
        reading: the name of the file that is being read now; "" between files.
        size: how many bytes those have that are new or changed.
        done: how many bytes of these have their vectors.
        chunks: how many chunks were cut so far.
        kept: how many chunks have their vectors, on disk. They survive if the process is stopped.
        is_committing: True once all chunks have their vectors, and the index itself is being written.
    """

    found: int = 0
    files: int | None = None
    read: int = 0
    reading: str = ""
    size: int = 0
    done: int = 0
    chunks: int = 0
    kept: int = 0
    is_committing: bool = False

    __repr__ = short_repr


@dataclass
class Update:
    """One update of an index. The caller keeps other writers out.

    Attributes:
        store: the index.
        kind: the model, and the kind of its vectors.
        reader: reads files.
        on_progress: called whenever there is progress, thousands of times a second while files are found and read.
        progress: how far it is.
    """

    store: Store
    kind: VectorKind
    reader: DocumentReader
    on_progress: Callable[[Progress], object]
    progress: Progress = field(default_factory=Progress)

    def run(self, roots: Sequence[Path]) -> Summary:
        """Bring the index up to date with these files and folders. What it has from elsewhere stays."""
        indexed = self.store.files()
        self._check_existence(roots, indexed)
        named = index_roots.named_places(roots, self.store.roots())
        known = index_roots.relocated(self.store.roots(), named.values(), indexed)
        folders = index_roots.joined(known, named.values())
        files, skipped = self._find(roots, index_roots.new_beginnings(named, folders))
        changed = [file for file in files.values() if not self._is_unchanged(file, indexed.get(file.name), known)]
        missing = indexed.keys() - files.keys()
        removed = _files_in(named, missing, known)
        self._report(files=len(changed), size=sum(file.size for file in changed))
        added, embedded = self._embed(changed, skipped)
        if removed or changed or self.store.needs_commit(folders):
            self._report(done=self.progress.size, is_committing=True)
            self.store.commit(removed | {file.name for file in changed if file.name in indexed}, folders)
        # What was embedded of other folders stays, so that their own update, if it was stopped, can go on.
        self.store.unstage(_files_in(named, self.store.staged_files(), folders))
        return Summary(
            files=len(self.store.files()),
            chunks=self.store.count(),
            added=added,
            removed=len(removed),
            embedded=embedded,
            others=len(missing) - len(removed),
            skipped=tuple(skipped),
        )

    def _check_existence(self, roots: Sequence[Path], indexed: Mapping[str, IndexedFile]) -> None:
        """Refuse a root that is gone. It may be on a disk that is not there at the moment, so nothing is removed."""
        for root in roots:
            if os.path.exists(root):  # noqa: PTH110  Path.exists() raises where a folder above it cannot be entered.
                continue
            known = self.store.roots()
            (place,) = index_roots.places_of([root], known)
            has_files = _files_in({place.name: place}, indexed, known)
            hint = " To remove its files from the index, add --forget." if has_files else ""
            raise OptionError(f"{root} is neither a file nor a folder.{hint}")

    def _report(self, **changes: object) -> None:
        self.progress = replace(self.progress, **changes)  # type: ignore[arg-type]
        self.on_progress(self.progress)

    def _find(
        self, roots: Sequence[Path], beginnings: Mapping[str, str]
    ) -> tuple[dict[str, FoundFile], list[SkippedFile]]:
        """The files in the named roots, and what cannot be read of them, with their names in the index."""
        files: dict[str, FoundFile] = {}
        skipped: dict[str, SkippedFile] = {}
        own = self.store.folder.resolve()
        self._report()
        for entry in find_files(roots, why_not=what_pellucid_made):
            name = index_roots.renamed(entry.name, beginnings)
            if isinstance(entry, SkippedFile):
                if not (entry.is_folder and entry.path.resolve() == own):
                    skipped[name] = replace(entry, name=name)
            elif own not in entry.path.resolve().parents:
                files[name] = replace(entry, name=name)
                self._report(found=len(files))
        return files, list(skipped.values())

    def _is_unchanged(self, file: FoundFile, indexed: IndexedFile | None, known: Mapping[str, Path]) -> bool:
        """Whether the index has the file as it is now.

        An older index has no headings, and does not know where its files are. So all its files count as changed.
        """
        if indexed is None or path_of(file.name, known) is None:
            return False
        return (indexed.size, indexed.modified) == (file.size, file.modified)

    def _embed(self, changed: Sequence[FoundFile], skipped: list[SkippedFile]) -> tuple[int, int]:
        """Read files, and keep their chunks with their vectors.

        Returns:
            How many files were read, and how many chunks were embedded.
        """
        step = _chunks_per_step(self.kind.embedder)
        known, stored = self.store.staged(), self.store.digests() if changed else set()
        added = embedded = 0
        pending: list[tuple[Row, float]] = []  # Each chunk with its share of its file's bytes.
        for read, file in enumerate(changed, start=1):
            self._report(reading=file.name)
            chunks = self.progress.chunks
            try:
                # All rows or none: a table that is broken in its last row is not half indexed.
                rows = self._rows(file)
            except UnreadableFileError as error:
                skipped.append(SkippedFile(file.path, file.name, str(error)))
                self._report(read=read, reading="", chunks=chunks, done=self.progress.done + file.size)
                continue
            added += 1
            pending += [(row, file.size / len(rows)) for row in rows]
            self._report(read=read, reading="")
            while len(pending) >= step:
                embedded += self._stage(pending[:step], known, stored)
                pending = pending[step:]
        embedded += self._stage(pending, known, stored)
        return added, embedded

    def _stage(self, chunks: Sequence[tuple[Row, float]], known: Mapping[str, arrow.Column], stored: set[str]) -> int:
        """Embed the chunks that have no vector yet, and keep all of them.

        Args:
            chunks: the chunks, and how many bytes each stands for.
            known: what an earlier process had embedded, by the digest of the text.
            stored: the digests of the texts that the index has vectors for.

        Returns:
            How many were embedded.
        """
        if not chunks:
            return 0
        rows = [row for row, _ in chunks]
        texts = {row.digest: row.text for row in rows}
        vectors = {digest: known[digest] for digest in texts if digest in known}
        # Most chunks of a file that was moved, or changed in one place, are in the index already.
        vectors |= self.store.vectors_of(list((texts.keys() & stored) - vectors.keys()))
        new = [digest for digest in texts if digest not in vectors]
        if new:
            embedded = self.kind.embed([texts[digest] for digest in new], self.store.identity.fingerprint.prompt)
            vectors |= dict(zip(new, rows_of(embedded), strict=True))
        self.store.stage(rows, join([vectors[row.digest] for row in rows]))
        done = self.progress.done + round(sum(size for _, size in chunks))
        self._report(done=min(done, self.progress.size), kept=self.progress.kept + len(rows))
        return len(new)

    def _rows(self, file: FoundFile) -> list[Row]:
        content = read_bytes(file.path)
        file_digest = hashlib.sha256(content).hexdigest()
        identity = self.store.identity
        rows: list[Row] = []
        for document in self.reader.read(content, file.path.suffix, identity.column):
            for chunk in _chunks(document, self.kind.embedder, identity.fingerprint.prompt):
                rows.append(Row(file.name, file_digest, file.size, file.modified, *chunk))
                self._report(chunks=self.progress.chunks + 1)
        if not rows:
            raise UnreadableFileError("no text in it")
        return rows


def _files_in(named: Mapping[str, Path], files: Iterable[str], known: Mapping[str, Path]) -> set[str]:
    """Which of an index's files lie in one of the named roots."""
    found = index_roots.files_in({place: name for name, place in named.items()}, files, known)
    return {file for files_there in found.values() for file in files_there}


def _chunks_per_step(embedder: AnyEmbedder) -> int:
    """How many chunks to embed and write to disk at a time: few, but enough to keep the engine busy."""
    return max(_MIN_CHUNKS_PER_STEP, embedder.engine.tokens_per_call // _chunk_tokens(embedder))


def _chunk_tokens(embedder: AnyEmbedder) -> int:
    """How many tokens a chunk may have: as many as the model reads, if it has a limit."""
    return embedder.max_tokens if embedder.max_tokens < NO_LIMIT else _CHUNK_TOKENS


def _chunks(
    document: Document, embedder: AnyEmbedder, prompt: str
) -> Iterator[tuple[str, int, int, int, int, str, str, str]]:
    """The chunks of a document: the attributes of :class:`Row` from ``part`` on."""
    line, counted = 1, 0
    tokens = _chunk_tokens(embedder)
    overlap = min(_OVERLAP_TOKENS, tokens // 8)
    cut = spans(
        document.text, embedder.tokenizer, max_tokens=tokens, overlap=overlap, kind=document.kind, prompt=prompt
    )
    for span in cut:
        text = document.text[span.start : span.end]
        line += document.text.count("\n", counted, span.start) - document.text.count("\n", span.start, counted)
        counted = span.start
        digest = hashlib.sha256(text.encode()).hexdigest()
        heading = heading_of(document.headings, span.start, span.end)
        yield document.part, span.start, span.end, line, line + text.count("\n"), text, digest, heading
