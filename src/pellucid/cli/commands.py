"""How commands join the command line: with examples below their help, their older spellings, and words for Ctrl-C."""

from __future__ import annotations

import inspect
import signal
import sys
from collections.abc import Callable
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

from pellucid.cli import interruption, older_spellings
from pellucid.cli.examples import EXAMPLES
from pellucid.cli.terminal import say
from pellucid.cli.usage_errors import in_our_words

PARTLY_DONE = 3
"""The exit status of a command that did its work, but had to leave something out: it says what."""


def add(app: typer.Typer, name: str, function: Callable[..., None], *, cls: type[TyperCommand] | None = None) -> None:
    """Add a command. Its examples and its older spellings are in the tables of these names.

    Args:
        app: where to add it.
        name: the whole name, as in "models compare".
        function: what the command does. Its docstring and its options become the help.
        cls: the class of the command; None for :class:`Command`.
    """
    settings = {"token_normalize_func": older_spellings.translate(name)}
    app.command(name.rpartition(" ")[2], cls=cls or Command, epilog=EXAMPLES[name], context_settings=settings)(function)


def _write_examples(epilog: str | None, formatter: Any) -> None:
    """Write the lines below the heading "Examples", without breaking them: people copy them."""
    if epilog:
        with formatter.section("Examples"):
            for line in inspect.cleandoc(epilog).splitlines():
                formatter.write(f"{'':{formatter.current_indent}}{line}\n")


class Command(TyperCommand):
    """A command whose epilog is examples."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Read the arguments. A mistake in them is named in plain words."""
        with in_our_words(ctx):
            return super().parse_args(ctx, args)

    def format_epilog(self, ctx: Any, formatter: Any) -> None:  # noqa: ARG002  Click's signature.
        """Write the examples."""
        _write_examples(self.epilog, formatter)


class Group(TyperGroup):
    """A group of commands whose epilog is examples. Ctrl-C in one of them gives one line, and exit status 130."""

    def format_epilog(self, ctx: Any, formatter: Any) -> None:  # noqa: ARG002  Click's signature.
        """Write the examples."""
        _write_examples(self.epilog, formatter)

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Read the arguments. A mistake in them is named in plain words."""
        if not args:
            return super().parse_args(ctx, args)  # Shows the help.
        with in_our_words(ctx):
            return super().parse_args(ctx, args)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Find the command. A misspelled name is answered with one that is near."""
        with in_our_words(ctx):
            return super().resolve_command(ctx, args)

    def invoke(self, ctx: Any) -> Any:
        """Run the command."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt as interrupted:
            signal.signal(signal.SIGINT, signal.SIG_DFL)  # A second Ctrl-C ends the process at once, without traces.
            if sys.stderr.isatty():
                typer.echo(err=True)  # The terminal has written ^C on this line.
            say(interruption.message(interrupted))
            raise typer.Exit(interruption.EXIT_STATUS) from None
