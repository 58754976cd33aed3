"""How well `pellucid search` finds what answers a question, beside brute force over sentence-transformers' vectors.

Run it with a Python that has both::

    .venv-reference/bin/python benchmarks/retrieval.py --json benchmarks/results/latest-retrieval.json

The queries are known items of the standard library's documentation: the first paragraph of a docstring asks, and the
rest of it is the one document that answers. ``--collection FOLDER`` takes a collection of queries, documents and
people's judgements in the layout of BEIR instead: ``corpus.jsonl``, ``queries.jsonl`` and ``qrels/test.tsv``.
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
"""How many chunks are looked at for ten documents: a document may have several."""
Vectors = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Collection:
    """Documents and queries by their names, and how relevant a document is to a query, if at all."""

    documents: Mapping[str, str]
    queries: Mapping[str, str]
    judgements: Mapping[str, Mapping[str, int]]


def standard_library() -> Collection:
    """Known items of the documentation that every Python has."""
    items = texts.known_items()
    return Collection(
        {str(number): document for number, (_, document) in enumerate(items)},
        {str(number): query for number, (query, _) in enumerate(items)},
        {str(number): {str(number): 1} for number in range(len(items))},
    )


def beir(folder: Path) -> Collection:
    """A collection in the layout of BEIR (Thakur and others, 2021); the queries are those with judgements."""
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
    """Print a line for each way to search."""
    parser = argparse.ArgumentParser(description="nDCG@10 of the ways to search, and of brute force.")
    parser.add_argument("--model", default="all-MiniLM-L6-v2", help="name or folder")
    parser.add_argument("--collection", type=Path, help="a folder in the layout of BEIR")
    parser.add_argument("--json", type=Path, help="a file for the figures")
    arguments = parser.parse_args()
    collection = beir(arguments.collection) if arguments.collection else standard_library()
    figures = measure(collection, arguments.model)
    for name, value in figures.items():
        print(f"{name:36} {value:.4f}" if isinstance(value, float) else f"{name:36} {value}")
    if arguments.json:
        arguments.json.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")


def measure(collection: Collection, model: str) -> dict[str, Any]:
    """nDCG@10 of each way to search, the mean over the queries."""
    embedder = Embedder(model, on_truncation="ignore")
    documents, questions = list(collection.documents), list(collection.queries.values())

    def mean(rankings: Iterable[Sequence[str]]) -> float:
        scored = zip(collection.queries, rankings, strict=True)
        return float(np.mean([ndcg(ranking, collection.judgements[name]) for name, ranking in scored]))

    with tempfile.TemporaryDirectory() as folder:
        index = _index(collection, embedder, Path(folder))

        def search(mode: SearchMode, *, approximate: bool = False) -> float:
            found = (index.search(question, DEPTH, mode=mode, approximate=approximate) for question in questions)
            return mean(_documents((hit.row for hit in hits), documents) for hits in found)

        rows = index.store.rows()
        theirs = SentenceTransformer(str(embedder.files.folder), device="cpu", local_files_only=True)
        asked = theirs.encode_query(questions, normalize_embeddings=True)
        answering = theirs.encode_document([row.text for row in rows], normalize_embeddings=True)
        return {
            "model": Path(model).name,
            "python": platform.python_version(),
            "sha256 of the texts": texts.sha256([*questions, *collection.documents.values()]),
            "documents": len(documents),
            "chunks": len(rows),
            "queries": len(questions),
            "brute force, sentence-transformers": mean(
                _documents((rows[chunk] for chunk in ranking), documents) for ranking in brute_force(asked, answering)
            ),
            "vector": search("vector"),
            "vector, approximate": search("vector", approximate=True),
            "text": search("text"),
            "hybrid": search("hybrid"),
        }


def brute_force(queries: Vectors, chunks: Vectors) -> Iterator[npt.NDArray[np.intp]]:
    """The chunks with the largest cosines, best first; of ``queries[q, d]`` and ``chunks[n, d]`` of length one."""
    for query in queries:
        yield np.argsort(-(chunks @ query), kind="stable")[:DEPTH]


def _index(collection: Collection, embedder: Embedder, folder: Path) -> Index:
    """An index of files that are named by their documents' positions, because documents may have any names."""
    files = folder / "documents"
    files.mkdir()
    for position, text in enumerate(collection.documents.values()):
        (files / f"{position}.txt").write_text(text, encoding="utf-8")
    index = Index.create(folder / "index", embedder)
    index.update([files])
    return index


def _documents(rows: Iterable[Row], names: Sequence[str]) -> list[str]:
    """Documents in the order of their best chunks."""
    return list(dict.fromkeys(names[int(Path(row.file).stem)] for row in rows))


def _lines(file: Path) -> Iterator[dict[str, Any]]:
    with file.open(encoding="utf-8") as opened:
        yield from map(json.loads, opened)


if __name__ == "__main__":
    main()
