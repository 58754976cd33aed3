"""Progress bars: tqdm's, on a terminal or in a notebook. Nowhere else is anything drawn."""

from __future__ import annotations

import contextlib
import sys
import warnings
from collections.abc import Callable, Iterator
from typing import Any


@contextlib.contextmanager
def progress(
    total: int | None, *, show: bool, leave: bool = True, desc: str = "Embedding"
) -> Iterator[Callable[[int], object]]:
    """Draw a bar over texts. Gives a function that moves it on by a number of texts.

    Args:
        total: the number of texts; None if nobody knows it yet.
        show: whether to draw it.
        leave: whether to leave it there at the end.
        desc: what is done with the texts.
    """
    if not show:
        yield lambda _: None
        return
    with progress_bar(total=total, unit=" texts", desc=desc, leave=leave) as bar:
        yield bar.update


def progress_bar(**options: Any) -> Any:
    """A bar on standard error, if that is a terminal; in a notebook, a bar below the cell.

    Args:
        options: tqdm's (https://tqdm.github.io/docs/tqdm/), except ``disable`` and ``file``.
    """
    if in_notebook():
        # A notebook is not a terminal, and shows what is on standard error in red.
        return bar_class()(disable=False, file=sys.stdout, **options)
    return bar_class()(disable=None, **options)


def bar_class() -> Any:
    """The class of bars that suits this process.

    In a notebook it is tqdm's bar for notebooks, which needs the package ipywidgets. Without it, tqdm draws the bar as
    text, which does as well, so its warning about that is not passed on.
    """
    if not in_notebook():
        from tqdm import tqdm  # type: ignore[import-untyped]  # tqdm.auto would import asyncio, which takes 20 ms.

        return tqdm
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="IProgress not found")
        from tqdm.auto import tqdm  # type: ignore[import-untyped]
    return tqdm


def in_notebook() -> bool:
    """True in the kernel of a Jupyter notebook."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    return shell is not None and "IPKernelApp" in shell.config
