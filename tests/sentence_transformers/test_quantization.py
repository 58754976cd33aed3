"""``tests/reference/test_util.py`` compares this with sentence-transformers."""

from __future__ import annotations

import logging

import numpy as np
import pytest

from pellucid.errors import InputError, OptionError
from pellucid.sentence_transformers import quantize_embeddings

VECTORS = np.array([[0.0, -255.0], [255.0, 255.0], [51.0, -1.0]], dtype=np.float32)


@pytest.mark.parametrize(
    ("precision", "expected"),
    [
        ("int8", [[-128, -128], [127, 127], [-77, -1]]),
        ("uint8", [[0, 0], [255, 255], [51, 127]]),
        ("ubinary", [[0], [192], [128]]),
        ("binary", [[-128], [64], [0]]),
        ("float32", VECTORS.tolist()),
    ],
)
def test_each_precision(precision, expected):
    assert quantize_embeddings(VECTORS, precision).tolist() == expected
    assert quantize_embeddings(list(VECTORS), precision).tolist() == expected


def test_ranges_are_those_that_you_give():
    ranges = np.array([[0, -255], [255, 255]])
    assert quantize_embeddings(VECTORS[2:], "uint8", ranges=ranges).tolist() == [[51, 127]]
    assert quantize_embeddings(VECTORS[2], "uint8", calibration_embeddings=VECTORS).tolist() == [51, 127]


def test_matrices_share_their_ranges(caplog):
    with caplog.at_level(logging.WARNING, "pellucid"):
        first, second = quantize_embeddings([VECTORS[:2], VECTORS[2:]], "uint8")
    assert (first.tolist(), second.tolist()) == ([[0, 0], [255, 255]], [[51, 127]])
    assert "are those of 3 vectors" in caplog.text
    assert quantize_embeddings([], "int8") == []


@pytest.mark.parametrize(
    ("vectors", "precision", "error", "message"),
    [
        (VECTORS, "int4", OptionError, "precision='int4' is not one of"),
        (VECTORS[:1], "int8", InputError, "one vector has none. Pass ranges="),
        (VECTORS.astype(np.int8), "int8", InputError, "only floats can be quantized"),
    ],
)
def test_what_cannot_be_quantized_is_named(vectors, precision, error, message):
    with pytest.raises(error, match=message):
        quantize_embeddings(vectors, precision)
