"""Drop-ins for sentence-transformers: change the import, and keep every number.

::

    from pellucid.sentence_transformers import CrossEncoder, SentenceTransformer, util

To change no import, say :func:`install` first, or start a program with ``python -m pellucid.sentence_transformers
PROGRAM``. Then ``import sentence_transformers`` gives this package.

Options, defaults and results are the same. An option that Pellucid cannot honour is an error that says what to do.
PyTorch is imported only if you ask for tensors, or pass a function that works on them.

::

    sentence_transformer.py   texts to vectors
    cross_encoder.py          pairs of texts to scores
    sparse_encoder.py         texts to sparse vectors
    multi_vector_encoder.py   texts to a vector for each token
    base.py                   what these share
    arguments.py              the options that their methods take, older names too
    activations.py            from logits to scores
    util.py                   the functions for vectors, from the next five
    similarity.py             how similar vectors are
    maxsim.py                 the same for several vectors for each text
    retrieval.py              search, pairs, groups
    quantization.py           smaller number types
    tensors.py                arrays and tensors
    installing.py             standing in under the name sentence_transformers
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pellucid.sentence_transformers import util
    from pellucid.sentence_transformers.cross_encoder import CrossEncoder
    from pellucid.sentence_transformers.installing import install, uninstall
    from pellucid.sentence_transformers.multi_vector_encoder import MultiVectorEncoder
    from pellucid.sentence_transformers.quantization import quantize_embeddings
    from pellucid.sentence_transformers.sentence_transformer import SentenceTransformer
    from pellucid.sentence_transformers.similarity import SimilarityFunction
    from pellucid.sentence_transformers.sparse_encoder import SparseEncoder

_MODULES = {
    "CrossEncoder": "cross_encoder",
    "MultiVectorEncoder": "multi_vector_encoder",
    "SentenceTransformer": "sentence_transformer",
    "SimilarityFunction": "similarity",
    "SparseEncoder": "sparse_encoder",
    "install": "installing",
    "quantize_embeddings": "quantization",
    "uninstall": "installing",
}
__all__ = [
    "CrossEncoder",
    "MultiVectorEncoder",
    "SentenceTransformer",
    "SimilarityFunction",
    "SparseEncoder",
    "install",
    "quantize_embeddings",
    "uninstall",
    "util",
]


def __getattr__(name: str) -> Any:
    # Each name is imported when it is first used.
    if name == "util":
        return importlib.import_module(f"{__name__}.util")
    if name in _MODULES:
        return getattr(importlib.import_module(f"{__name__}.{_MODULES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
