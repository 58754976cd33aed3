"""Writes the page about what ``explain`` makes to a file that is there whole or not at all."""

from __future__ import annotations

import os

from pellucid.explain.render.contents import Subject
from pellucid.explain.render.html import page
from pellucid.files.whole import new_file


def save_page(subject: Subject, path: str | os.PathLike[str]) -> None:
    """Write the page about a subject.

    Raises:
        OptionError: the file cannot be written.
    """
    content = page(subject)
    with new_file(path) as file:
        file.write_text(content, encoding="utf-8")
