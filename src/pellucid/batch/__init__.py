"""Whole tables of texts to tables of vectors: streamed, and gone on with after any death.

::

    files ─ sources ─▶ parts ─ stages.prepare ─▶ tokens ─ Embedder ─▶ vectors ─ stages.write ─▶ one file a part

A part is so many rows of one file. What becomes of it depends on nothing but those rows, the model and the options, and
its file takes its name when it is whole; so it is of no account who does which part, in what order, and how often.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pellucid.batch.ray import embed_dataset

__all__ = ["embed_dataset"]


def __getattr__(name: str) -> Any:
    if name == "embed_dataset":
        from pellucid.batch.ray import embed_dataset

        return embed_dataset
    raise AttributeError(f"module 'pellucid.batch' has no attribute {name!r}")
