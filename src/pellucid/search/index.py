"""An index of one's own files: kept up to date by embedding only what is new, and asked questions."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from pellucid.embedder import Embedder
from pellucid.errors import IndexWriteError, OptionError, TextError, UnreadableFileError
from pellucid.files.walk import FoundFile, Skipped, find
from pellucid.search.pointer import POINTER, Identity
from pellucid.search.readers import Document, content_of
from pellucid.search.reading import DocumentReader
from pellucid.search.rows import Row
from pellucid.search.store import Known, Store
from pellucid.text.checks import check_texts
from pellucid.text.chunking import spans
from pellucid.types import Float32

SearchMode = Literal["vector", "text", "hybrid"]
_OVERLAP = 32
_CHUNKS_PER_STEP = 1024
_RANK_CONSTANT = 60
"""Of reciprocal rank fusion (Cormack, Clarke and Büttcher, 2009)."""
_RANKED = 60
"""How many chunks of each ranking are fused, at least."""


@dataclass(frozen=True)
class Hit:
    """A chunk that answers a query, and how well: its cosine, its BM25 score, or its fused ranks."""

    row: Row
    score: float


@dataclass(frozen=True)
class Summary:
    """What an update did.

    Attributes:
        files: how many files the index has.
        chunks: how many chunks.
        added: how many files are new or changed.
        removed: how many are gone.
        embedded: how many chunks were embedded; others were found embedded already.
        skipped: what could not be read, and why.
    """

    files: int
    chunks: int
    added: int
    removed: int
    embedded: int
    skipped: tuple[Skipped, ...]


class Index:
    """Chunks of files, their vectors, and the model that made them.

    Args:
        store: the files of the index.
        embedder: the model. Its vectors must be those that the index holds.
    """

    def __init__(self, store: Store, embedder: Embedder) -> None:
        self.store = store
        self.embedder = embedder

    @classmethod
    def create(cls, folder: Path, embedder: Embedder, *, column: str = "text", rebuild: bool = False) -> Index:
        """The index in ``folder``, or a new one that is empty until it is updated.

        A folder that is made is only its owner's, who may read what is in it.

        Raises:
            IndexStateError: the index there holds the vectors of another model, and ``rebuild`` does not say that they
                may go; or it is damaged.
            IndexWriteError: ``folder`` cannot be made.
        """
        wanted = _identity(embedder, column)
        try:
            folder.parent.mkdir(parents=True, exist_ok=True)
            # It will have the texts of files that others may not be allowed to read.
            folder.mkdir(mode=0o700, exist_ok=True)
            is_new = not (folder / POINTER).exists()
        except OSError as error:
            raise IndexWriteError(f"{folder} cannot be the folder of an index ({error}). Name another.") from error
        if rebuild or is_new:
            return cls(Store(folder, wanted, None, rebuild=rebuild), embedder)
        store = Store.open(folder)
        store.check(wanted)
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
        """The index in ``folder``, with the model that it names, or with this one, which must be the same.

        Args:
            folder: the index.
            embedder: the model.
            cache_folder: where else to look for the model that it names; as in ``Embedder``.
            local_files_only: likewise.

        Raises:
            IndexStateError: there is no index, it is damaged, or it holds the vectors of another model.
        """
        store = Store.open(folder)
        if embedder is None:
            embedder = Embedder(
                store.identity.model,
                dtype=store.identity.dtype,  # type: ignore[arg-type]
                cache_folder=cache_folder,
                local_files_only=local_files_only,
            )
        store.check(_identity(embedder, store.identity.column))
        return cls(store, embedder)

    def update(
        self, roots: Sequence[Path], *, progress: Callable[[int, int], object] = lambda _done, _all: None
    ) -> Summary:
        """Make the index one of these files and folders: read what is new or changed, and forget what is gone.

        Killed at any moment, the index is the one before or the one after. What the killed process left behind is gone
        after the next update. A file that cannot be read within bounds (docs/security.md) is skipped, and the summary
        says why.

        Args:
            roots: files and folders.
            progress: told, now and then, how many bytes of the files have been read, and how many there are.

        Raises:
            OptionError: a root is not there.
            IndexWriteError: the disk is full, for one. The index is the one before.
        """
        with self.store.writing(), DocumentReader() as reader:
            return self._update(roots, reader, progress)

    def search(
        self, query: str, count: int = 10, *, mode: SearchMode = "hybrid", approximate: bool = False
    ) -> list[Hit]:
        """The chunks that answer a question best.

        Args:
            query: the question.
            count: how many chunks.
            mode: "vector", by the cosine; "text", by its words (BM25); "hybrid", by the ranks in both.
            approximate: compare the question with the half of the vectors that is likely to be near it. Only an index
                of hundreds of thousands of chunks gains by it.

        Raises:
            OptionError: ``mode`` is unknown, or ``count`` is less than 1.
            TextError: the question is blank, or is not a text.
            IndexStateError: the index is damaged, or was made again since it was opened.
        """
        if mode not in ("vector", "text", "hybrid"):
            raise OptionError(f"mode={mode!r} is not one of 'vector', 'text', 'hybrid'.")
        if count < 1:
            raise OptionError(f"count={count} must be at least 1.")
        check_texts([query])
        if not query.strip():
            raise TextError("the question is blank: ask for something.")
        if not self.store.count():
            return []
        ranked = max(count, _RANKED) if mode == "hybrid" else count
        rankings = []
        if mode in ("vector", "hybrid"):
            vector = self.embedder.embed_query(query, normalize=self._normalize)
            rankings.append(self.store.nearest(vector, ranked, "vector", approximate=approximate))
        if mode in ("text", "hybrid"):
            rankings.append(self.store.nearest(query, ranked, "text"))
        if mode != "hybrid":
            return [Hit(row, score) for row, score in rankings[0]]
        return fuse([[row for row, _ in ranking] for ranking in rankings])[:count]

    def _update(self, roots: Sequence[Path], reader: DocumentReader, progress: Callable[[int, int], object]) -> Summary:
        entries = list(find(roots))
        skipped = [entry for entry in entries if isinstance(entry, Skipped)]
        files = {entry.name: entry for entry in entries if isinstance(entry, FoundFile) and not self._is_own(entry)}
        known = self.store.known()
        changed = [file for file in files.values() if not self._is_known(file, known.get(file.name))]
        removed = known.keys() - files.keys()
        vectors, held = self.store.staged(), self.store.digests() if changed else set()
        added, embedded, done, total = 0, 0, 0, sum(file.size for file in changed)
        pending: list[Row] = []
        for file in changed:
            try:
                # All of them or none: a table that breaks off in its last row is not half there.
                rows = list(_rows(file, reader, self.embedder, self.store.identity))
            except UnreadableFileError as error:
                skipped.append(Skipped(file.name, str(error)))
            else:
                pending += rows
                added += 1
            done += file.size
            while len(pending) >= _CHUNKS_PER_STEP:
                embedded += self._stage(pending[:_CHUNKS_PER_STEP], vectors, held)
                pending = pending[_CHUNKS_PER_STEP:]
                progress(done, total)
        embedded += self._stage(pending, vectors, held)
        progress(total, total)
        if removed or changed or self.store.needs_commit():
            self.store.commit(removed | {file.name for file in changed if file.name in known})
        else:
            self.store.clean()
        return Summary(
            files=len(self.store.known()),
            chunks=self.store.count(),
            added=added,
            removed=len(removed),
            embedded=embedded,
            skipped=tuple(skipped),
        )

    @property
    def _normalize(self) -> bool | None:
        """To unit length: by the model itself, whose bits stay as they are, or, if it does not do that, afterwards."""
        return None if self.embedder.spec.unit_length else True

    def _is_known(self, file: FoundFile, known: Known | None) -> bool:
        """Whether the index has the file as it is."""
        pointer = self.store.pointer
        if pointer is not None and pointer.is_old and "\\" in file.name:  # Then, another file may have had this name.
            return False
        return known is not None and (known.size, known.modified) == (file.size, file.modified)

    def _is_own(self, file: FoundFile) -> bool:
        return self.store.folder.resolve() in file.path.resolve().parents

    def _stage(self, rows: list[Row], vectors: dict[str, Float32], held: set[str]) -> int:
        """Embed what has no vector yet, and keep the rows; returns how many were embedded.

        Args:
            rows: some chunks.
            vectors: what an earlier process had embedded, by the digest of the text.
            held: of which texts the index has vectors.
        """
        if not rows:
            return 0
        texts = {row.digest: row.text for row in rows}
        # A file that was moved, or changed in one place, has chunks that the index has already.
        vectors = vectors | self.store.vectors_of(list((texts.keys() & held) - vectors.keys()))
        new = [digest for digest in texts if digest not in vectors]
        made = self.embedder.embed_documents(
            [texts[digest] for digest in new], prompt=self.store.identity.prompt, normalize=self._normalize
        )
        found = vectors | dict(zip(new, made, strict=True))
        self.store.stage(rows, np.stack([found[row.digest] for row in rows]))
        return len(new)


def fuse(rankings: Sequence[Sequence[Row]]) -> list[Hit]:
    """One ranking of several, by reciprocal rank fusion: the sum of ``1 / (60 + rank)`` where a chunk is ranked."""
    scores: dict[Row, float] = {}
    for ranking in rankings:
        for rank, row in enumerate(ranking, start=1):
            scores[row] = scores.get(row, 0.0) + 1 / (_RANK_CONSTANT + rank)
    # Of equal ones, the one that a ranking had first; sorted() keeps that order.
    return [Hit(row, score) for row, score in sorted(scores.items(), key=lambda item: -item[1])]


def _identity(embedder: Embedder, column: str) -> Identity:
    dtype = embedder.engine.dtype
    files = embedder.files
    # A folder of this process's may be given from where it stands; who asks the index may stand elsewhere.
    name = embedder.model_name if files.source != "folder" else str(files.folder.resolve())
    return Identity(name, embedder.digest, dtype, embedder.document_prompt, embedder.dimensions, column)


def _rows(file: FoundFile, reader: DocumentReader, embedder: Embedder, identity: Identity) -> Iterator[Row]:
    content = content_of(file.path)
    file_digest = hashlib.sha256(content).hexdigest()
    found = False
    for document in reader.read(content, file.path.suffix, identity.column):
        for row in _chunks(document, embedder, identity):
            yield Row(file.name, file_digest, file.size, file.modified, *row)
            found = True
    if not found:
        raise UnreadableFileError("no text in it")


def _chunks(
    document: Document, embedder: Embedder, identity: Identity
) -> Iterator[tuple[str, int, int, int, int, str, str]]:
    line, counted = 1, 0
    overlap = min(_OVERLAP, embedder.max_tokens // 8)
    for span in spans(document.text, embedder.tokenizer, overlap=overlap, kind=document.kind, prompt=identity.prompt):
        text = document.text[span.start : span.end]
        line += document.text.count("\n", counted, span.start) - document.text.count("\n", span.start, counted)
        counted = span.start
        digest = hashlib.sha256(text.encode()).hexdigest()
        yield document.part, span.start, span.end, line, line + text.count("\n"), text, digest
