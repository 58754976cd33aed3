"""The ``pellucid`` command. Each subcommand is a file next to this one."""

from __future__ import annotations

import logging
import sys
import warnings
from typing import Any

import typer

from pellucid import __version__
from pellucid.cli import batch, bench, embed, explain, index, models, search, serve
from pellucid.cli.terminal import escape_controls
from pellucid.errors import InputError, PellucidError

app = typer.Typer(
    help="Turn text into vectors, on your own machine.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("embed")(embed.embed)
app.command("explain")(explain.explain)
app.command("index")(index.index)
app.command("search")(search.search)
app.command("batch")(batch.batch)
app.command("serve")(serve.serve)
app.command("bench")(bench.bench)
app.add_typer(models.app, name="models")


@app.callback(invoke_without_command=True)
def _show_version(version: bool = typer.Option(False, "--version", help="Show the version and exit.")) -> None:
    if version:
        typer.echo(f"pellucid {__version__}")
        raise typer.Exit


def main() -> None:
    """Run the command line.

    Each of Pellucid's errors and warnings is printed on standard error, without a traceback. The exit status is 2 if
    the call or a text was wrong, and 1 for any other failure.
    """
    logging.basicConfig(format="%(message)s", stream=sys.stderr)
    warnings.showwarning = _show_warning
    try:
        app()
    except PellucidError as error:
        typer.echo(f"pellucid: {error}", err=True)
        sys.exit(2 if isinstance(error, InputError) else 1)
    except BrokenPipeError:  # The program that reads our output has ended, as `head` does.
        sys.stderr.close()
        sys.exit(1)


def _show_warning(message: Warning | str, *_: Any, **__: Any) -> None:
    typer.echo(f"warning: {escape_controls(str(message))}", err=True)
