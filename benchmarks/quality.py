"""How well models rank sentences in each arithmetic: SemEval's STS 2013, 2014 and 2015, as a table.

Run it with Pellucid's own Python::

    .venv/bin/python benchmarks/quality.py all-MiniLM-L6-v2 all-mpnet-base-v2 --sts FOLDER

The data may not be redistributed. FOLDER has ``sts2013.tsv``, ``sts2014.tsv`` and ``sts2015.tsv``: people's score and
two sentences a line, with tabs between them.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from pellucid import Embedder

YEARS = (2013, 2014, 2015)
DTYPES = ("float32", "int16", "int8")
Numbers = npt.NDArray[np.float64]


def ranks(values: Numbers) -> Numbers:
    """Ranks from 1, and for equal values the mean of theirs."""
    _, place, count = np.unique(values, return_inverse=True, return_counts=True)
    last: Numbers = np.cumsum(count).astype(np.float64)
    return (last - (count - 1) / 2)[place]


def spearman(first: npt.ArrayLike, second: npt.ArrayLike) -> float:
    """Spearman's rank correlation."""
    return float(
        np.corrcoef(ranks(np.asarray(first, dtype=np.float64)), ranks(np.asarray(second, dtype=np.float64)))[0, 1]
    )


def sts(embedder: Embedder, file: Path) -> float:
    """A hundred times Spearman's correlation of the sentences' cosines with people's scores."""
    scores, first, second = zip(*(line.split("\t") for line in file.read_text("utf-8").splitlines()), strict=True)
    vectors = embedder.embed_documents([*first, *second], normalize=True)
    cosines = (vectors[: len(first)] * vectors[len(first) :]).sum(axis=1)
    return 100 * spearman(cosines, [float(score) for score in scores])


def ndcg(ranking: Sequence[str], relevant: Mapping[str, int], cut: int = 10) -> float:
    """Normalized discounted cumulative gain of the first ``cut`` documents, with linear gains, as ``trec_eval`` has it.

    Järvelin and Kekäläinen, 2002. A query for which nothing is relevant has 0.
    """
    gained = _discounted([relevant.get(name, 0) for name in ranking[:cut]])
    best = _discounted(sorted(relevant.values(), reverse=True)[:cut])
    return gained / best if best else 0.0


def _discounted(gains: Iterable[int]) -> float:
    return sum(gain / math.log2(rank + 1) for rank, gain in enumerate(gains, start=1))


def main() -> None:
    """Print the table, in Markdown."""
    parser = argparse.ArgumentParser(description="Spearman correlations on STS, for each model and arithmetic.")
    parser.add_argument("models", nargs="+", help="names or folders")
    parser.add_argument("--sts", type=Path, required=True, help="the folder with sts2013.tsv, …")
    arguments = parser.parse_args()
    print(f"| | | {' | '.join(map(str, YEARS))} |\n|---|---|{'--:|' * len(YEARS)}")
    for model in arguments.models:
        for dtype in DTYPES:
            embedder = Embedder(model, dtype=dtype, on_truncation="ignore")
            found = (sts(embedder, arguments.sts / f"sts{year}.tsv") for year in YEARS)
            print(f"| {Path(model).name} | {dtype} | {' | '.join(f'{value:.2f}' for value in found)} |", flush=True)


if __name__ == "__main__":
    main()
