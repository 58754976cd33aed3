"""The only module that imports matplotlib."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pellucid.errors import MissingExtraError

if TYPE_CHECKING:
    from matplotlib.axes import Axes as Axes  # noqa: PLC0414  # re-exported for annotations in other modules
    from matplotlib.figure import Figure


def figure_class() -> type[Figure]:
    """Import matplotlib's ``Figure`` class, which draws to files and needs no screen.

    Raises:
        MissingExtraError: the extra ``plot`` is not installed.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise MissingExtraError("matplotlib", "plot") from None
    return Figure
