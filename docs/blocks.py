"""The code blocks of a page of Markdown, and what the page says of them.

A block of ``python`` or ``console`` is run, unless a comment on the line before its fence says why not, or what it
needs:

    <!-- not run: it is another library's code -->
    <!-- needs: ray -->

A reader of the page sees neither. A block of ``text`` after one of ``python`` is what the page says that it prints.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_FENCE = re.compile(r"^```(?P<language>[^\n`]*)\n(?P<code>.*?)^```$\n?", re.DOTALL | re.MULTILINE)
_REMARK = re.compile(r"<!-- (?P<kind>not run|needs): (?P<text>[^\n]+?) -->\n\Z")


@dataclass(frozen=True)
class Block:
    """A fenced block.

    Attributes:
        language: what stands after the fence.
        code: what is in it.
        line: of the page, where it begins; the first is 1.
        start: of the page's characters, the first of ``code``.
        not_run: why it is not run; "" if it is.
        needs: the packages without which it cannot be.
    """

    language: str
    code: str
    line: int
    start: int
    not_run: str = ""
    needs: tuple[str, ...] = ()

    @property
    def commands(self) -> tuple[tuple[str, str], ...]:
        """Of a ``console`` block: each command after its ``$``, and what the page says that it prints."""
        parts = re.split(r"^\$ ", self.code, flags=re.MULTILINE)[1:]
        found = []
        for part in parts:
            lines = part.splitlines(keepends=True)
            last = next(number for number, line in enumerate(lines) if not line.endswith("\\\n"))
            found.append(("".join(lines[: last + 1]).strip(), "".join(lines[last + 1 :])))
        return tuple(found)

    @property
    def runs(self) -> bool:
        """Whether it is to be run: Python, or a session in which ``pellucid`` is called."""
        if self.not_run:
            return False
        return self.language == "python" or (self.language == "console" and self.calls_pellucid)

    @property
    def calls_pellucid(self) -> bool:
        """Whether a ``console`` block has a command that calls ``pellucid``."""
        return any(re.search(r"(^|[/|;&] ?)pellucid\b", command) for command, _ in self.commands)


def blocks(page: str) -> list[Block]:
    """The blocks of a page, in their order."""
    found = []
    for fence in _FENCE.finditer(page):
        remark = _REMARK.search(page, 0, fence.start())
        kind, text = (remark["kind"], remark["text"]) if remark else ("", "")
        found.append(
            Block(
                language=fence["language"].strip(),
                code=fence["code"],
                line=page.count("\n", 0, fence.start()) + 1,
                start=fence.start("code"),
                not_run=text if kind == "not run" else "",
                needs=tuple(re.split(r", *", text)) if kind == "needs" else (),
            )
        )
    return found
