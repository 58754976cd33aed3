"""The ``pellucid`` command. Each subcommand is a file next to this one."""

from __future__ import annotations

import logging
import sys
import warnings
from typing import Any

import typer

from pellucid import __version__
from pellucid.cli import (
    batch,
    bench,
    classify,
    cluster,
    commands,
    dedupe,
    embed,
    explain,
    index,
    models,
    rerank,
    search,
    serve,
    similar,
)
from pellucid.cli.examples import EXAMPLES
from pellucid.cli.terminal import SayingHandler, say
from pellucid.cli.usage_errors import as_typed
from pellucid.errors import InputError, PellucidError

app = typer.Typer(
    cls=commands.Group,
    help="Turn text into vectors, on your own machine.",
    epilog=EXAMPLES[""],
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
commands.add(app, "embed", embed.embed)
commands.add(app, "explain", explain.explain)
commands.add(app, "similar", similar.similar)
commands.add(app, "rerank", rerank.rerank)
commands.add(app, "classify", classify.classify)
commands.add(app, "dedupe", dedupe.dedupe)
commands.add(app, "cluster", cluster.cluster)
commands.add(app, "index", index.index)
commands.add(app, "search", search.search)
commands.add(app, "batch", batch.batch)
commands.add(app, "serve", serve.serve)
commands.add(app, "bench", bench.bench)
app.add_typer(models.app, name="models")


@app.callback(invoke_without_command=True)
def _show_version(version: bool = typer.Option(False, "--version", help="Show the version and exit.")) -> None:
    if version:
        typer.echo(f"pellucid {__version__}")
        raise typer.Exit


def main() -> None:
    """Run the command line.

    Each of Pellucid's errors and warnings is printed on standard error, without a traceback. docs/cli.md lists the exit
    codes.
    """
    logging.basicConfig(format="%(message)s", handlers=[SayingHandler()])
    warnings.showwarning = _show_warning
    try:
        app()
    except PellucidError as error:
        say(f"pellucid: {as_typed(error)}")
        sys.exit(2 if isinstance(error, InputError) else 1)
    except BrokenPipeError:  # The program that reads our output has ended, as `head` does.
        sys.stderr.close()
        sys.exit(1)


def _show_warning(message: Warning | str, *_: Any, **__: Any) -> None:
    say(f"warning: {message}")
