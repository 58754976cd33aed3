"""Work that another thread does ahead of its turn."""

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
    pool: ThreadPoolExecutor, items: Iterable[Item], make: Callable[[Item], Made], *, count: int = 1
) -> Iterator[Made]:
    """``make(item)`` for each item, in order. While one result is in use, up to ``count`` more are made."""
    waiting: collections.deque[Future[Made]] = collections.deque()
    left = iter(items)
    waiting.extend(pool.submit(make, item) for item in itertools.islice(left, count))
    while waiting:
        made = waiting.popleft().result()
        waiting.extend(pool.submit(make, item) for item in itertools.islice(left, 1))
        yield made


@contextmanager
def one_thread() -> Iterator[ThreadPoolExecutor]:
    """A thread that ends with the block. After an error or Ctrl-C, it finishes what it has begun, and no more."""
    pool = ThreadPoolExecutor(1)
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=sys.exc_info()[0] is not None)
