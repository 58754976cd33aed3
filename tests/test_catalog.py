from __future__ import annotations

import json

import pytest

from pellucid import catalog
from tests.conftest import DATA

WHEELS = json.loads((DATA / "model_wheels.json").read_text())["models"]


def test_the_catalog_has_nine_embedders_and_two_rerankers():
    assert {entry.kind for entry in catalog.entries()[:9]} == {"embedder"}
    assert {entry.kind for entry in catalog.entries()[9:]} == {"reranker"}
    assert [(entry.short_name, entry.dimensions, entry.description) for entry in catalog.entries()] == [
        ("all-MiniLM-L6-v2", 384, "fast and efficient, general purpose, real time"),
        ("all-mpnet-base-v2", 768, "best quality, slower"),
        ("all-MiniLM-L12-v2", 384, "slightly better than L6, a bit slower"),
        ("multi-qa-MiniLM-L6-cos-v1", 384, "tuned for question answering, semantic search"),
        ("paraphrase-multilingual-MiniLM-L12-v2", 384, "50+ languages"),
        ("Qwen/Qwen3-Embedding-0.6B", 1024, "100+ languages, long texts, instructions"),
        ("Qwen/Qwen3-Embedding-4B", 2560, "the same, larger"),
        ("Qwen/Qwen3-Embedding-8B", 4096, "the same, largest"),
        ("google/embeddinggemma-300m", 768, "100+ languages, small (accept its licence)"),
        ("cross-encoder/ms-marco-MiniLM-L6-v2", None, "reranks English passages, fast"),
        ("BAAI/bge-reranker-v2-m3", None, "reranks in many languages, large"),
    ]


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("all-minilm-l6-v2", ["sentence-transformers/all-MiniLM-L6-v2"]),
        ("all-MiniLM-L6", ["sentence-transformers/all-MiniLM-L6-v2", "sentence-transformers/all-MiniLM-L12-v2"]),
        ("qwertyuiop", []),
    ],
)
def test_near_names_are_one_if_only_the_case_differs(name, near):
    assert catalog.near_names(name)[: len(near) or 1] == near
    assert len(catalog.near_names(name)) <= 3
    assert name != "all-minilm-l6-v2" or len(catalog.near_names(name)) == 1


@pytest.mark.parametrize("name", WHEELS)
def test_the_digests_match_the_real_files(name):
    entry, measured = catalog.find(name), WHEELS[name]
    assert {path: {"size": file.size, "sha256": file.sha256} for path, file in entry.files.items()} == measured["files"]
    wheels = [
        {"requirement": wheel.requirement, "file": wheel.file, "sha256": wheel.sha256} for wheel in entry.index.wheels
    ]
    keys = ("requirement", "file", "sha256")
    assert wheels == [{key: wheel[key] for key in keys} for wheel in measured["wheels"]]
    assert [wheel.member for wheel in entry.index.wheels] == [wheel.get("member", "") for wheel in measured["wheels"]]
    assert (entry.index.folder or "") == measured["wheels"][0].get("folder", "")


def test_the_other_models_are_only_on_the_hub():
    assert [entry.short_name for entry in catalog.entries() if entry.index is None] == [
        "all-MiniLM-L12-v2",
        "multi-qa-MiniLM-L6-cos-v1",
        "paraphrase-multilingual-MiniLM-L12-v2",
        "Qwen/Qwen3-Embedding-0.6B",
        "Qwen/Qwen3-Embedding-4B",
        "Qwen/Qwen3-Embedding-8B",
        "google/embeddinggemma-300m",
        "cross-encoder/ms-marco-MiniLM-L6-v2",
        "BAAI/bge-reranker-v2-m3",
    ]


def test_a_short_name_loads_its_model():
    assert [catalog.find(entry.short_name) for entry in catalog.entries()] == list(catalog.entries())


@pytest.mark.parametrize("name", ["all-mpnet-base-v2", "sentence-transformers/all-mpnet-base-v2"])
def test_short_names_and_full_names_find_the_same_model(name):
    assert catalog.find(name).name == "sentence-transformers/all-mpnet-base-v2"


@pytest.mark.parametrize("name", ["other/all-mpnet-base-v2", "nothing", ""])
def test_other_names_find_nothing(name):
    assert catalog.find(name) is None


@pytest.mark.parametrize(
    ("misspelt", "expected"),
    [
        ("all-MiniLM-L6-v3", "sentence-transformers/all-MiniLM-L6-v2"),
        ("ALL-minilm-l6-v2", "sentence-transformers/all-MiniLM-L6-v2"),
        ("sentence-transformers/all-mpnet-base", "sentence-transformers/all-mpnet-base-v2"),
        ("multi-qa-MiniLM-L6-cos", "sentence-transformers/multi-qa-MiniLM-L6-cos-v1"),
        ("ms-marco-MiniLM-L6-v2", "cross-encoder/ms-marco-MiniLM-L6-v2"),
        ("bge-reranker-v2-m3", "BAAI/bge-reranker-v2-m3"),
    ],
)
def test_a_misspelt_name_finds_the_correct_name(misspelt, expected):
    assert catalog.near_names(misspelt)[0] == expected


@pytest.mark.parametrize("name", ["BAAI/bge-small-en", "sentence-transformers/x", "zzz"])
def test_a_dissimilar_name_finds_nothing(name):
    assert catalog.near_names(name) == []
