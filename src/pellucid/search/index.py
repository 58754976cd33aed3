"""An index of your files: kept up to date by embedding only what is new, and searched."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from pellucid.embedder import Embedder
from pellucid.encoder.fingerprint import Fingerprint
from pellucid.errors import IndexWriteError, OptionError, TextError, UnreadableFileError
from pellucid.files.walk import FoundFile, SkippedFile, find_files
from pellucid.reprs import short_repr, short_text
from pellucid.search.pointer import POINTER, Identity
from pellucid.search.readers import Document, read_bytes
from pellucid.search.reading import DocumentReader
from pellucid.search.rows import Row
from pellucid.search.store import IndexedFile, Store
from pellucid.text.checks import check_texts
from pellucid.text.chunking import spans
from pellucid.types import Float32

SearchMode = Literal["vector", "text", "hybrid"]
_OVERLAP_TOKENS = 32
"""About how many tokens at the end of a chunk are repeated at the start of the next."""
_CHUNKS_PER_STEP = 1024
"""How many chunks are embedded and written to disk at a time."""
_RANK_CONSTANT = 60
"""The constant of reciprocal rank fusion (Cormack, Clarke and Büttcher, 2009)."""
_MIN_CHUNKS_PER_RANKING = 60
"""How many chunks each ranking contributes at least."""


@dataclass(frozen=True)
class Hit:
    """A chunk that matches a query, and its score: a cosine, a BM25 score, or a sum of fused ranks."""

    row: Row
    score: float

    __repr__ = short_repr


@dataclass(frozen=True)
class Summary:
    """What an update did.

    Attributes:
        files: how many files the index has.
        chunks: how many chunks the index has.
        added: how many files are new or changed.
        removed: how many files are gone.
        embedded: how many chunks were embedded; the others had vectors already.
        skipped: the files that could not be read, and why.
    """

    files: int
    chunks: int
    added: int
    removed: int
    embedded: int
    skipped: tuple[SkippedFile, ...]

    __repr__ = short_repr


class Index:
    """Chunks of files, their vectors, and the model that made them.

    Args:
        store: the files of the index.
        embedder: the model. Its vectors must be those that the index holds.
    """

    def __init__(self, store: Store, embedder: Embedder) -> None:
        self.store = store
        self.embedder = embedder

    def __repr__(self) -> str:
        return f"Index({short_text(str(self.store.folder))}, {short_text(self.embedder.model_name, 60)})"

    @classmethod
    def create(cls, folder: Path, embedder: Embedder, *, column: str = "text", rebuild: bool = False) -> Index:
        """Open the index in ``folder`` for updates, or make an empty one there.

        Only the owner of a new folder may read it.

        Args:
            folder: the folder of the index.
            embedder: the model.
            column: in tables, the column of texts.
            rebuild: replace whatever index is there.

        Raises:
            IndexStateError: the index there is damaged, or has other vectors than the embedder's, and ``rebuild`` is
                False.
            IndexWriteError: ``folder`` cannot be made.
        """
        requested = _identity(embedder, column)
        try:
            folder.parent.mkdir(parents=True, exist_ok=True)
            # It will hold the texts of files that others may not be allowed to read.
            folder.mkdir(mode=0o700, exist_ok=True)
            is_new = not (folder / POINTER).exists()
        except OSError as error:
            raise IndexWriteError(f"{folder} cannot be the folder of an index ({error}). Choose another.") from error
        if rebuild or is_new:
            return cls(Store(folder, requested, None, rebuild=rebuild), embedder)
        store = Store.open(folder)
        store.check(requested, for_update=True)
        return cls(store, embedder)

    @classmethod
    def open(
        cls,
        folder: Path,
        embedder: Embedder | None = None,
        *,
        cache_folder: Path | None = None,
        local_files_only: bool = False,
    ) -> Index:
        """Open the index in ``folder`` for searches.

        Args:
            folder: the folder of the index.
            embedder: the model, which must be the one that made the index; None to load the model that the index
                names.
            cache_folder: for that model, as in ``Embedder``.
            local_files_only: as there.

        Raises:
            IndexStateError: there is no index, it is damaged, or it has another model's vectors.
        """
        store = Store.open(folder)
        if embedder is None:
            embedder = Embedder(
                store.identity.model,
                dtype=store.identity.fingerprint.dtype,  # type: ignore[arg-type]
                cache_folder=cache_folder,
                local_files_only=local_files_only,
            )
        store.check(_identity(embedder, store.identity.column))
        return cls(store, embedder)

    def update(
        self, roots: Sequence[Path], *, on_progress: Callable[[int, int], object] = lambda _done, _total: None
    ) -> Summary:
        """Bring the index up to date with files and folders: read what is new or changed, and remove what is gone.

        If the process is killed, the index is in either the old or the new state, and the next update removes what is
        left over. A file that cannot be read within bounds (docs/security.md) is skipped, and the summary says why.

        Args:
            roots: files and folders.
            on_progress: called now and then with the number of bytes that have been read, and of all bytes to read.

        Raises:
            OptionError: a root does not exist.
            IndexStateError: the index was made with another model or other options than the embedder's.
            IndexWriteError: the disk is full, for example. The index stays in the old state.
        """
        self.store.check(_identity(self.embedder, self.store.identity.column), for_update=True)
        with self.store.writing(), DocumentReader() as reader:
            return self._update(roots, reader, on_progress)

    def search(
        self, query: str, count: int = 10, *, mode: SearchMode = "hybrid", approximate: bool = False
    ) -> list[Hit]:
        """The chunks that match a query best.

        Args:
            query: a question, or words to look for.
            count: how many chunks.
            mode: "vector", by the cosine; "text", by its words (BM25); "hybrid", by the ranks in both.
            approximate: search only the half of the vectors that is likely to be near the query. That saves time
                in an index of hundreds of thousands of chunks.

        Raises:
            OptionError: ``mode`` is unknown, or ``count`` is less than 1.
            TextError: the query is blank, or is not a text.
            IndexStateError: the index is damaged, or was rebuilt since it was opened.
        """
        if mode not in ("vector", "text", "hybrid"):
            raise OptionError(f"mode={mode!r} is not one of 'vector', 'text', 'hybrid'.")
        if count < 1:
            raise OptionError(f"count={count} must be at least 1.")
        check_texts([query])
        if not query.strip():
            raise TextError("the query is blank.")
        if not self.store.count():
            return []
        ranked = max(count, _MIN_CHUNKS_PER_RANKING) if mode == "hybrid" else count
        rankings = []
        if mode in ("vector", "hybrid"):
            vector = self.embedder.embed_query(query, normalize=_normalize_option(self.embedder))
            rankings.append(self.store.rank(vector, ranked, "vector", approximate=approximate))
        if mode in ("text", "hybrid"):
            rankings.append(self.store.rank(query, ranked, "text"))
        if mode != "hybrid":
            return [Hit(row, score) for row, score in rankings[0]]
        return fuse([[row for row, _ in ranking] for ranking in rankings])[:count]

    def _update(
        self, roots: Sequence[Path], reader: DocumentReader, on_progress: Callable[[int, int], object]
    ) -> Summary:
        entries = list(find_files(roots))
        skipped = [entry for entry in entries if isinstance(entry, SkippedFile)]
        files = {entry.name: entry for entry in entries if isinstance(entry, FoundFile) and not self._is_own(entry)}
        indexed = self.store.files()
        changed = [file for file in files.values() if not self._is_unchanged(file, indexed.get(file.name))]
        removed = indexed.keys() - files.keys()
        vectors, stored = self.store.staged(), self.store.digests() if changed else set()
        added, embedded, done, total = 0, 0, 0, sum(file.size for file in changed)
        pending: list[Row] = []
        for file in changed:
            try:
                # All rows or none: a table that is broken in its last row is not half indexed.
                rows = list(_rows(file, reader, self.embedder, self.store.identity))
            except UnreadableFileError as error:
                skipped.append(SkippedFile(file.path, file.name, str(error)))
            else:
                pending += rows
                added += 1
            done += file.size
            while len(pending) >= _CHUNKS_PER_STEP:
                embedded += self._stage(pending[:_CHUNKS_PER_STEP], vectors, stored)
                pending = pending[_CHUNKS_PER_STEP:]
                on_progress(done, total)
        embedded += self._stage(pending, vectors, stored)
        on_progress(total, total)
        if removed or changed or self.store.needs_commit():
            self.store.commit(removed | {file.name for file in changed if file.name in indexed})
        else:
            self.store.clean()
        return Summary(
            files=len(self.store.files()),
            chunks=self.store.count(),
            added=added,
            removed=len(removed),
            embedded=embedded,
            skipped=tuple(skipped),
        )

    def _is_unchanged(self, file: FoundFile, indexed: IndexedFile | None) -> bool:
        """Whether the index has the file as it is now."""
        pointer = self.store.pointer
        if pointer is not None and not pointer.has_records and "\\" in file.name:
            return False  # In so old an index, the name may be another file's.
        return indexed is not None and (indexed.size, indexed.modified) == (file.size, file.modified)

    def _is_own(self, file: FoundFile) -> bool:
        return self.store.folder.resolve() in file.path.resolve().parents

    def _stage(self, rows: list[Row], vectors: dict[str, Float32], stored: set[str]) -> int:
        """Embed the chunks that have no vector yet, and keep all of them.

        Args:
            rows: the chunks.
            vectors: what an earlier process had embedded, by the digest of the text.
            stored: the digests of the texts that the index has vectors for.

        Returns:
            How many were embedded.
        """
        if not rows:
            return 0
        texts = {row.digest: row.text for row in rows}
        # Most chunks of a file that was moved, or changed in one place, are in the index already.
        vectors = vectors | self.store.vectors_of(list((texts.keys() & stored) - vectors.keys()))
        new = [digest for digest in texts if digest not in vectors]
        embedded = self.embedder.embed_documents(
            [texts[digest] for digest in new],
            prompt=self.store.identity.fingerprint.prompt,
            normalize=_normalize_option(self.embedder),
        )
        vectors = vectors | dict(zip(new, embedded, strict=True))
        self.store.stage(rows, np.stack([vectors[row.digest] for row in rows]))
        return len(new)


def fuse(rankings: Sequence[Sequence[Row]]) -> list[Hit]:
    """Join rankings by reciprocal rank fusion: a chunk's score is the sum of ``1 / (60 + rank)`` over its rankings."""
    scores: dict[Row, float] = {}
    for ranking in rankings:
        for rank, row in enumerate(ranking, start=1):
            scores[row] = scores.get(row, 0.0) + 1 / (_RANK_CONSTANT + rank)
    # sorted() is stable: of equal scores, the chunk that was ranked first comes first.
    return [Hit(row, score) for row, score in sorted(scores.items(), key=lambda item: -item[1])]


def _normalize_option(embedder: Embedder) -> bool | None:
    """The ``normalize`` that gives unit length. A model that normalizes by itself keeps its own bits (None)."""
    return None if embedder.spec.unit_length else True


def _identity(embedder: Embedder, column: str) -> Identity:
    options = {"normalize": _normalize_option(embedder), "truncate_dim": None}
    fingerprint = Fingerprint.of(embedder.encoder, embedder.document_prompt, options, embedder.task_name)
    files = embedder.files
    # The path of a folder may be relative to this process's folder; a later process may run elsewhere.
    name = embedder.model_name if files.source != "folder" else str(files.folder.resolve())
    return Identity(name, fingerprint, embedder.dimensions, column)


def _rows(file: FoundFile, reader: DocumentReader, embedder: Embedder, identity: Identity) -> Iterator[Row]:
    content = read_bytes(file.path)
    file_digest = hashlib.sha256(content).hexdigest()
    is_empty = True
    for document in reader.read(content, file.path.suffix, identity.column):
        for chunk in _chunks(document, embedder, identity.fingerprint.prompt):
            yield Row(file.name, file_digest, file.size, file.modified, *chunk)
            is_empty = False
    if is_empty:
        raise UnreadableFileError("no text in it")


def _chunks(document: Document, embedder: Embedder, prompt: str) -> Iterator[tuple[str, int, int, int, int, str, str]]:
    """The chunks of a document: the attributes of :class:`Row` from ``part`` on."""
    line, counted = 1, 0
    overlap = min(_OVERLAP_TOKENS, embedder.max_tokens // 8)
    for span in spans(document.text, embedder.tokenizer, overlap=overlap, kind=document.kind, prompt=prompt):
        text = document.text[span.start : span.end]
        line += document.text.count("\n", counted, span.start) - document.text.count("\n", span.start, counted)
        counted = span.start
        digest = hashlib.sha256(text.encode()).hexdigest()
        yield document.part, span.start, span.end, line, line + text.count("\n"), text, digest
