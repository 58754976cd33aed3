"""Work that another thread does before its turn."""

from __future__ import annotations

import collections
import itertools
import sys
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

Item = TypeVar("Item")
Made = TypeVar("Made")


def prefetch(
    pool: ThreadPoolExecutor, items: Iterable[Item], make: Callable[[Item], Made], *, most: int = 1
) -> Iterator[Made]:
    """What ``make`` makes of each item, in order; up to ``most`` are made while the one before is in use."""
    waiting: collections.deque[Future[Made]] = collections.deque()
    left = iter(items)
    waiting.extend(pool.submit(make, item) for item in itertools.islice(left, most))
    while waiting:
        made = waiting.popleft().result()
        waiting.extend(pool.submit(make, item) for item in itertools.islice(left, 1))
        yield made


@contextmanager
def one_thread() -> Iterator[ThreadPoolExecutor]:
    """A thread that ends with the block. After an error or Ctrl-C it finishes what is begun, and begins no more."""
    pool = ThreadPoolExecutor(1)
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=sys.exc_info()[0] is not None)
