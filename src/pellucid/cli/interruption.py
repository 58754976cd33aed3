"""What a command says after Ctrl-C: one line about what is kept and how to go on, and no traceback."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

EXIT_STATUS = 130
"""128 + 2, the number of SIGINT, as shells report it."""


class Interrupted(KeyboardInterrupt):
    """Ctrl-C stopped a command that can say what is kept. The message says so."""


@contextmanager
def when_interrupted(say: Callable[[], str]) -> Iterator[None]:
    """Give a command's own words for Ctrl-C in the block.

    Args:
        say: makes the sentences that follow "interrupted.", at the time of the interruption.
    """
    try:
        yield
    except KeyboardInterrupt:
        raise Interrupted(say()) from None


def message(interruption: BaseException) -> str:
    """The line for standard error."""
    return f"pellucid: interrupted. {interruption}".rstrip()
