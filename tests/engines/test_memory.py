"""Loading a model takes little more memory than what stays: no table and no layer is ever converted as a whole."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests import tiny
from tests.tiny_families import FAMILIES, HIDDEN, INNER, POSITIONS

if not Path("/proc/self/status").exists():
    pytest.skip("the memory of a process is read from /proc", allow_module_level=True)

VOCABULARY, LAYERS, SIZES = 60_000, 16, {HIDDEN: 256, INNER: 1024}
"""The table has 31 MB in bfloat16. As float32, it would have more than all layers together."""
SLACK = 8 << 20
"""What the process may take and give back besides, a quarter of the table."""

SCRIPT = """
import sys
from pathlib import Path
from pellucid.engines.native import NativeEngine
from pellucid.model.load import load_spec, load_weights
from pellucid.sources import local
from pellucid.types import TokenBatch

def memory(line):
    return int(Path("/proc/self/status").read_text().partition(line + ":")[2].split()[0]) * 1024

def load(folder):
    files = local.find(folder)
    spec = load_spec(files)
    engine = NativeEngine(spec.encoder, load_weights(files, spec), dtype=sys.argv[3])
    engine.token_vectors(TokenBatch.from_sequences([[1, 2, 3]]))
    return engine

load(sys.argv[1])  # A tiny model: from here on, no more code is loaded.
total, own = memory("VmRSS"), memory("RssAnon")
engine = load(sys.argv[2])
print(memory("VmHWM") - total, memory("RssAnon") - own)
"""


@pytest.fixture(scope="module")
def folders(tmp_path_factory) -> tuple[Path, Path]:
    """A tiny model, and one whose weights are worth counting, in bfloat16."""
    small, large = (tiny.write_model(tmp_path_factory.mktemp("memory") / "m") for _ in range(2))
    hidden = SIZES[HIDDEN]
    shapes = {"embeddings.word_embeddings.weight": (VOCABULARY, hidden)}
    shapes |= {"embeddings.position_embeddings.weight": (POSITIONS, hidden)}
    shapes |= {"embeddings.token_type_embeddings.weight": (2, hidden)}
    shapes |= {f"embeddings.LayerNorm.{kind}": (hidden,) for kind in ("weight", "bias")}
    family = FAMILIES["bert"]
    for number in range(LAYERS):
        start = family.layer.format(number)
        for name, (out, into) in family.linears.items():
            shapes[f"{start}{name}.weight"] = (SIZES[out], SIZES[into])
            shapes[f"{start}{name}.bias"] = (SIZES[out],)
        shapes |= {f"{start}{name}.{kind}": (hidden,) for name in family.layer_norms for kind in ("weight", "bias")}
    rng = np.random.default_rng(0)
    bits = {name: rng.integers(0x3B00, 0x3D00, shape, np.uint16) for name, shape in shapes.items()}
    tiny.write_bfloat16(large / "model.safetensors", bits)
    tiny.edit_json(
        large / "config.json",
        vocab_size=VOCABULARY,
        num_hidden_layers=LAYERS,
        hidden_size=hidden,
        intermediate_size=SIZES[INNER],
    )
    tiny.edit_json(large / "1_Pooling" / "config.json", word_embedding_dimension=hidden)
    return small, large


@pytest.mark.parametrize("dtype", ["float32", "int8"])
def test_the_peak_is_little_more_than_what_stays(folders, dtype):
    command = [sys.executable, "-c", SCRIPT, *map(str, folders), dtype]
    found = subprocess.run(command, capture_output=True, text=True, check=True)
    peak, stays = map(int, found.stdout.split())
    weights = LAYERS * 12 * SIZES[HIDDEN] ** 2 * (4 if dtype == "float32" else 1)
    assert abs(stays - weights) < SLACK
    assert peak < 1.2 * stays + SLACK
