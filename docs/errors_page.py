"""Makes ``docs/errors.md``: each class of the tree in ``pellucid.errors``, with what brings it and its cure.

What a class is, its docstring says. The rest stands in ``docs/errors.toml``: ``brings``, ``cure``, and either ``code``,
which is run to show a real message, or ``message``, where an error cannot be had at will.
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
    """Every class of the tree, each after its base, and the warnings last."""
    own = [each for each in vars(errors).values() if inspect.isclass(each) and each.__module__ == errors.__name__]

    def below(base: type[Exception]) -> Iterator[type[Exception]]:
        yield base
        for each in own:
            if each.__bases__[0] is base:
                yield from below(each)

    warnings = [each for each in own if issubclass(each, Warning)]
    return [*below(errors.PellucidError), *warnings]


def page() -> str:
    """The page, as Markdown; what its code prints is not on it yet."""
    told = tomllib.loads(Path(__file__).with_name("errors.toml").read_text(encoding="utf-8"))
    tree = "\n".join(f"{'    ' * _depth(each)}{_signature(each)}" for each in classes())
    return "\n".join([_HEAD.format(tree=tree), *(_section(each, told[each.__name__]) for each in classes())])


def _depth(each: type[Exception]) -> int:
    return sum(issubclass(base, errors.PellucidError) for base in each.__mro__) - 1 if _is_error(each) else 0


def _is_error(each: type[Exception]) -> bool:
    return issubclass(each, errors.PellucidError)


def _signature(each: type[Exception]) -> str:
    """The name of a class, and what of Python's it is besides."""
    others = [base.__name__ for base in each.__bases__ if base.__module__ == "builtins" and base is not Exception]
    return f"{each.__name__} ({', '.join(others)})" if others else each.__name__


def _section(each: type[Exception], told: dict[str, Any]) -> str:
    name = each.__name__
    parts = [f"## {name}", _summary(each)]
    if "brings" in told:
        parts.append(f"**Cause.** {told['brings'].strip()}")
    parts.append(f"**What to do.** {told['cure'].strip()}")
    if "code" in told:
        parts.append(f"```python\n{_catching(name, told['code'])}\n```")
    if "message" in told:
        parts.append(f"```text\n{told['message'].strip()}\n```")
    return "\n\n".join(parts) + "\n"


def _summary(each: type[Exception]) -> str:
    """The docstring of a class, without its arguments and attributes."""
    docstring = inspect.getdoc(each) or ""
    return re.split(r"\n\n(?:Args|Attributes):\n", docstring)[0]


def _catching(name: str, code: str) -> str:
    tried = textwrap.indent(code.strip(), "    ")
    return f"try:\n{tried}\nexcept errors.{name} as error:\n    print(error)"
