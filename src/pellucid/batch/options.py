"""What a job makes of its texts. Each kind of job is a class of options, in a file next to this one.

Surveying, reading, writing and resuming don't know the kinds: they ask the options.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar, Generic, TypeVar

from pellucid.encoder.fingerprint import Fingerprint, Option
from pellucid.errors import BatchError, OptionError
from pellucid.reprs import short_repr
from pellucid.tables.arrow import Column, Table
from pellucid.task import Task
from pellucid.text.checks import check_utf8
from pellucid.types import Float32, Int32, TokenBatch

Model = TypeVar("Model", bound=Task)
Ranges = tuple[Float32, Float32]
"""For int8, the lowest and the highest number of each dimension, ``float32[d]`` each."""


class JobOptions(ABC, Generic[Model]):
    """What a job does with its texts, and which columns it adds. Each subclass is a frozen dataclass.

    Where a method takes or gives a list of texts, the entries are pairs of texts if the job is about pairs.

    Attributes:
        text_column: the column of texts.
        prompt: put before each text, or before the first text of each pair.
        on_truncation: "cut" texts that are too long, or "reject" their rows.
        rows_per_file: how many input rows become one output file.
        has_vectors: whether the last column that is added has vectors.
        naming_options: the options that name the added columns, in the same order.
    """

    text_column: str
    prompt: str
    on_truncation: str
    rows_per_file: int
    has_vectors: ClassVar[bool] = False
    naming_options: ClassVar[tuple[str, ...]]

    __repr__ = short_repr

    @property
    def more_columns(self) -> Mapping[str, str]:
        """The other column of texts, if the job is about pairs, with the option that names it."""
        return {}

    @property
    @abstractmethod
    def added_columns(self) -> tuple[str, ...]:
        """The names of the columns that the job adds."""

    @property
    def needs_ranges(self) -> bool:
        """Whether the results are stored as int8, with ranges that come from the first rows."""
        return False

    @abstractmethod
    def fingerprint_options(self, model: Model) -> Mapping[str, Option]:
        """What the results depend on besides the texts, the prompt and the model's files."""

    @abstractmethod
    def width(self, model: Model) -> int:
        """How many numbers the model gives for each text, or for each token if each has a vector."""

    def texts_of(self, table: Table) -> list[Any]:
        """The texts of the rows of a table: those of the column of texts, unless the job is about pairs."""
        texts: list[Any] = table.column(self.text_column).to_pylist()
        return texts

    @abstractmethod
    def tokenize(self, model: Model, texts: list[Any]) -> tuple[TokenBatch, Int32]:
        """The tokens of texts, and ``int32[n]``: how many each had before it was cut. Raises TextError."""

    @abstractmethod
    def compute(self, model: Model, texts: list[Any], tokens: TokenBatch, advance: Callable[[int], object]) -> Any:
        """The numbers of texts, such as ``float32[n, width]``. An array of positions can index them like an array.

        ``advance`` is called with how many more texts are done.
        """

    @abstractmethod
    def columns(self, model: Model, results: Any, ranges: Ranges | None) -> tuple[Column, ...]:
        """The columns that the job adds to rows whose numbers are ``results``, as ``compute`` gives them."""

    def metadata(self, ranges: Ranges | None) -> dict[str, Any]:  # noqa: ARG002  Vectors have ranges.
        """What an output file says about the columns that the job added."""
        return {"added_columns": self.added_columns}

    def check(self, model: Model) -> None:  # noqa: ARG002  Options of vectors depend on the model.
        """Refuse options that cannot be used.

        Raises:
            OptionError, TextError: an option cannot be used.
        """
        for name in (self.text_column, *self.more_columns, *self.added_columns):
            check_utf8(name, "the name of a column")
        if len(set(self.added_columns)) < len(self.added_columns):
            raise OptionError(f"{' and '.join(self.naming_options)} are the same column. Give them different names.")
        check_utf8(self.prompt, "prompt")
        if self.text_column in self.more_columns:
            option = self.more_columns[self.text_column]
            raise OptionError(f"--column and {option} are the same column. A pair needs two.")
        if self.rows_per_file < 1:
            raise OptionError("rows_per_file must be at least 1.")

    def check_columns(self, names: Sequence[str]) -> None:
        """Refuse an input that has one of the added columns already.

        Raises:
            BatchError: it has.
        """
        for name, option in zip(self.added_columns, self.naming_options, strict=True):
            if name in names:
                raise BatchError(f"the input has a column {name!r} already. Choose another name with {option}.")

    def fingerprint(self, model: Model, *, device: str | None = None) -> Fingerprint:
        """What the results depend on besides their texts. ``device``: the engine's, if it is not the model's."""
        found = Fingerprint.of(model.encoder, self.prompt, self.fingerprint_options(model), model.task_name)
        return found if device is None else replace(found, device=device)
