"""An index of your files: kept up to date by embedding only what is new, and searched."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal

from pellucid.encoder.fingerprint import Fingerprint
from pellucid.errors import IndexWriteError, OptionError, TextError
from pellucid.files.own_folders import INDEX_POINTER
from pellucid.reprs import short_text
from pellucid.reranker import Reranker
from pellucid.search.forgetting import forget
from pellucid.search.hits import Hit, fuse, locate
from pellucid.search.pointer import Identity
from pellucid.search.reading import DocumentReader
from pellucid.search.reranking import candidates_for, rerank
from pellucid.search.rows import RankedRow, Row
from pellucid.search.store import Store
from pellucid.search.update import Progress, Summary, Update
from pellucid.search.vector_kinds import KINDS, kind_of
from pellucid.search.vector_kinds.base import AnyEmbedder, Question, VectorKind
from pellucid.tables.vector_columns import join
from pellucid.text.checks import check_texts
from pellucid.types import Float64

SearchMode = Literal["vector", "text", "hybrid"]
_MIN_CHUNKS_PER_RANKING = 60
"""How many chunks each ranking contributes at least."""


class Index:
    """Chunks of files, their vectors, and the model that made them.

    Args:
        store: the files of the index.
        embedder: the model. Its vectors must be those that the index holds.
    """

    def __init__(self, store: Store, embedder: AnyEmbedder) -> None:
        self.store = store
        self.kind = kind_of(embedder)

    @property
    def embedder(self) -> AnyEmbedder:
        """The model."""
        return self.kind.embedder

    def __repr__(self) -> str:
        return f"Index({short_text(str(self.store.folder))}, {short_text(self.embedder.model_name, 60)})"

    @classmethod
    def create(cls, folder: Path, embedder: AnyEmbedder, *, column: str = "text", rebuild: bool = False) -> Index:
        """Open the index in ``folder`` for updates, or make an empty one there.

        Only the owner of a new folder may read it.

        Args:
            folder: the folder of the index.
            embedder: the model: an ``Embedder``, ``SparseEmbedder`` or ``MultiVectorEmbedder``. The index has vectors
                of its kind.
            column: in tables, the column of texts.
            rebuild: replace whatever index is there.

        Raises:
            IndexStateError: the index there is damaged, or has other vectors than the embedder's, and ``rebuild`` is
                False.
            IndexWriteError: ``folder`` cannot be made.
        """
        requested = _identity(kind_of(embedder), column)
        try:
            folder.parent.mkdir(parents=True, exist_ok=True)
            # It will hold the texts of files that others may not be allowed to read.
            folder.mkdir(mode=0o700, exist_ok=True)
            is_new = not (folder / INDEX_POINTER).exists()
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
        embedder: AnyEmbedder | None = None,
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
            IndexStateError: there is no index, it is unfinished or damaged, or it has another model's vectors.
        """
        store = Store.open(folder)
        if embedder is None:
            fingerprint = store.identity.fingerprint
            how = {"dtype": fingerprint.dtype, "cache_folder": cache_folder, "local_files_only": local_files_only}
            kind = KINDS[fingerprint.task]
            embedder = kind.load(store.identity.model, fingerprint.options or {}, **how).embedder
        index = cls(store, embedder)
        store.check(_identity(index.kind, store.identity.column))
        return index

    def update(
        self, roots: Sequence[Path], *, on_progress: Callable[[Progress], object] = lambda _progress: None
    ) -> Summary:
        """Bring the index up to date with files and folders: read what is new or changed, and remove what is gone.

        Files that the index has from other folders stay. :meth:`forget` removes them.

        If the process is killed, the index is in either the old or the new state, and the next update removes what is
        left over. A file that cannot be read within bounds (docs/security.md) is skipped, and the summary says why.

        Args:
            roots: files and folders.
            on_progress: called whenever there is progress, also while files are found and read.

        Raises:
            OptionError: a root does not exist. If the index has files from it, the message says how to forget them.
            IndexStateError: the index was made with another model or other options than the embedder's.
            IndexWriteError: the disk is full, for example. The index stays in the old state.
        """
        self.store.check(_identity(self.kind, self.store.identity.column), for_update=True)
        with self.store.writing(), DocumentReader() as reader:
            return Update(self.store, self.kind, reader, on_progress).run(roots)

    def forget(self, roots: Sequence[Path]) -> Summary:
        """Remove files and folders from the index. They need not exist any more, and are not touched.

        Args:
            roots: files and folders that the index has files from.

        Raises:
            OptionError: the index has no file from one of them.
            IndexStateError: the index is damaged.
            IndexWriteError: the disk is full, for example. The index stays in the old state.
        """
        return forget(self.store, roots)

    def search(
        self,
        query: str,
        count: int = 10,
        *,
        mode: SearchMode = "hybrid",
        approximate: bool = False,
        reranker: Reranker | None = None,
    ) -> list[Hit]:
        """The chunks that match a query best.

        Args:
            query: a question, or words to look for.
            count: how many chunks.
            mode: "vector", by the vectors (cosine, dot product or MaxSim); "text", by its words (BM25); "hybrid", by
                the ranks in both.
            approximate: search only the half of the vectors that is likely to be near the query. That saves time
                in an index of hundreds of thousands of chunks. Only for dense vectors.
            reranker: sorts the best 50 chunks, or ``count`` if that is more, by how well each answers the query. The
                best ``count`` of them are returned, with their ``rerank_score``.

        Raises:
            OptionError: ``mode`` is unknown, ``count`` is less than 1, or ``approximate`` is not for these vectors.
            TextError: the query is blank, or is not a text.
            IndexStateError: the index is damaged, or was rebuilt since it was opened.
        """
        if mode not in ("vector", "text", "hybrid"):
            raise OptionError(f"mode={mode!r} is not one of 'vector', 'text', 'hybrid'.")
        if count < 1:
            raise OptionError(f"count={count} must be at least 1.")
        if approximate and not self.kind.searches_approximately:
            raise OptionError(
                f"an index made with task {self.kind.name!r} cannot be searched approximately: each search reads all "
                f"of its vectors. Leave approximate out."
            )
        if reranker is not None:
            candidates = self.search(query, candidates_for(count), mode=mode, approximate=approximate)
            return rerank(query, candidates, reranker)[:count]
        check_texts([query])
        if not query.strip():
            raise TextError("the query is blank.")
        if not self.store.count():
            return []
        question = self.kind.question(query)
        ranked = max(count, _MIN_CHUNKS_PER_RANKING) if mode == "hybrid" else count
        by_vector = self.store.rank(question, ranked, approximate=approximate) if mode != "text" else []
        by_words = self.store.rank_by_words(query, ranked) if mode != "vector" else []
        if mode == "hybrid":
            scored = fuse([[found.row for found in ranking] for ranking in (by_vector, by_words)])[:count]
        else:
            scored = [(found.row, found.score) for found in by_vector or by_words]
        return self._hits(scored, by_vector, by_words, question)

    def similarities(self, query: str, texts: Sequence[str]) -> Float64:
        """How near any texts are to a query, by the measure of the index: ``float64[n]``.

        Raises:
            TextTypeError, TextError: a text cannot be used.
        """
        question = self.kind.question(query)
        return question.scores(self.kind.embed(texts, self.store.identity.fingerprint.prompt))

    def _hits(
        self,
        scored: Sequence[tuple[Row, float]],
        by_vector: Sequence[RankedRow],
        by_words: Sequence[RankedRow],
        question: Question,
    ) -> list[Hit]:
        """Say of each chunk how near its vectors are, what its places in the rankings are, and where its file is."""
        if not scored:
            return []
        vectors = {found.row: found.vector for found in (*by_vector, *by_words)}
        vector_scores = question.scores(join([vectors[row] for row, _ in scored])).tolist()
        vector_ranks, text_ranks = (
            {found.row: rank for rank, found in enumerate(ranking, start=1)} for ranking in (by_vector, by_words)
        )
        roots = self.store.roots()
        return [
            Hit(
                row,
                score,
                vector_score,
                vector_ranks.get(row),
                text_ranks.get(row),
                *locate(row, roots),
                measure=self.kind.measure,
            )
            for (row, score), vector_score in zip(scored, vector_scores, strict=True)
        ]


def _identity(kind: VectorKind, column: str) -> Identity:
    embedder = kind.embedder
    fingerprint = Fingerprint.of(embedder.encoder, embedder.document_prompt, kind.options, kind.task)
    files = embedder.files
    # The path of a folder may be relative to this process's folder; a later process may run elsewhere.
    name = embedder.model_name if files.source != "folder" else str(files.folder.resolve())
    return Identity(name, fingerprint, embedder.dimensions, column)
