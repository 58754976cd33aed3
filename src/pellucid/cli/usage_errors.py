"""What the command line says about a wrong call: Click's errors, in the words and with the prefix of all our errors."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import typer

from pellucid.errors import OptionError, PellucidError, TruncationError, either

_UsageError: type[Exception] = typer.BadParameter.__mro__[1]
"""Click's, or that of the copy of Click in newer versions of Typer, which do not export it."""

_PHRASES = {
    # What newer versions of Typer say of a wrong value, in Pydantic's words.
    "Value error, ": "",
    "Input should be a valid integer, unable to parse string as an integer": "it must be a whole number",
    "Input should be a valid integer, got a number with a fractional part": "it must be a whole number",
    "Input should be a valid number, unable to parse string as a number": "it must be a number",
    "Input should be greater than or equal to": "it must be at least",
    "Input should be less than or equal to": "it must be at most",
}


_OPTIONS = (
    "device dimensions dtype k max_tokens normalize on_truncation output_dtype prompt_name revision threads threshold "
    "truncate_dim"
)
_PYTHON_OPTION = re.compile(rf"\b({'|'.join(_OPTIONS.split())})=(?:'([^']*)')?")


def as_typed(error: PellucidError) -> str:
    """An error's message, with options as people type them here, not as in Python.

    Only errors about options are rewritten: other messages hold paths, and a file may have the name ``k=1.csv``.

    >>> as_typed(OptionError("truncate_dim=0 must be a whole number", "truncate_dim"))
    '--truncate-dim 0 must be a whole number'
    >>> as_typed(OptionError("there is no file k=1.csv"))
    'there is no file k=1.csv'
    """
    is_about_an_option = isinstance(error, TruncationError) or (isinstance(error, OptionError) and error.option)

    def typed(found: re.Match[str]) -> str:
        dashes = "-" if len(found[1]) == 1 else "--"
        return f"{dashes}{found[1].replace('_', '-')} {found[2] or ''}"

    return _PYTHON_OPTION.sub(typed, str(error)) if is_about_an_option else str(error)


@contextmanager
def in_our_words(context: Any) -> Iterator[None]:
    """Turn Click's errors in the block into ours.

    Args:
        context: Click's context of the command that is called.

    Raises:
        OptionError: the call is wrong. The message says where to read about the command.
    """
    try:
        yield
    except _UsageError as error:
        message = _describe(error, context)
        for phrase, ours in _PHRASES.items():
            message = message.replace(phrase, ours)
        end = "" if message.endswith((".", "?")) else "."
        raise OptionError(f"{message[0].lower()}{message[1:]}{end} See {context.command_path} --help.") from None


def _describe(error: Any, context: Any) -> str:
    if hasattr(error, "possibilities") and hasattr(error, "option_name"):
        options = [option for param in context.command.params for option in param.opts if option.startswith("--")]
        near = difflib.get_close_matches(error.option_name, options, n=2)
        return f"there is no option {error.option_name}." + (f" Did you mean {either(near)}?" if near else "")
    message: str = error.format_message()
    if message.startswith("Got unexpected extra argument"):  # It would quote a text.
        with_option = " A second text goes after --with." if context.command.name == "explain" else ""
        return f"there are too many arguments. Put quotes around a text that has spaces.{with_option}"
    return message
