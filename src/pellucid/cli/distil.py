"""``pellucid models distil``: a static model out of any embedder, in under a minute."""

from __future__ import annotations

import shlex
import time
from pathlib import Path
from typing import Annotated

import typer

from pellucid.cli import options
from pellucid.cli.interruption import when_interrupted
from pellucid.cli.terminal import tell
from pellucid.errors import plural, printable


def distil(
    model: Annotated[str, typer.Argument(help=options.MODEL_HELP)],
    to: Annotated[Path, typer.Option("--to", help="Folder to make for the static model.")],
    dimensions: Annotated[int, typer.Option(help="Length of its vectors.")] = 256,
    device: options.DeviceOption = "cpu",
    threads: options.ThreadsOption = None,
    revision: options.RevisionOption = None,
    cache_folder: options.CacheFolderOption = None,
    local_files_only: options.LocalFilesOnlyOption = False,
) -> None:
    """Make a static model out of a model.

    A static model has a vector for each token, and a text's vector is their mean. So it is about a hundred times faster
    than the model it is made from, and less exact: compare the two on your own texts.
    """
    from pellucid.files.whole import check_new_folder

    check_new_folder(to)  # Before a model is downloaded.

    from pellucid.distillation import distil as make
    from pellucid.encoder.encoder import Encoder

    start = time.monotonic()
    with when_interrupted(lambda: "Nothing was written."):
        encoder = Encoder(
            model,
            device=device,
            threads=threads,
            revision=revision,
            cache_folder=cache_folder,
            local_files_only=local_files_only,
        )
        made = make(encoder, to, dimensions=dimensions, show_progress=True)
    seconds = time.monotonic() - start
    tell(
        f"Wrote {plural(made.tokens, 'token')} of {plural(made.dimensions, 'number')} to {printable(to)} in "
        f"{seconds:.0f} s. They keep {made.variance:.0%} of the token vectors' variance."
    )
    tell(f"To see what it loses: pellucid models compare {shlex.quote(model)} {shlex.quote(printable(to))}")
