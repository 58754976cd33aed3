"""Writes ``tests/data/tiny.npz``: the ids and vectors of sentence-transformers for a tiny model of each family.

``make test``, which has no PyTorch, compares Pellucid with them. Run this again only when the tiny models change::

    .venv-reference/bin/python -m tests.reference.freeze
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np

from tests import tiny
from tests.reference.conftest import encode_alone, load_reference
from tests.tiny_families import FAMILIES


def main() -> None:
    """Write each tiny model, let sentence-transformers embed ``tiny.TEXTS``, and store the ids and vectors."""
    arrays = {}
    for family in FAMILIES:
        with tempfile.TemporaryDirectory() as folder:
            reference = load_reference(tiny.write_model(Path(folder), family))
            ids = reference.tokenizer(tiny.TEXTS, truncation=True, max_length=tiny.MAX_TOKENS)["input_ids"]
            arrays[f"{family}/lengths"] = np.array([len(text) for text in ids])
            arrays[f"{family}/ids"] = np.concatenate(ids)
            arrays[f"{family}/vectors"] = encode_alone(reference, tiny.TEXTS)
    np.savez_compressed(Path(__file__).parents[1] / "data" / "tiny.npz", **arrays)


if __name__ == "__main__":
    main()
