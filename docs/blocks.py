"""Finds the code blocks of a Markdown page, and the comments that say how to treat them.

Blocks of ``python`` or ``console`` are run. A comment on the line before a block's fence may say why the block is not
run, or which packages it needs:

    <!-- not run: it is another library's code -->
    <!-- needs: ray -->

Readers of the page don't see these comments. A ``text`` block after a ``python`` block shows what the code prints.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_FENCE = re.compile(r"^```(?P<language>[^\n`]*)\n(?P<code>.*?)^```$\n?", re.DOTALL | re.MULTILINE)
_COMMENT = re.compile(r"<!-- (?P<kind>not run|needs): (?P<text>[^\n]+?) -->\n\Z")


@dataclass(frozen=True)
class Block:
    """A fenced block.

    Attributes:
        language: the text after the opening fence.
        code: the text between the fences.
        line: the number of the line on the page where the block begins, counted from 1.
        start: the position of the first character of ``code`` in the page's text.
        not_run: the reason why it is not run, or "" if it is run.
        needs: the packages that must be installed to run it.
    """

    language: str
    code: str
    line: int
    start: int
    not_run: str = ""
    needs: tuple[str, ...] = ()

    @property
    def commands(self) -> tuple[tuple[str, str], ...]:
        """The commands of a ``console`` block, each without its ``$``, with the output that the page shows for it."""
        parts = re.split(r"^\$ ", self.code, flags=re.MULTILINE)[1:]
        commands = []
        for part in parts:
            lines = part.splitlines(keepends=True)
            last = next(number for number, line in enumerate(lines) if not line.endswith("\\\n"))
            commands.append(("".join(lines[: last + 1]).strip(), "".join(lines[last + 1 :])))
        return tuple(commands)

    @property
    def runs(self) -> bool:
        """True if the block is run: it is Python, or one of its commands calls ``pellucid``."""
        if self.not_run:
            return False
        return self.language == "python" or (self.language == "console" and self.calls_pellucid)

    @property
    def calls_pellucid(self) -> bool:
        """True if a command of the block calls ``pellucid``."""
        return any(re.search(r"(^|[/|;&] ?)pellucid\b", command) for command, _ in self.commands)


def blocks(page: str) -> list[Block]:
    """The blocks of a page, in order."""
    found = []
    for fence in _FENCE.finditer(page):
        comment = _COMMENT.search(page, 0, fence.start())
        kind, text = (comment["kind"], comment["text"]) if comment else ("", "")
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
