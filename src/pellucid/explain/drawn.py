"""What all explanations share that are drawn: a page of their own, and a small picture in a notebook."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from pellucid.explain.render.contents import Subject


class Drawn:
    """The base class of what :mod:`pellucid.explain.render` can draw."""

    def _repr_html_(self) -> str:
        """Show a small picture in a notebook."""
        from pellucid.explain.render.notebook import fragment

        return fragment(cast("Subject", self))

    def save_html(self, path: str | os.PathLike[str]) -> None:
        """Write the page about this explanation, which is one file and needs no network.

        If anything goes wrong, what was at ``path`` before is still there. A ``~`` at its start is your home folder.

        Raises:
            OptionError: it cannot be written.
        """
        from pellucid.explain.render.saving import save_page

        save_page(cast("Subject", self), path)
