"""Takes files and folders out of an index. That needs no model."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pellucid.errors import OptionError
from pellucid.search.roots import files_in, places_of
from pellucid.search.store import Store
from pellucid.search.update import Summary


def forget(store: Store, roots: Sequence[Path]) -> Summary:
    """Remove files and folders from an index. They need not exist any more, and are not touched.

    Args:
        store: the index.
        roots: files and folders that the index has files from.

    Raises:
        OptionError: the index has no file from one of them.
        IndexStateError: the index is damaged.
        IndexWriteError: the disk is full, for example. The index stays in the old state.
    """
    with store.writing():
        files, known = store.files(), store.roots()
        places = places_of(roots, known)
        # What an update that was stopped has kept of them has their text too.
        found = files_in({place: place.name for place in places}, files.keys() | store.staged_files(), known)
        for root, place in zip(roots, places, strict=True):
            if not found[place]:
                raise OptionError(f"the index in {store.folder} has no file from {root.absolute()}.")
        forgotten = {name for names in found.values() for name in names}
        removed = forgotten & files.keys()
        kept = {name: root for name, root in known.items() if found.keys().isdisjoint((root, *root.parents))}
        store.commit(removed, kept)
        store.unstage(forgotten)
    others = len(files) - len(removed)
    return Summary(
        files=others, chunks=store.count(), added=0, removed=len(removed), embedded=0, others=others, skipped=()
    )
