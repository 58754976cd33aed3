"""Tests that compare Pellucid with the live libraries.

``make test-reference`` runs them in a separate environment. Without sentence-transformers, they are not collected.
"""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path

import numpy as np
import pytest

REFERENCE = importlib.util.find_spec("sentence_transformers") is not None
if not REFERENCE:
    collect_ignore_glob = ["test_*.py"]


def pytest_configure(config: pytest.Config) -> None:
    """Ignore warnings of the other libraries. `make test` loads this file too, but there no warning is ignored."""
    if not REFERENCE:
        return
    import torch

    if not torch.cuda.is_available():
        os.environ.setdefault("TRITON_INTERPRET", "1")  # Triton reads it when it is imported.
    for category in ("DeprecationWarning", "FutureWarning", "PendingDeprecationWarning", "UserWarning"):
        config.addinivalue_line("filterwarnings", f"ignore::{category}")


@pytest.fixture
def as_on_a_gpu():
    """What overflows becomes infinite, without a word. NumPy, in which Triton's interpreter computes, warns of it."""
    with np.errstate(all="ignore"):
        yield


def load_reference(folder: Path | str, **options):
    """Load the same files with sentence-transformers."""
    from sentence_transformers import SentenceTransformer

    return SentenceTransformer(str(folder), device="cpu", local_files_only=True, **options)


def multi_vector_encoder(folder: Path | str, **options):
    """Load a model of late interaction with sentence-transformers."""
    from sentence_transformers import MultiVectorEncoder

    return MultiVectorEncoder(str(folder), device="cpu", local_files_only=True, **options)


def cross_encoder(folder: Path | str, **options):
    """Load a model with a head with sentence-transformers."""
    from sentence_transformers import CrossEncoder

    return CrossEncoder(str(folder), device="cpu", local_files_only=True, **options)


def sparse_encoder(folder: Path | str, **options):
    """Load a model that gives sparse vectors with sentence-transformers."""
    from sentence_transformers import SparseEncoder

    return SparseEncoder(str(folder), device="cpu", local_files_only=True, **options)


def encode_alone(reference, texts, **options):
    """The vectors of sentence-transformers, with each text in its own batch, so that padding changes nothing."""
    return reference.encode(list(texts), batch_size=1, **options)


def assert_same(ours, theirs):
    """The same types, shapes and, nearly, numbers."""
    if isinstance(theirs, list):
        assert isinstance(ours, list)
        assert len(ours) == len(theirs)
        for one, other in zip(ours, theirs, strict=True):
            assert_same(one, other)
        return
    if isinstance(theirs, dict):
        assert set(ours) <= set(theirs)
        for name, one in ours.items():
            assert_same(one, theirs[name])
        return
    assert type(ours) is type(theirs)
    assert (ours.dtype, ours.shape) == (theirs.dtype, theirs.shape)
    if ours.dtype in (np.int8, np.uint8):
        differences = np.abs(np.asarray(ours).astype(int) - np.asarray(theirs).astype(int))
        assert np.mean(differences > 0) < 0.02  # Where a number is next to a step, the last bit decides.
        return
    np.testing.assert_allclose(np.asarray(ours), np.asarray(theirs), rtol=0, atol=5e-6)


@pytest.fixture(scope="session")
def reference_minilm(minilm):
    """all-MiniLM-L6-v2 in sentence-transformers."""
    return load_reference(minilm.files.folder)


@pytest.fixture(scope="session")
def reference_mpnet(mpnet):
    """all-mpnet-base-v2 in sentence-transformers."""
    return load_reference(mpnet.files.folder)
