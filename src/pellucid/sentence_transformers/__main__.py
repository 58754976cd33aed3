"""Run a program with Pellucid in place of sentence-transformers.

::

    python -m pellucid.sentence_transformers my_program.py --its options
    python -m pellucid.sentence_transformers -m its_module --its options
    python -m pellucid.sentence_transformers its-command --its options
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import runpy
import sys
from pathlib import Path

from pellucid.sentence_transformers.installing import install

_USAGE = """\
Usage: python -m pellucid.sentence_transformers PROGRAM [ARGUMENTS]...

Run a Python program with Pellucid in place of sentence-transformers.

PROGRAM is a file, -m and the name of a module, or a command that a package has installed:

  python -m pellucid.sentence_transformers my_program.py
  python -m pellucid.sentence_transformers -m my_package.my_module
  python -m pellucid.sentence_transformers mteb --help"""
_WRONG_USAGE = 2


def main() -> None:
    """Run the program that the command line names. Exits as the program does; with 2 if there is no such program."""
    arguments = sys.argv[1:]
    if arguments[:1] in (["--help"], ["-h"]):
        print(_USAGE)
        return
    if not arguments or arguments == ["-m"]:
        _stop("Name a program to run.")
    name, *own = arguments
    if name == "-m":
        if importlib.util.find_spec(own[0]) is None:
            _stop(f"There is no module {own[0]!r}.")
        sys.argv = own
        install()
        runpy.run_module(own[0], run_name="__main__", alter_sys=True)
        return
    sys.argv = arguments
    if Path(name).is_file() or (Path(name) / "__main__.py").is_file():
        sys.path[0] = str(Path(name).resolve().parent)
        install()
        runpy.run_path(name, run_name="__main__")
        return
    commands = tuple(importlib.metadata.entry_points(group="console_scripts", name=name))
    if not commands:
        _stop(f"There is no file {name!r}, and no installed package has a command of this name.")
    install()
    sys.exit(commands[0].load()())


def _stop(message: str) -> None:
    print(f"{message}\n\n{_USAGE}", file=sys.stderr)
    sys.exit(_WRONG_USAGE)


if __name__ == "__main__":
    main()
