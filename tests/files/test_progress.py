from __future__ import annotations

import io
import sys

from pellucid.files.progress import progress


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def drawn(monkeypatch, error, *, show: bool) -> str:
    monkeypatch.setattr(sys, "stderr", error)
    with progress(3, show=show) as advance:
        advance(1)
        advance(2)
    return error.getvalue()


def test_on_a_terminal_a_bar_counts_texts_if_asked_for(monkeypatch):
    assert "3/3" in drawn(monkeypatch, Terminal(), show=True)
    assert drawn(monkeypatch, Terminal(), show=False) == ""


def test_elsewhere_nothing_is_drawn(monkeypatch):
    assert drawn(monkeypatch, io.StringIO(), show=True) == ""
