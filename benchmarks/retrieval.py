"""Compares the results of `pellucid search` with brute force over the vectors of sentence-transformers.

Run it with a Python that has both libraries::

    .venv-reference/bin/python benchmarks/retrieval.py --json benchmarks/results/latest-retrieval.json

The queries are known items in the standard library's documentation. The first paragraph of a docstring is the query,
and the rest of that docstring is the one document that answers it. ``--collection FOLDER`` takes other queries,
documents and human judgements, in BEIR's layout: ``corpus.jsonl``, ``queries.jsonl`` and ``qrels/test.tsv``.
"""

from __future__ import annotations

import argparse
import csv
import json
import platform
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import texts
from quality import ndcg
from sentence_transformers import SentenceTransformer

from pellucid import Embedder
from pellucid.search.index import Index, SearchMode
from pellucid.search.rows import Row

DEPTH = 100
"""How many chunks to rank in order to find ten documents. A document may have several chunks."""
Vectors = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Collection:
    """Documents, queries, and human judgements.

    Attributes:
        documents: each document's text, by its name.
        queries: each query's text, by its name.
        judgements: for each query, how relevant documents are to it, by their names. Any other document is irrelevant.
    """

    documents: Mapping[str, str]
    queries: Mapping[str, str]
    judgements: Mapping[str, Mapping[str, int]]


def standard_library() -> Collection:
    """Known items in the documentation of the standard library, which every Python has."""
    items = texts.known_items()
    return Collection(
        {str(number): document for number, (_, document) in enumerate(items)},
        {str(number): query for number, (query, _) in enumerate(items)},
        {str(number): {str(number): 1} for number in range(len(items))},
    )


def beir(folder: Path) -> Collection:
    """Read a collection in BEIR's layout (Thakur and others, 2021). Queries without judgements are left out."""
    documents = {
        line["_id"]: f"{line.get('title', '')}\n{line['text']}".strip() for line in _lines(folder / "corpus.jsonl")
    }
    judgements: dict[str, dict[str, int]] = {}
    with (folder / "qrels" / "test.tsv").open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file, delimiter="\t"):
            judgements.setdefault(row["query-id"], {})[row["corpus-id"]] = int(row["score"])
    queries = {line["_id"]: line["text"] for line in _lines(folder / "queries.jsonl") if line["_id"] in judgements}
    return Collection(documents, queries, judgements)


def main() -> None:
    """Print a line for each search mode."""
    parser = argparse.ArgumentParser(description="Measure nDCG@10 of each search mode, and of brute force.")
    parser.add_argument("--model", default="all-MiniLM-L6-v2", help="the model's name or folder")
    parser.add_argument("--collection", type=Path, help="a folder in BEIR's layout")
    parser.add_argument("--json", type=Path, help="also write the figures to this file, as JSON")
    arguments = parser.parse_args()
    collection = beir(arguments.collection) if arguments.collection else standard_library()
    figures = measure(collection, arguments.model)
    for name, value in figures.items():
        print(f"{name:36} {value:.4f}" if isinstance(value, float) else f"{name:36} {value}")
    if arguments.json:
        arguments.json.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")


def measure(collection: Collection, model: str) -> dict[str, Any]:
    """The mean nDCG@10 over the queries, for each search mode and for brute force."""
    embedder = Embedder(model, on_truncation="cut")
    documents, questions = list(collection.documents), list(collection.queries.values())

    def mean_ndcg(rankings: Iterable[Sequence[str]]) -> float:
        scored = zip(collection.queries, rankings, strict=True)
        return float(np.mean([ndcg(ranking, collection.judgements[name]) for name, ranking in scored]))

    with tempfile.TemporaryDirectory() as folder:
        index = _index(collection, embedder, Path(folder))

        def search(mode: SearchMode, *, approximate: bool = False) -> float:
            hit_lists = (index.search(question, DEPTH, mode=mode, approximate=approximate) for question in questions)
            return mean_ndcg(_documents((hit.row for hit in hits), documents) for hits in hit_lists)

        rows = index.store.rows()
        reference = SentenceTransformer(str(embedder.files.folder), device="cpu", local_files_only=True)
        query_vectors = reference.encode_query(questions, normalize_embeddings=True)
        chunk_vectors = reference.encode_document([row.text for row in rows], normalize_embeddings=True)
        return {
            "model": Path(model).name,
            "python": platform.python_version(),
            "sha256 of the texts": texts.sha256([*questions, *collection.documents.values()]),
            "documents": len(documents),
            "chunks": len(rows),
            "queries": len(questions),
            "brute force, sentence-transformers": mean_ndcg(
                _documents((rows[chunk] for chunk in ranking), documents)
                for ranking in brute_force(query_vectors, chunk_vectors)
            ),
            "vector": search("vector"),
            "vector, approximate": search("vector", approximate=True),
            "text": search("text"),
            "hybrid": search("hybrid"),
        }


def brute_force(queries: Vectors, chunks: Vectors) -> Iterator[npt.NDArray[np.intp]]:
    """The chunks with the largest cosines for each query, best first. All vectors must have unit length.

    Args:
        queries: ``float32[q, d]``.
        chunks: ``float32[n, d]``.
    """
    for query in queries:
        yield np.argsort(-(chunks @ query), kind="stable")[:DEPTH]


def _index(collection: Collection, embedder: Embedder, folder: Path) -> Index:
    """Index the documents. Files are named by the documents' positions, because a document's name may be anything."""
    files = folder / "documents"
    files.mkdir()
    for position, text in enumerate(collection.documents.values()):
        (files / f"{position}.txt").write_text(text, encoding="utf-8")
    index = Index.create(folder / "index", embedder)
    index.update([files])
    return index


def _documents(rows: Iterable[Row], names: Sequence[str]) -> list[str]:
    """The names of the chunks' documents, in the order of their best chunks."""
    return list(dict.fromkeys(names[int(Path(row.file).stem)] for row in rows))


def _lines(file: Path) -> Iterator[dict[str, Any]]:
    with file.open(encoding="utf-8") as lines:
        yield from map(json.loads, lines)


if __name__ == "__main__":
    main()
