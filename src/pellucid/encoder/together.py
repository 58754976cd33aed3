"""One pass through the encoder for several tasks, as for BGE-M3, which gives three kinds of vectors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Protocol, get_args

from pellucid.checks import check_choice
from pellucid.errors import OptionError
from pellucid.files.progress import progress
from pellucid.layers.finish import Finish, Several
from pellucid.text.checks import as_list
from pellucid.text.truncation import OnTruncation, check_truncation, warn_about_truncation

if TYPE_CHECKING:
    from pellucid.encoder.encoder import Encoder
    from pellucid.text.tokenizer import Tokenizer

Side = Literal["document", "query"]
_STRICTEST_FIRST: tuple[OnTruncation, ...] = ("error", "warn", "cut", "ignore")


@dataclass(frozen=True)
class Reading:
    """How a task reads texts of one kind.

    Attributes:
        prompt: goes before each text.
        tokenizer: cuts texts into tokens. It knows how many tokens of a text are read.
        finish: turns each text's token vectors into its result.
    """

    prompt: str
    tokenizer: Tokenizer
    finish: Finish[Any]

    @property
    def max_tokens(self) -> int:
        """How many tokens of a text are read, special tokens included."""
        return self.tokenizer.spec.max_tokens


class ReadingTask(Protocol):
    """A task that can share a pass with others: every task that gives texts vectors."""

    encoder: Encoder
    on_truncation: OnTruncation

    def reading(self, side: Side) -> Reading:
        """How the task reads queries or documents."""


def run_together(
    encoder: Encoder, texts: Sequence[str], tasks: Sequence[ReadingTask], side: Side, *, show_progress: bool
) -> tuple[Any, ...]:
    """Compute what each of several tasks makes of texts; see :meth:`pellucid.encoder.encoder.Encoder.together`."""
    check_choice("side", side, get_args(Side))
    readings = [_reading_of(encoder, task, side) for task in tasks]
    if not readings:
        raise OptionError("together needs at least one task.")
    first = readings[0]
    for other in readings[1:]:
        if (other.prompt, other.max_tokens) != (first.prompt, first.max_tokens):
            raise OptionError(
                f"these tasks read different tokens, so they cannot share a pass: one puts {first.prompt!r:.80} before "
                f"a text and reads up to {first.max_tokens} tokens, another {other.prompt!r:.80} and "
                f"{other.max_tokens}. Run them one after the other."
            )
    on_truncation = min((task.on_truncation for task in tasks), key=_STRICTEST_FIRST.index)
    finish = Several(tuple(reading.finish for reading in readings))
    tokens, counts = first.tokenizer.tokenize(as_list(texts), first.prompt)
    truncation = check_truncation(counts, first.max_tokens, on_truncation, 0)
    with progress(len(tokens), show=show_progress) as advance:
        results = encoder.run(tokens, finish, advance=advance)
    finish.check(results, int)
    warn_about_truncation(truncation, first.max_tokens, on_truncation)
    return results


def _reading_of(encoder: Encoder, task: ReadingTask, side: Side) -> Reading:
    """How a task reads, if it can share a pass. Raises OptionError if it cannot."""
    if not hasattr(task, "reading"):
        raise OptionError(
            f"together takes tasks that give texts vectors, such as Embedder(encoder). It got a {type(task).__name__}."
        )
    if task.encoder is not encoder:
        raise OptionError(
            f"this {type(task).__name__} has another encoder. Create it with this one: {type(task).__name__}(encoder)."
        )
    return task.reading(side)
