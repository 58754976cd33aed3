from __future__ import annotations

import threading

import pytest

from pellucid.files.prefetch import one_thread, prefetch


@pytest.mark.parametrize("count", [1, 2, 100])
def test_all_is_made_in_order(count):
    with one_thread() as pool:
        assert list(prefetch(pool, range(20), lambda n: n * n, count=count)) == [n * n for n in range(20)]


def test_the_next_is_made_while_the_one_before_is_in_use():
    second_is_made = threading.Event()

    def make(number):
        if number == 1:
            second_is_made.set()
        return number

    with one_thread() as pool:
        for number in prefetch(pool, range(2), make):
            assert number == 1 or second_is_made.wait(60)


def test_no_more_are_made_than_were_asked_for():
    begun = []
    with one_thread() as pool:
        for number in prefetch(pool, range(20), lambda n: begun.append(n) or n, count=3):
            assert len(begun) <= number + 1 + 3


def test_an_error_comes_at_its_turn_and_nothing_is_begun_after_it():
    begun = []

    def make(number):
        begun.append(number)
        return 1 // (2 - number)

    used = []
    with pytest.raises(ZeroDivisionError), one_thread() as pool:
        used.extend(prefetch(pool, range(20), make, count=2))
    assert used == [0, 1]
    assert max(begun) <= 4


def test_nothing_to_make():
    with one_thread() as pool:
        assert list(prefetch(pool, [], str)) == []
