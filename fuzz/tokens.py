"""Any token ids, in texts of any lengths: the C++ core gives what the reference gives, or both give the same error."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from tests import tiny, tiny_families

from pellucid import Embedder
from pellucid.errors import InputError
from pellucid.types import TokenBatch

ROUNDING = 1e-5
"""The tiny models' weights are large: three layers of them blow up the last bit of a float32 so far."""


def target() -> Callable[[Any], None]:
    root = Path(tempfile.mkdtemp())
    pairs = []
    for family in tiny_families.FAMILIES:
        folder = tiny.write_model(root / family, family)
        pairs.append((Embedder(folder, engine="native", threads=2), Embedder(folder, engine="reference", threads=1)))

    def check(data: Any) -> None:
        native, reference = data.PickValueInList(pairs)
        batch = made(data, native.spec.encoder.vocab_size)
        try:
            vectors = native.embed_tokens(batch)
        except InputError:
            assert not is_sound(batch, native)
            return
        assert is_sound(batch, native)
        np.testing.assert_allclose(vectors, reference.embed_tokens(batch), atol=ROUNDING)

    return check


def made(data: Any, vocabulary: int) -> TokenBatch:
    """Mostly sound: one time in ten an id, an offset or a length that cannot be."""
    lengths = data.ConsumeIntListInRange(data.ConsumeIntInRange(0, 6), 0, tiny.MAX_TOKENS)
    broken = data.ConsumeIntInRange(0, 9) == 0
    lowest, highest = (-2, vocabulary + 2) if broken else (0, vocabulary - 1)
    ids = np.array(data.ConsumeIntListInRange(sum(lengths), lowest, highest), dtype=np.int32)
    offsets = np.cumsum([0, *lengths])
    if broken and data.ConsumeBool():
        offsets[data.ConsumeIntInRange(0, len(offsets) - 1)] += data.ConsumeIntInRange(-40, 40)
    return TokenBatch(ids, offsets.astype(np.int32))


def is_sound(batch: TokenBatch, embedder: Embedder) -> bool:
    """What embed_tokens promises to take."""
    lengths = np.diff(batch.offsets)
    ids = batch.ids
    return bool(
        batch.offsets[0] == 0
        and batch.offsets[-1] == len(ids)
        and ((lengths >= 0) & (lengths <= embedder.max_tokens)).all()
        and ((ids >= 0) & (ids < embedder.spec.encoder.vocab_size)).all()
    )
