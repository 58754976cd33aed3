"""What a ``.gitignore`` excludes, by git's rules (gitignore(5), and git's ``wildmatch.c``).

The library pathspec has these rules too, but its regular expressions take time that grows with a power of the name's
length: a name of 255 letters and a pattern with five stars take half a minute. Here, a star never gives back what it
has matched: the first place where the letters after it fit is as good as any later one. So the time grows with the
length of the name times the length of the pattern.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

from pellucid.errors import GitignoreError

MAX_BYTES = 100_000
"""A larger ``.gitignore`` is not followed."""
MAX_LINE_LETTERS = 500
"""Nor is one with a longer line."""
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
        pattern: matches names, or paths from the folder of the ``.gitignore``.
        for_names: True if it matches names.
        for_folders: True if it applies to folders only.
        ignores: True if what matches is ignored; False if it is included again (``!``).
    """

    pattern: re.Pattern[str]
    for_names: bool
    for_folders: bool
    ignores: bool


@dataclass(frozen=True)
class Rules:
    """The rules of a ``.gitignore``, the last line first: the first rule that matches decides."""

    rules: tuple[Rule, ...]

    def ignores(self, path: str, *, is_folder: bool) -> bool | None:
        """Whether a file or folder is ignored; None if no rule matches it.

        Args:
            path: the path from the folder of the ``.gitignore``, with ``/``.
            is_folder: True if it is a folder.
        """
        name = path.rpartition("/")[2]
        for rule in self.rules:
            if (is_folder or not rule.for_folders) and rule.pattern.fullmatch(name if rule.for_names else path):
                return rule.ignores
        return None


def read_rules(file: Path) -> Rules:
    """The rules in a ``.gitignore``.

    Raises:
        GitignoreError: the file, or a line, is too long to be followed in bounded time.
        OSError: the file cannot be read.
    """
    with file.open("rb") as opened:
        content = opened.read(MAX_BYTES + 1)
    if len(content) > MAX_BYTES:
        raise GitignoreError(f".gitignore has more than {MAX_BYTES:,} bytes")
    return parse_rules(content.decode("utf-8-sig", "surrogateescape"))


def parse_rules(text: str) -> Rules:
    """The rules in the text of a ``.gitignore``. A line that git cannot understand matches nothing, as in git.

    Raises:
        GitignoreError: a line is too long.
    """
    rules = [_rule(line, number) for number, line in enumerate(text.split("\n"), start=1)]
    return Rules(tuple(rule for rule in reversed(rules) if rule is not None))


def _rule(line: str, number: int) -> Rule | None:
    line = _strip_end(line.removesuffix("\r"))
    if len(line) > MAX_LINE_LETTERS:
        raise GitignoreError(f"line {number} of .gitignore has more than {MAX_LINE_LETTERS} letters")
    if line.startswith("#"):
        return None
    ignores = not line.startswith("!")
    glob = line if ignores else line[1:]
    for_folders = glob.endswith("/")
    glob = glob.removesuffix("/")
    for_names = "/" not in glob
    glob = glob.removeprefix("/")
    expression = _expression(glob, for_names=for_names)
    if expression is None:
        return None
    return Rule(re.compile(expression, re.DOTALL), for_names, for_folders, ignores)


def _expression(glob: str, *, for_names: bool) -> str | None:
    """A regular expression for a glob, or None if it matches nothing."""
    # In a path, git compares the letters before the first wildcard separately: "a**/b" is "a", and then "**/b".
    plain = 0 if for_names else len(re.split(r"[*?\[\\]", glob, maxsplit=1)[0])
    found = list(_tokens(glob[plain:]))
    tokens = [token for token in found if token is not None]
    if not glob or len(tokens) < len(found):
        return None
    if not tokens:
        return re.escape(glob)
    return re.escape(glob[:plain]) + (_segment(tokens) if for_names else _path(tokens))


def _strip_end(line: str) -> str:
    """A line without the spaces at its end, but with one after a backslash."""
    kept = len(line.rstrip(" "))
    backslashes = kept - len(line[:kept].rstrip("\\"))
    return line[: kept + backslashes % 2]


def _tokens(glob: str) -> Iterator[str | None]:
    """A glob's tokens: ``*``, ``**``, ``/``, or a regular expression for a letter; None for what matches nothing."""
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
    """A bracket expression as a regular expression, and where it ends. ``place`` is after its opening bracket."""
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
            if low < high:  # A range from z to a is only z.
                letters += f"-{re.escape(high)}"
    if place >= len(glob):
        return None, len(glob)
    return f"(?!/)[{'^' if is_not else ''}{letters}]", place + 1


def _letter(glob: str, place: int) -> tuple[str, int]:
    """A letter of a bracket expression, and where the next letter is."""
    place += glob[place] == "\\" and place + 1 < len(glob)
    return glob[place], place + 1


def _segment(tokens: list[str]) -> str:
    """A regular expression for a whole name, or for the part of a path between two slashes."""
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
    """A regular expression for a path: groups of segments, with any folders between them for each lone ``**``."""
    slashes = [place for place, token in enumerate(tokens) if token == "/"]  # noqa: S105  of a glob, not a secret
    starts, ends = [0, *(place + 1 for place in slashes)], [*slashes, len(tokens)]
    segments = [tokens[start:end] for start, end in zip(starts, ends, strict=True)]
    if not all(segments):  # Two consecutive slashes: no path has them.
        return "(?!)"
    groups: list[list[str]] = [[]]
    for segment in segments:
        if segment == ["**"]:
            groups.append([])
        else:
            groups[-1].append(_segment(segment))
    # Between two "**", a group may match at the first place where it fits; the last group must be at the end.
    first, *others = ["/".join(group) for group in groups]
    expression = f"{first}/" if first and others else first
    for group in filter(None, others[:-1]):
        expression += f"(?>(?:[^/]*/)*?{group}/)"
    if others:
        expression += f"(?:[^/]*/)*{others[-1]}" if others[-1] else ".*"
    return expression
