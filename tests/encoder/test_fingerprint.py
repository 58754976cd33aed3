from __future__ import annotations

import json
from dataclasses import replace

import pytest

from pellucid import Embedder
from pellucid.encoder.fingerprint import EMBEDDING, Fingerprint

PLAIN = Fingerprint("digest", "native", "float32", "cpu", "", {"normalize": None, "truncate_dim": None})


def test_whatever_decides_a_result_changes_the_key():
    others = [
        {"model": "another"},
        {"engine": "reference"},
        {"dtype": "int8"},
        {"device": "cuda"},
        {"prompt": "q: "},
        {"options": {"normalize": True, "truncate_dim": None}},
        {"options": {"normalize": None, "truncate_dim": 2}},
        {"task": "sparse"},
    ]
    assert len({PLAIN.key(), *(replace(PLAIN, **other).key() for other in others)}) == len(others) + 1


def test_one_gpu_is_like_another_and_what_an_old_file_does_not_say_fits_all():
    gpu = replace(PLAIN, device="cuda")
    assert gpu.difference(replace(gpu, device="cuda:1")) is None
    assert gpu.difference(PLAIN) == "device"
    old = replace(PLAIN, engine=None, device=None, options=None)
    assert old.difference(gpu) is gpu.difference(old) is None
    assert old.difference(replace(gpu, dtype="int8")) == "dtype"


@pytest.mark.parametrize(
    "change",
    [{"model": 1}, {"engine": 1}, {"dtype": None}, {"options": []}, {"options": {"a": [1]}}, {"task": None}, {"x": ""}],
)
def test_it_comes_back_from_json_and_other_values_are_refused(change):
    assert Fingerprint.from_json(json.loads(json.dumps(PLAIN.to_json()))) == PLAIN
    with pytest.raises((TypeError, ValueError)):
        Fingerprint.from_json(PLAIN.to_json() | change)


def test_vectors_that_were_kept_before_there_were_tasks_are_found():
    """The key as version 0.1 made it, of ``{"dtype": …, "engine": …, "model": …, …}``."""
    assert PLAIN.key().hex() == "ab91128d06e24b78d583b82fd2ef4a83794c7b36e0974c34dd4f852d244400b9"


@pytest.mark.parametrize("max_tokens", [None, 5])
def test_it_is_of_the_encoder_at_work(tiny_bert, max_tokens):
    encoder = Embedder(tiny_bert, dtype="int8", max_tokens=max_tokens).encoder
    found = Fingerprint.of(encoder, "p", {}, EMBEDDING)
    assert (found.engine, found.dtype, found.device, found.prompt) == ("native", "int8", "cpu", "p")
    assert found.model == encoder.digest
    assert ("max_tokens=5" in found.model) == (max_tokens == 5)
