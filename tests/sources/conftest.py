"""Fixtures: a folder that stands in for PyPI, and an empty cache."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


@pytest.fixture
def index(tmp_path, monkeypatch) -> Path:
    """A folder that stands in for PyPI in this test."""
    folder = tmp_path / "index"
    folder.mkdir()
    for name in [name for name in os.environ if name.startswith("PIP_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", folder.as_uri())  # A URL, because pip splits a path at spaces.
    return folder


@pytest.fixture
def cache(tmp_path) -> Path:
    return tmp_path / "cache"
