"""Words of English that stand in so many texts that finding one says nothing, such as "the": its function words."""

from __future__ import annotations

COMMON_WORDS = frozenset(
    """
    a about after all also am an and any are as at be because been before but by can can't could did do does don't for
    from had has have he her his how i if i'm in into is it it's its just many me more most much my no nor not of on
    one only or other our out over she should so some such than that the their them then there these they this those
    through to too up us very was we were what when where which while who whom why will with would you your
    """.split()  # noqa: SIM905  One list is easier to read.
)


def is_common(word: str) -> bool:
    """Whether a word is one of :data:`COMMON_WORDS`, in any case and with any apostrophe."""
    return word.casefold().replace("’", "'") in COMMON_WORDS
