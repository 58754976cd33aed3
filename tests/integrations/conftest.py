"""Tiny models for the tests of other libraries. ``make test-integrations`` runs these tests."""

from __future__ import annotations

import os

import pytest

from pellucid import Embedder, Reranker
from tests import tiny
from tests.integrations import TEXTS

if "PELLUCID_INTEGRATIONS" not in os.environ:
    collect_ignore_glob = ["test_*.py"]
else:  # Before they are imported: without a network, they would try for minutes.
    os.environ |= {"HAYSTACK_TELEMETRY_ENABLED": "False", "ANONYMIZED_TELEMETRY": "False"}


@pytest.fixture(scope="package")
def folder(tmp_path_factory):
    return str(tiny.write_model(tmp_path_factory.mktemp("models") / "m", prompts={"query": "the cat "}))


@pytest.fixture(scope="package")
def embedder(folder):
    return Embedder(folder)


@pytest.fixture(scope="package")
def reranker_folder(tmp_path_factory):
    return str(tiny.write_scoring_model(tmp_path_factory.mktemp("models") / "r"))


@pytest.fixture(scope="package")
def ranks(reranker_folder):
    """The index and the score of each text for the query "a cat", best first."""
    return [(each.index, each.score) for each in Reranker(reranker_folder).rank("a cat", TEXTS)]
