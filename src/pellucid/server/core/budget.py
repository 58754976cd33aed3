"""One budget for the memory that all requests hold: headers, bodies, work and answers.

Memory is taken from the budget before it is used, so its size never depends on what clients send. The event loop
alone uses it, so there is no lock.
"""

from __future__ import annotations

from pellucid.errors import RequestMemoryFullError, RequestTooLargeError

SMALL_BYTES = 1 << 16
"""A request that holds no more than this may use all of the budget; a larger one leaves an eighth for small ones."""


class Budget:
    """Bytes that requests hold together.

    Args:
        limit: how many there are.

    >>> budget = Budget(1000)
    >>> with budget.hold() as hold:
    ...     hold.take(600)
    ...     budget.in_use
    600
    >>> budget.in_use
    0
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.in_use = 0

    def hold(self) -> Hold:
        """What one request holds: nothing yet."""
        return Hold(self)

    def largest(self) -> int:
        """How much a single request may hold."""
        return max(self.limit - self.limit // 8, min(self.limit, SMALL_BYTES))


class Hold:
    """The bytes of one request. Leaving the ``with`` block, or :meth:`release`, gives back all of them."""

    __slots__ = ("_budget", "size")

    def __init__(self, budget: Budget) -> None:
        self._budget = budget
        self.size = 0

    def take(self, count: int) -> None:
        """Take so many bytes more.

        Raises:
            RequestMemoryFullError: others hold too much now.
            RequestTooLargeError: a single request never gets so much.
        """
        budget = self._budget
        wanted = self.size + count
        most = budget.limit if wanted <= SMALL_BYTES else budget.largest()
        if budget.in_use + count > most:
            if wanted > most:
                raise RequestTooLargeError(
                    f"this request needs {_megabytes(wanted)} of memory, and one request gets at most "
                    f"{_megabytes(most)}. Send less at a time, or start the server with more --request-memory."
                )
            raise RequestMemoryFullError(
                f"other requests hold {_megabytes(budget.in_use)} of the {_megabytes(budget.limit)} of memory for "
                f"requests. Try again in {RequestMemoryFullError.retry_after} s."
            )
        self.size = wanted
        budget.in_use += count

    def give_back(self, count: int) -> None:
        """Give back so many bytes, or all of them if there are fewer."""
        count = min(count, self.size)
        self.size -= count
        self._budget.in_use -= count

    def resize(self, count: int) -> None:
        """Hold so many bytes instead; the errors of :meth:`take`."""
        if count > self.size:
            self.take(count - self.size)
        else:
            self.keep(count)

    def keep(self, count: int) -> None:
        """Give back everything beyond so many bytes."""
        self.give_back(max(0, self.size - count))

    def release(self) -> None:
        """Give back everything."""
        self.give_back(self.size)

    def __enter__(self) -> Hold:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()


def _megabytes(count: int) -> str:
    return f"{count / 1e6:,.1f} MB"
