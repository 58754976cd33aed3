from __future__ import annotations

import pickle
from collections import defaultdict
from typing import get_args

import pytest
import typer
from typer.testing import CliRunner

from pellucid.cli import app, options
from pellucid.encoder.encoder import Dtype
from pellucid.engines import registry
from pellucid.engines.dtypes import NATIVE_DTYPES
from pellucid.errors import OptionError

HAVE_SEVERAL_MEANINGS = {
    "--all",
    "--dtype",
    "--json",
    "--model",
    "--on-truncation",
    "--output",
    "--task",
    "--threads",
    "--threshold",
}
HAVE_SEVERAL_MEANINGS |= {"--prompt", "--prompt-name"}  # A reranker puts them before the query alone.


def commands(command):
    yield command
    for subcommand in getattr(command, "commands", {}).values():
        yield from commands(subcommand)


def test_an_option_has_the_same_help_in_every_command():
    helps = defaultdict(set)
    for command in commands(typer.main.get_command(app)):
        for param in command.params:
            for name in param.opts:
                helps[name].add(param.help)
    assert {name for name, texts in helps.items() if name.startswith("--") and len(texts) > 1} == HAVE_SEVERAL_MEANINGS


def test_every_help_is_a_sentence():
    for command in commands(typer.main.get_command(app)):
        for text in (command.help, *(param.help for param in command.params)):
            assert text.endswith(".")
            assert text[0].isupper()


def test_a_command_gets_strings():
    received = []
    small = typer.Typer()

    @small.command()
    def _(
        dtype: options.DtypeOption = "float32",
        load: options.LoadOption = "start",
        source: options.DownloadSourceOption = None,
        dtypes: options.BenchDtypesOption = None,
    ):
        received.append((dtype, load, source, dtypes))

    for arguments in ([], ["--dtype", "int8", "--load", "first-use", "--source", "hub", "--dtypes", "int16"]):
        assert CliRunner().invoke(small, arguments).exit_code == 0
    assert received == [("float32", "start", None, None), ("int8", "first-use", "hub", ["int16"])]
    assert f"{received[1][0]} {received[1]!r}" == "int8 ('int8', 'first-use', 'hub', ['int16'])"
    assert type(pickle.loads(pickle.dumps(received[1][0]))) is str  # noqa: S301  our own


def test_the_search_modes_are_those_of_the_index():
    from pellucid.search.index import SearchMode

    assert sorted(options.SEARCH_MODES) == sorted(get_args(SearchMode))


@pytest.mark.parametrize("dtype", get_args(Dtype))
def test_the_native_dtypes_are_those_of_the_native_engine(dtype):
    if dtype in (*NATIVE_DTYPES, "auto"):
        registry.check_options("native", dtype=dtype, device="cpu", threads=None)
    else:
        with pytest.raises(OptionError):
            registry.check_options("native", dtype=dtype, device="cpu", threads=None)
