"""What a search finds: a chunk, why it is where it is in the ranking, and where its file is now."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from pellucid.files.walk import path_of
from pellucid.reprs import short_repr
from pellucid.search.rows import Row
from pellucid.search.vector_kinds.base import Measure

FileState = Literal["unchanged", "changed", "gone", "unreadable", "unknown"]
"""A file now, compared with when it was indexed. "unknown" if an older Pellucid made the index."""

_RANK_CONSTANT = 60
"""The constant of reciprocal rank fusion (Cormack, Clarke and Büttcher, 2009)."""


@dataclass(frozen=True)
class Hit:
    """A chunk that matches a query.

    Attributes:
        row: the chunk. Its lines are those of the file when it was indexed.
        score: what the index ranks by: ``vector_score``, BM25, or the sum of fused ranks.
        vector_score: how near the vectors of query and chunk are, whatever the ranking is by: the cosine in an index of
            dense vectors, the dot product in one of sparse vectors, and MaxSim in one of multi-vectors.
        vector_rank: the place in the ranking by ``vector_score``, from 1; None if the chunk is not in it.
        text_rank: the place in the ranking by words, from 1; None if the chunk is not in it.
        path: the absolute path of the file; None if an older Pellucid made the index.
        file_state: whether the file is still what was indexed.
        rerank_score: how well the chunk answers the query, by a reranker, which then gives the order; None without one.
        measure: what ``vector_score`` is: "cosine", "dot" or "maxsim".
    """

    row: Row
    score: float
    vector_score: float
    vector_rank: int | None
    text_rank: int | None
    path: Path | None
    file_state: FileState
    rerank_score: float | None = None
    measure: Measure = "cosine"

    __repr__ = short_repr

    @property
    def cosine(self) -> float | None:
        """The cosine of the vectors of query and chunk; None if the index has no dense vectors."""
        return self.vector_score if self.measure == "cosine" else None

    def to_dict(self) -> dict[str, Any]:
        """All of it as plain values, for JSON: the attributes of the hit, and those of its row.

        Only hits that were reranked have a ``rerank_score``. In an index of dense vectors, ``vector_score`` is called
        ``cosine``.
        """
        return {
            **({} if self.rerank_score is None else {"rerank_score": self.rerank_score}),
            "path": None if self.path is None else str(self.path),
            "score": self.score,
            "cosine" if self.measure == "cosine" else "vector_score": self.vector_score,
            "vector_rank": self.vector_rank,
            "text_rank": self.text_rank,
            "file_state": self.file_state,
            **asdict(self.row),
        }


def fuse(rankings: Sequence[Sequence[Row]]) -> list[tuple[Row, float]]:
    """Join rankings by reciprocal rank fusion: a chunk's score is the sum of ``1 / (60 + rank)`` over its rankings."""
    scores: dict[Row, float] = {}
    for ranking in rankings:
        for rank, row in enumerate(ranking, start=1):
            scores[row] = scores.get(row, 0.0) + 1 / (_RANK_CONSTANT + rank)
    # sorted() is stable: of equal scores, the chunk that was ranked first comes first.
    return sorted(scores.items(), key=lambda item: -item[1])


def locate(row: Row, roots: Mapping[str, Path]) -> tuple[Path | None, FileState]:
    """Where a chunk's file is, and whether it is still what was indexed.

    Args:
        row: the chunk.
        roots: the folders and files that were indexed, by name.
    """
    path = path_of(row.file, roots)
    return path, "unknown" if path is None else _state(path, row)


def _state(path: Path, row: Row) -> FileState:
    try:
        status = path.stat()
        if (status.st_size, status.st_mtime_ns) == (row.size, row.modified):
            return "unchanged"
        if status.st_size != row.size or not path.is_file():
            return "changed"
        with path.open("rb") as file:
            same = hashlib.file_digest(file, "sha256").hexdigest() == row.file_digest
    except (FileNotFoundError, NotADirectoryError):
        return "gone"
    except OSError:
        return "unreadable"
    return "unchanged" if same else "changed"
