"""Measures how well models rank sentences in each dtype, on SemEval's STS 2013, 2014 and 2015.

Run it with Pellucid's own Python::

    .venv/bin/python benchmarks/quality.py all-MiniLM-L6-v2 all-mpnet-base-v2 --sts FOLDER

The data may not be redistributed, so you have to get it yourself. FOLDER must contain ``sts2013.tsv``, ``sts2014.tsv``
and ``sts2015.tsv``. Each line has the score that people gave and two sentences, separated by tabs.
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
    """Ranks, from 1. Equal values share the mean of their ranks."""
    _, group, count = np.unique(values, return_inverse=True, return_counts=True)
    last: Numbers = np.cumsum(count).astype(np.float64)
    return (last - (count - 1) / 2)[group]


def spearman(first: npt.ArrayLike, second: npt.ArrayLike) -> float:
    """Spearman's rank correlation."""
    return float(
        np.corrcoef(ranks(np.asarray(first, dtype=np.float64)), ranks(np.asarray(second, dtype=np.float64)))[0, 1]
    )


def sts(embedder: Embedder, file: Path) -> float:
    """Spearman's correlation, times 100, of the cosines of the sentences with the scores that people gave."""
    scores, first, second = zip(*(line.split("\t") for line in file.read_text("utf-8").splitlines()), strict=True)
    vectors = embedder.embed_documents([*first, *second], normalize=True)
    cosines = (vectors[: len(first)] * vectors[len(first) :]).sum(axis=1)
    return 100 * spearman(cosines, [float(score) for score in scores])


def ndcg(ranking: Sequence[str], relevant: Mapping[str, int], cut: int = 10) -> float:
    """Normalized discounted cumulative gain of the first ``cut`` documents, with linear gains, as in ``trec_eval``.

    See Järvelin and Kekäläinen, 2002. A query without relevant documents scores 0.
    """
    gained = _discounted([relevant.get(name, 0) for name in ranking[:cut]])
    best = _discounted(sorted(relevant.values(), reverse=True)[:cut])
    return gained / best if best else 0.0


def _discounted(gains: Iterable[int]) -> float:
    return sum(gain / math.log2(rank + 1) for rank, gain in enumerate(gains, start=1))


def main() -> None:
    """Print a table in Markdown."""
    parser = argparse.ArgumentParser(description="Measure Spearman correlations on STS, for each model and dtype.")
    parser.add_argument("models", nargs="+", help="the models' names or folders")
    parser.add_argument("--sts", type=Path, required=True, help="the folder with sts2013.tsv, …")
    arguments = parser.parse_args()
    print(f"| | | {' | '.join(map(str, YEARS))} |\n|---|---|{'--:|' * len(YEARS)}")
    for model in arguments.models:
        for dtype in DTYPES:
            embedder = Embedder(model, dtype=dtype, on_truncation="cut")
            cells = [f"{sts(embedder, arguments.sts / f'sts{year}.tsv'):.2f}" for year in YEARS]
            print(f"| {Path(model).name} | {dtype} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
