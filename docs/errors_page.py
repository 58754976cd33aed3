"""Makes ``docs/errors.md``, which has a section for each class in ``pellucid.errors``: its cause, and what to do.

The first sentences of a section are the docstring of the class. The rest comes from ``docs/errors.toml``, with these
keys for each class:

- ``cause``: what causes the error.
- ``fix``: what to do about it.
- ``code``: code that raises the error. It is run to show a real message.
- ``message``: an example of a message, instead of ``code``, for errors that code cannot raise reliably.
"""

from __future__ import annotations

import inspect
import re
import textwrap
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pellucid import errors

_HEAD = """# Errors

Every error that Pellucid raises on purpose belongs to one tree. A message says what was wrong, which text, file or
option it was, and what to do next. It names texts by their position and never quotes them. Catch `PellucidError` to
catch all of them. The command line prints the message and exits with status 2 for an `InputError`, and 1 for any other.

```text
{tree}
```

If a call to Pellucid raises anything else, that is a bug, apart from two of Python's own errors: `KeyboardInterrupt`,
and the `KeyError` of `trace.stage(name)`.

The code on this page is run to get its messages. It begins with

```python
import shutil
from pathlib import Path

from pellucid import Embedder, errors

e = Embedder("all-MiniLM-L6-v2")
```
"""


def classes() -> list[type[Exception]]:
    """Every class of the tree. Each comes after its base class, and the warnings come last."""
    own = [cls for cls in vars(errors).values() if inspect.isclass(cls) and cls.__module__ == errors.__name__]

    def subtree(base: type[Exception]) -> Iterator[type[Exception]]:
        yield base
        for cls in own:
            if cls.__bases__[0] is base:
                yield from subtree(cls)

    warnings = [cls for cls in own if issubclass(cls, Warning)]
    return [*subtree(errors.PellucidError), *warnings]


def page() -> str:
    """The page, as Markdown. The output of its code is not on it yet."""
    entries = tomllib.loads(Path(__file__).with_name("errors.toml").read_text(encoding="utf-8"))
    tree = "\n".join(f"{'    ' * _depth(cls)}{_signature(cls)}" for cls in classes())
    return "\n".join([_HEAD.format(tree=tree), *(_section(cls, entries[cls.__name__]) for cls in classes())])


def _depth(cls: type[Exception]) -> int:
    return sum(issubclass(base, errors.PellucidError) for base in cls.__mro__) - 1 if _is_error(cls) else 0


def _is_error(cls: type[Exception]) -> bool:
    return issubclass(cls, errors.PellucidError)


def _signature(cls: type[Exception]) -> str:
    """The name of a class, and in parentheses the exceptions of Python that it also inherits from."""
    others = [base.__name__ for base in cls.__bases__ if base.__module__ == "builtins" and base is not Exception]
    return f"{cls.__name__} ({', '.join(others)})" if others else cls.__name__


def _section(cls: type[Exception], entry: dict[str, Any]) -> str:
    name = cls.__name__
    parts = [f"## {name}", _summary(cls)]
    if "cause" in entry:
        parts.append(f"**Cause.** {entry['cause'].strip()}")
    parts.append(f"**What to do.** {entry['fix'].strip()}")
    if "code" in entry:
        parts.append(f"```python\n{_with_except(name, entry['code'])}\n```")
    if "message" in entry:
        parts.append(f"```text\n{entry['message'].strip()}\n```")
    return "\n\n".join(parts) + "\n"


def _summary(cls: type[Exception]) -> str:
    """The docstring of a class, without its arguments and attributes."""
    docstring = inspect.getdoc(cls) or ""
    return re.split(r"\n\n(?:Args|Attributes):\n", docstring)[0]


def _with_except(name: str, code: str) -> str:
    """Code that runs ``code`` and prints the error that it raises."""
    body = textwrap.indent(code.strip(), "    ")
    return f"try:\n{body}\nexcept errors.{name} as error:\n    print(error)"
