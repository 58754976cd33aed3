"""Target ``tokens``: any token ids, in texts of any lengths. The C++ core gives the reference engine's vectors; or the
error is an ``InputError``, but only if an id, an offset or a length is out of range.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from tests import tiny, tiny_families

from pellucid import Embedder
from pellucid.errors import InputError
from pellucid.types import TokenBatch

ROUNDING = 1e-5
"""The tiny models' weights are large: in three layers, the last bit of a float32 can grow to such a difference."""


def target() -> Callable[[Any], None]:
    root = Path("build/fuzz-models/tokens")  # libFuzzer ends the process, so nothing could clean up.
    pairs = []
    for family in tiny_families.FAMILIES:
        folder = tiny.write_model(root / family, family)
        pairs.append((Embedder(folder, engine="native", threads=2), Embedder(folder, engine="reference", threads=1)))

    def check(data: Any) -> None:
        native, reference = data.PickValueInList(pairs)
        batch = make_batch(data, native.spec.encoder.vocab_size)
        try:
            vectors = native.embed_tokens(batch)
        except InputError:
            assert not is_valid(batch, native)
            return
        assert is_valid(batch, native)
        np.testing.assert_allclose(vectors, reference.embed_tokens(batch), atol=ROUNDING)

    return check


def make_batch(data: Any, vocabulary: int) -> TokenBatch:
    """Make a batch that is usually valid. One time in ten, ids, offsets or lengths may be out of range."""
    lengths = data.ConsumeIntListInRange(data.ConsumeIntInRange(0, 6), 0, tiny.MAX_TOKENS)
    may_be_invalid = data.ConsumeIntInRange(0, 9) == 0
    lowest, highest = (-2, vocabulary + 2) if may_be_invalid else (0, vocabulary - 1)
    ids = np.array(data.ConsumeIntListInRange(sum(lengths), lowest, highest), dtype=np.int32)
    offsets = np.cumsum([0, *lengths])
    if may_be_invalid and data.ConsumeBool():
        offsets[data.ConsumeIntInRange(0, len(offsets) - 1)] += data.ConsumeIntInRange(-40, 40)
    return TokenBatch(ids, offsets.astype(np.int32))


def is_valid(batch: TokenBatch, embedder: Embedder) -> bool:
    """True if ``embed_tokens`` promises to accept this batch."""
    lengths = np.diff(batch.offsets)
    ids = batch.ids
    return bool(
        batch.offsets[0] == 0
        and batch.offsets[-1] == len(ids)
        and ((lengths >= 0) & (lengths <= embedder.max_tokens)).all()
        and ((ids >= 0) & (ids < embedder.spec.encoder.vocab_size)).all()
    )
