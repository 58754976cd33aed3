"""Fixtures: tiny models with random weights, real models, and the vectors of sentence-transformers for 120 texts."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path

import hypothesis
import numpy as np
import pytest
import threadpoolctl
from docs.running import PERSONAL_VARIABLES

from pellucid import Embedder, Encoder
from tests import tiny, tiny_families

DATA = Path(__file__).parent / "data"

# A fixture would be too late, because typer reads some of these variables when it is imported.
for _name in PERSONAL_VARIABLES:
    os.environ.pop(_name, None)

# No example has a deadline, because on a busy machine any of them may take seconds. In CI, which decides whether a
# change is merged, the examples are the same each time. Other runs look for new ones.
hypothesis.settings.register_profile(
    "pellucid",
    deadline=None,
    derandomize="CI" in os.environ,
    suppress_health_check=[hypothesis.HealthCheck.too_slow],
)
hypothesis.settings.load_profile("pellucid")


@pytest.fixture(scope="session", autouse=True)
def _one_blas_thread_per_worker():
    """On two cores, two workers with two BLAS threads each would wait for each other most of the time."""
    if "PYTEST_XDIST_WORKER" not in os.environ:
        yield
        return
    with threadpoolctl.threadpool_limits(limits=1, user_api="blas"):
        yield


@pytest.fixture(scope="session", params=list(tiny_families.FAMILIES))
def family(request: pytest.FixtureRequest) -> str:
    """The name of a family. Tests with this fixture run once for each family."""
    return request.param


@pytest.fixture(scope="session")
def tiny_bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny BERT model. All tests share it, so copy it before you break it."""
    return tiny.write_model(tmp_path_factory.mktemp("models") / "tiny-bert")


@pytest.fixture
def broken(tmp_path: Path) -> Path:
    """A tiny BERT model for one test only, so the test may break it."""
    return tiny.write_model(tmp_path / "model")


@pytest.fixture
def texts_run(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many texts each call of ``Encoder.run`` had."""
    run, counts = Encoder.run, []

    def counted(encoder, tokens, *arguments, **options):
        counts.append(len(tokens))
        return run(encoder, tokens, *arguments, **options)

    monkeypatch.setattr(Encoder, "run", counted)
    return counts


@pytest.fixture(scope="session")
def minilm() -> Embedder:
    """The real all-MiniLM-L6-v2 (91 MB), downloaded once per machine."""
    return Embedder("all-MiniLM-L6-v2")


@pytest.fixture(scope="session")
def mpnet() -> Embedder:
    """The real all-mpnet-base-v2 (438 MB), downloaded once per machine."""
    return Embedder("all-mpnet-base-v2")


@dataclass(frozen=True)
class Golden:
    """120 texts, and what sentence-transformers 6.2 gives for each one alone: its token ids and its vector.

    See tests/data/README.md.
    """

    texts: list[str]
    ids: list[np.ndarray]
    vectors: np.ndarray


@pytest.fixture(scope="session")
def golden_minilm() -> Golden:
    """For all-MiniLM-L6-v2."""
    return _golden("all-MiniLM-L6-v2")


@pytest.fixture(scope="session")
def golden_mpnet() -> Golden:
    """For all-mpnet-base-v2."""
    return _golden("all-mpnet-base-v2")


def _golden(model: str) -> Golden:
    stored = np.load(DATA / f"golden_{model}.npz")
    texts = json.loads((DATA / "golden_texts.json").read_text(encoding="utf-8"))
    return Golden(texts, np.split(stored["ids"], np.cumsum(stored["lengths"])[:-1]), stored["vectors"])
