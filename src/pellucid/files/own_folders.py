"""The folders that Pellucid makes, and how to tell them by the names in them."""

from __future__ import annotations

import re
from collections.abc import Collection

INDEX_POINTER = "index.json"
INDEX_STAGED = "staged"
"""In an index, the folder of chunks that are embedded but not in the index yet."""
INDEX_TABLE = "chunks-"
"""In an index, the beginning of a table's name. A unique number follows."""
INDEX_LOCK = "lock"
"""In an index, the file that its writer holds."""
BATCH_MANIFEST = "_manifest.json"
BATCH_LOCK = ".lock"
"""In the output of ``pellucid batch``, the file that its writer holds."""
_BATCH_PART = re.compile(r"-[0-9]{12}-[0-9]{12}\.parquet$")
"""The end of a part's name: its rows."""


def what_pellucid_made(names: Collection[str]) -> str | None:
    """What a folder with these names in it is, if Pellucid made it; None if it is any other folder."""
    has_table = any(name.startswith(INDEX_TABLE) and name.endswith(".lance") for name in names)
    if (INDEX_POINTER in names and has_table) or (INDEX_STAGED in names and INDEX_LOCK in names):
        return "an index of Pellucid's"
    # Other programs call a file _manifest.json too.
    if BATCH_MANIFEST in names and (BATCH_LOCK in names or any(map(_BATCH_PART.search, names))):
        return "the output of pellucid batch"
    return None
