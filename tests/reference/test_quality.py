"""Semantic textual similarity: do cosines rank pairs of sentences as people do?

SemEval's English test sets of 2013 to 2015 are free for research but may not be redistributed, so they are not part of
the project. The tests need a folder with the files ``sts<year>.tsv``, where each line has a score from 0 to 5 and two
texts. The folder is ``PELLUCID_STS``, or ``../shared/data/sts``. Without it, the tests are skipped.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from benchmarks.quality import sts

from pellucid import Embedder

STS = Path(os.environ.get("PELLUCID_STS", Path(__file__).parents[3] / "shared" / "data" / "sts"))
pytestmark = pytest.mark.skipif(not STS.is_dir(), reason="no STS data here; set PELLUCID_STS")

REFERENCE = {2013: 80.60, 2014: 75.60, 2015: 85.39}
"""The results of sentence-transformers."""


@pytest.mark.parametrize(("year", "expected"), REFERENCE.items())
def test_the_real_model_ranks_sentences_as_well_as_the_reference(minilm, year, expected):
    assert round(sts(minilm, STS / f"sts{year}.tsv"), 2) == expected


@pytest.mark.parametrize(("dtype", "within"), [("int16", 0.02), ("int8", 0.3)])
def test_integers_rank_sentences_nearly_as_well(minilm, dtype, within):
    embedder = Embedder(minilm.files.folder, dtype=dtype)
    for year, expected in REFERENCE.items():
        assert sts(embedder, STS / f"sts{year}.tsv") == pytest.approx(expected, abs=within)
