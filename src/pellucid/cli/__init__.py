"""The ``pellucid`` command. Each command is a file beside this one; here is what they share a process for."""

from __future__ import annotations

import logging
import sys
import warnings
from typing import Any

import typer

from pellucid import __version__
from pellucid.cli import batch, bench, embed, explain, models, search, serve
from pellucid.cli.terminal import escaped
from pellucid.errors import InputError, PellucidError

app = typer.Typer(
    help="Text to vectors, on the machine you have.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.command("embed")(embed.embed)
app.command("explain")(explain.explain)
app.command("index")(search.index)
app.command("search")(search.search)
app.command("batch")(batch.batch)
app.command("serve")(serve.serve)
app.command("bench")(bench.bench)
app.add_typer(models.app, name="models")


@app.callback(invoke_without_command=True)
def _options(version: bool = typer.Option(False, "--version", help="Print the version and leave.")) -> None:
    if version:
        typer.echo(f"pellucid {__version__}")
        raise typer.Exit


def main() -> None:
    """Run the command. Our own errors and warnings are one line on standard error; 1 is a failure, 2 a wrong call."""
    logging.basicConfig(format="%(message)s", stream=sys.stderr)
    warnings.showwarning = _show_warning
    try:
        app()
    except PellucidError as error:
        typer.echo(f"pellucid: {error}", err=True)
        sys.exit(2 if isinstance(error, InputError) else 1)
    except BrokenPipeError:  # The reader of our output has left, as `head` does.
        sys.stderr.close()
        sys.exit(1)


def _show_warning(message: Warning | str, *_: Any, **__: Any) -> None:
    typer.echo(f"warning: {escaped(str(message))}", err=True)
