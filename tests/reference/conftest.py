"""Parity with the live libraries, in an environment of its own: ``make test-reference``. Elsewhere all is skipped."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

REFERENCE = importlib.util.find_spec("sentence_transformers") is not None
if not REFERENCE:
    collect_ignore_glob = ["test_*.py"]


def pytest_configure(config: pytest.Config) -> None:
    """Other libraries' warnings are theirs to mend. In the ordinary run, which loads this too, nothing is relaxed."""
    if not REFERENCE:
        return
    for category in ("DeprecationWarning", "FutureWarning", "PendingDeprecationWarning", "UserWarning"):
        config.addinivalue_line("filterwarnings", f"ignore::{category}")


def load_reference(folder: Path | str, **options):
    """sentence-transformers' own model, from the same files."""
    from sentence_transformers import SentenceTransformer

    return SentenceTransformer(str(folder), device="cpu", local_files_only=True, **options)


def encode_alone(reference, texts, **options):
    """The reference's vectors, each text in a batch of its own: no padding, so no differences from it."""
    return reference.encode(list(texts), batch_size=1, **options)


@pytest.fixture(scope="session")
def reference_minilm(minilm):
    """The reference for all-MiniLM-L6-v2."""
    return load_reference(minilm.files.folder)


@pytest.fixture(scope="session")
def reference_mpnet(mpnet):
    """The reference for all-mpnet-base-v2."""
    return load_reference(mpnet.files.folder)
