"""What a ``.gitignore`` leaves out, by git's rules (gitignore(5), and git's ``wildmatch.c``).

pathspec has regular expressions for them whose time grows with a power of a name's length: a name of 255 letters takes
half a minute with five stars. Here, what a star has matched is final: the first place where the letters after it fit
is as good as any later one. So the time grows with the length of the name, times that of the pattern.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

from pellucid.errors import IgnoreFileError

LARGEST = 100_000
"""A ``.gitignore`` of more bytes is not followed, nor a line of more than ``LONGEST`` letters."""
LONGEST = 500
_STARS = ("*", "**")
_CLASSES = {
    "alnum": "0-9A-Za-z",
    "alpha": "A-Za-z",
    "blank": " \\t",
    "cntrl": "\\x00-\\x1f\\x7f",
    "digit": "0-9",
    "graph": "!-~",
    "lower": "a-z",
    "print": " -~",
    "punct": "!-/:-@\\[-`{-~",
    "space": "\\s",
    "upper": "A-Z",
    "xdigit": "0-9A-Fa-f",
}


_NAMED = re.compile(r"\[:(\w*):\]")


@dataclass(frozen=True)
class Rule:
    """A line of a ``.gitignore``.

    Attributes:
        pattern: what it matches: names, or paths from the folder of the file.
        of_names: whether it is names.
        of_folders: whether only folders are meant.
        leaves_out: whether what matches is left out, or taken in again.
    """

    pattern: re.Pattern[str]
    of_names: bool
    of_folders: bool
    leaves_out: bool


@dataclass(frozen=True)
class Rules:
    """The rules of a ``.gitignore``, the last one first: the first that matches decides."""

    rules: tuple[Rule, ...]

    def leaves_out(self, path: str, *, is_folder: bool) -> bool | None:
        """Whether a file is left out; None if no rule says anything.

        Args:
            path: from the folder of the ``.gitignore``, with ``/``.
            is_folder: whether it is a folder.
        """
        name = path.rpartition("/")[2]
        for rule in self.rules:
            if (is_folder or not rule.of_folders) and rule.pattern.fullmatch(name if rule.of_names else path):
                return rule.leaves_out
        return None


def read_rules(file: Path) -> Rules:
    """The rules in a file.

    Raises:
        IgnoreFileError: it is too large, or has a line that is too long, to be followed in bounded time.
        OSError: it cannot be read.
    """
    with file.open("rb") as opened:
        content = opened.read(LARGEST + 1)
    if len(content) > LARGEST:
        raise IgnoreFileError(f".gitignore has more than {LARGEST:,} bytes")
    return parse_rules(content.decode("utf-8-sig", "surrogateescape"))


def parse_rules(text: str) -> Rules:
    """The rules of a text. Lines that git could not understand match nothing, there and here.

    Raises:
        IgnoreFileError: a line is too long.
    """
    rules = [_rule(line, number) for number, line in enumerate(text.split("\n"), start=1)]
    return Rules(tuple(rule for rule in reversed(rules) if rule is not None))


def _rule(line: str, number: int) -> Rule | None:
    line = _without_end(line.removesuffix("\r"))
    if len(line) > LONGEST:
        raise IgnoreFileError(f"line {number} of .gitignore has more than {LONGEST} letters")
    if line.startswith("#"):
        return None
    leaves_out = not line.startswith("!")
    glob = line if leaves_out else line[1:]
    of_folders = glob.endswith("/")
    glob = glob.removesuffix("/")
    of_names = "/" not in glob
    glob = glob.removeprefix("/")
    expression = _expression(glob, of_names=of_names)
    if expression is None:
        return None
    return Rule(re.compile(expression, re.DOTALL), of_names, of_folders, leaves_out)


def _expression(glob: str, *, of_names: bool) -> str | None:
    """A regular expression for a glob, or None if it matches nothing."""
    # Of a path, git compares the letters before the first wildcard apart: so "a**/b" is "a", and then "**/b".
    plain = 0 if of_names else len(re.split(r"[*?\[\\]", glob, maxsplit=1)[0])
    found = list(_tokens(glob[plain:]))
    tokens = [token for token in found if token is not None]
    if not glob or len(tokens) < len(found):
        return None
    if not tokens:
        return re.escape(glob)
    return re.escape(glob[:plain]) + (_segment(tokens) if of_names else _path(tokens))


def _without_end(line: str) -> str:
    """A line without the spaces at its end, but for those after a backslash."""
    kept = len(line.rstrip(" "))
    backslashes = kept - len(line[:kept].rstrip("\\"))
    return line[: kept + backslashes % 2]


def _tokens(glob: str) -> Iterator[str | None]:
    """A regular expression for each letter; ``*``, ``**`` and ``/``; None for what matches nothing."""
    place = 0
    while place < len(glob):
        letter, start = glob[place], place
        place += 1
        if letter == "*":
            while place < len(glob) and glob[place] == "*":
                place += 1
            yield "*" if place - start == 1 else "**"
        elif letter == "?":
            yield "[^/]"
        elif letter == "[":
            expression, place = _bracket(glob, place)
            yield expression
        elif letter == "\\":
            yield re.escape(glob[place]) if place < len(glob) else None
            place += 1
        else:
            yield re.escape(letter)


def _bracket(glob: str, place: int) -> tuple[str | None, int]:
    """The letters of a bracket expression that begins before ``place``, and where it ends."""
    is_not = glob[place : place + 1] in ("!", "^")
    place += is_not
    letters, first = "", place
    while place < len(glob) and (glob[place] != "]" or place == first):
        named = _NAMED.match(glob, place)
        if named is not None:
            if named[1] not in _CLASSES:
                return None, len(glob)
            letters += _CLASSES[named[1]]
            place = named.end()
            continue
        low, place = _letter(glob, place)
        letters += re.escape(low)
        if glob[place : place + 1] == "-" and glob[place + 1 : place + 2] not in ("]", ""):
            high, place = _letter(glob, place + 1)
            if low < high:  # A range from z to a has z only.
                letters += f"-{re.escape(high)}"
    if place >= len(glob):
        return None, len(glob)
    return f"(?!/)[{'^' if is_not else ''}{letters}]", place + 1


def _letter(glob: str, place: int) -> tuple[str, int]:
    """A letter of a bracket expression, and where the next one is."""
    place += glob[place] == "\\" and place + 1 < len(glob)
    return glob[place], place + 1


def _segment(tokens: list[str]) -> str:
    """All of a name, or of what is between two slashes."""
    chunks = ["".join(group) for stars, group in groupby(tokens, _STARS.__contains__) if not stars]
    starts, ends = tokens[0] in _STARS, tokens[-1] in _STARS
    if not chunks:
        return "[^/]*"
    if len(chunks) == 1 and not starts and not ends:
        return chunks[0]
    head = "" if starts else chunks.pop(0)
    tail = "[^/]*" if ends else f"[^/]*{chunks.pop()}(?![^/])" if chunks else ""
    return f"(?>{head}{''.join(f'(?>[^/]*?{chunk})' for chunk in chunks)}{tail})(?![^/])"


def _path(tokens: list[str]) -> str:
    """A path: groups of segments, with any folders between them where ``**`` stands alone."""
    slashes = [place for place, token in enumerate(tokens) if token == "/"]  # noqa: S105  of a glob, not a secret
    starts, ends = [0, *(place + 1 for place in slashes)], [*slashes, len(tokens)]
    segments = [tokens[start:end] for start, end in zip(starts, ends, strict=True)]
    if not all(segments):  # Two slashes in a row, which no path has.
        return "(?!)"
    groups: list[list[str]] = [[]]
    for segment in segments:
        if segment == ["**"]:
            groups.append([])
        else:
            groups[-1].append(_segment(segment))
    # Between two "**" the first place where a group fits will do; the last group must be at the end.
    first, *others = ["/".join(group) for group in groups]
    expression = f"{first}/" if first and others else first
    for group in filter(None, others[:-1]):
        expression += f"(?>(?:[^/]*/)*?{group}/)"
    if others:
        expression += f"(?:[^/]*/)*{others[-1]}" if others[-1] else ".*"
    return expression
