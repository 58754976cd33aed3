"""Older names of options and of their values. Commands still accept them; help and completion do not show them."""

from __future__ import annotations

from collections.abc import Callable

OLDER_SPELLINGS: dict[str, dict[str, str]] = {
    "embed": {"ignore": "cut"},
    "explain": {"html": "output", "npz": "output"},
    "index": {"to": "index"},
    "search": {"in": "index"},
    "batch": {"text-column": "column", "reject": "error"},
    "models compare": {"texts": "file", "plot": "output"},
    "models pull": {"index": "pypi"},
}
"""For each command, from the older name to the one that replaced it: of an option without its dashes, or of a value."""


def translate(command: str) -> Callable[[str], str]:
    """Make the function that turns a command's older names into today's.

    It is for Click's setting ``token_normalize_func``. Click calls the function with the names of options, without
    their dashes, and with the values of options that offer choices, but not with texts.
    """
    names = OLDER_SPELLINGS.get(command, {})
    return lambda name: names.get(name, name)


def json_file_to_output(arguments: list[str]) -> list[str]:
    """Turn ``--json FILE``, which ``models compare`` had, into ``--output FILE``. ``--json`` alone stays.

    >>> json_file_to_output(["a", "--json", "b.json", "--json", "c"])
    ['a', '--output', 'b.json', '--json', 'c']
    """
    end = arguments.index("--") if "--" in arguments else len(arguments)
    translated = list(arguments)
    for place, argument in enumerate(arguments[:end]):
        if argument == "--json" and arguments[place + 1 : end][:1] and arguments[place + 1].lower().endswith(".json"):
            translated[place] = "--output"
        elif argument.startswith("--json="):
            translated[place] = f"--output={argument.removeprefix('--json=')}"
    return translated
