"""One memory budget for all requests: headers, bodies, work and responses.

A request takes memory from the budget before it uses it, so clients cannot make the server use more. Only the event
loop uses the budget, so it needs no lock.
"""

from __future__ import annotations

from pellucid.errors import RequestMemoryFullError, RequestTooLargeError

SMALL_BYTES = 1 << 16
"""A request that needs no more than this may use the whole budget. A larger one must leave an eighth for small ones."""


class Budget:
    """The memory that all requests share.

    Args:
        limit: its size in bytes.

    >>> budget = Budget(1000)
    >>> with budget.reservation() as reservation:
    ...     reservation.take(600)
    ...     budget.in_use
    600
    >>> budget.in_use
    0
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.in_use = 0

    def reservation(self) -> Reservation:
        """A reservation for one request, empty at first."""
        return Reservation(self)

    def max_request_bytes(self) -> int:
        """The most bytes that a single request may take."""
        return max(self.limit - self.limit // 8, min(self.limit, SMALL_BYTES))


class Reservation:
    """The bytes that one request has taken. Leaving the ``with`` block or calling :meth:`release` gives them back."""

    __slots__ = ("_budget", "size")

    def __init__(self, budget: Budget) -> None:
        self._budget = budget
        self.size = 0

    def take(self, count: int) -> None:
        """Take ``count`` more bytes.

        Raises:
            RequestMemoryFullError: other requests use too much now.
            RequestTooLargeError: no single request may take so much.
        """
        budget = self._budget
        size = self.size + count
        limit = budget.limit if size <= SMALL_BYTES else budget.max_request_bytes()
        if budget.in_use + count > limit:
            if size > limit:
                raise RequestTooLargeError(
                    f"this request needs {_megabytes(size)} of memory, and one request gets at most "
                    f"{_megabytes(limit)}. Send less at a time, or start the server with more --request-memory."
                )
            raise RequestMemoryFullError(
                f"other requests use {_megabytes(budget.in_use)} of the {_megabytes(budget.limit)} of memory for "
                f"requests. Try again in {RequestMemoryFullError.retry_after} s."
            )
        self.size = size
        budget.in_use += count

    def give_back(self, count: int) -> None:
        """Give back ``count`` bytes, or all of them if there are fewer."""
        count = min(count, self.size)
        self.size -= count
        self._budget.in_use -= count

    def resize(self, count: int) -> None:
        """Take or give back bytes until the size is ``count``. Raises the same errors as :meth:`take`."""
        if count > self.size:
            self.take(count - self.size)
        else:
            self.shrink(count)

    def shrink(self, count: int) -> None:
        """Keep at most ``count`` bytes, and give back the rest."""
        self.give_back(max(0, self.size - count))

    def release(self) -> None:
        """Give back all bytes."""
        self.give_back(self.size)

    def __enter__(self) -> Reservation:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()


def _megabytes(count: int) -> str:
    return f"{count / 1e6:,.1f} MB"
