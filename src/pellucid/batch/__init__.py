"""Whole tables to tables with vectors, scores or labels, streamed. A job that was interrupted goes on where it stopped.

::

    input files ─ survey ─▶ parts ─ prepare ─▶ tokens ─ task ─▶ results ─ write ─▶ one output file for each part

A part is a number of consecutive rows of one file. Its output depends on those rows, the model and the options alone,
and the output file gets its name when it is whole. So it does not matter which process does which part, in what order,
or how often. What the results are is up to the job's options (``options.py``).
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
