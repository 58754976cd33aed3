"""A progress bar over texts, drawn only if asked for and only on a terminal."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator


@contextlib.contextmanager
def progress(total: int, *, show: bool) -> Iterator[Callable[[int], object]]:
    """Draw a bar on standard error. Gives a function that moves it on by a number of texts."""
    if not show:
        yield lambda _: None
        return
    from tqdm import tqdm  # type: ignore[import-untyped]

    with tqdm(total=total, unit="text", desc="Embedding", disable=None) as bar:
        yield bar.update
