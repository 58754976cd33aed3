"""Popular decoders: what their files say, at full size and at a small one; see tests/decoder_layouts.py."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from pellucid import Embedder
from pellucid.model.load import load_spec
from pellucid.sources import local
from tests.decoder_layouts import LAYOUTS, small
from tests.tiny_decoders import TEXTS, write_decoder, write_settings

ENGINES = ("reference", "native")


def shown(name: str) -> list[str]:
    """The row of a model in docs/layouts.md."""
    page = (Path(__file__).parents[2] / "docs" / "layouts.md").read_text(encoding="utf-8")
    rows = {
        row.split(" | ")[0]: row for row in re.findall(r"^\| (.*) \|$", page.partition("## Decoders")[2], re.MULTILINE)
    }
    return rows[name].split(" | ")


@pytest.mark.parametrize("name", LAYOUTS)
def test_the_spec_of_the_full_size_files_is_the_row_of_the_docs(name, tmp_path):
    layout = LAYOUTS[name]
    write_settings(tmp_path, layout, layout.config)
    (tmp_path / "model.safetensors").touch()
    spec = load_spec(local.find(str(tmp_path)))
    first = spec.encoder.blocks[0].attention
    assert shown(name) == [
        name,
        spec.encoder.family,
        "both ways" if first.after != 0 else "before",
        spec.pooling.modes[0],
        ", ".join(type(module).__name__.removesuffix("Spec") for module in spec.modules),
        ", ".join(f"`{prompt}`" for prompt in list(spec.prompts)[:2]) + (", …" if len(spec.prompts) > 2 else "")
        or "none",
        str(spec.tokenizer.max_tokens),
        str(spec.dimensions),
    ]


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("name", LAYOUTS)
def test_small_versions_run(name, engine, tmp_path):
    embedder = Embedder(write_decoder(tmp_path / "m", small(LAYOUTS[name])), engine=engine)
    vectors = embedder.embed_documents(TEXTS)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, rtol=0, atol=1e-6)
    assert np.ptp(vectors, axis=0).max() > 0.1
