"""Chat templates: they wrap a text, or a query and a document, in the instructions that a decoder was trained on.

sentence-transformers makes two messages of a pair, with the roles "query" and "document", and a message with the role
"system" of a prompt. The template turns the messages into one text. A text that is too long is cut at its end; then the
template's last tokens are put back over its last ones, because the model answers after them.

A template is a small program in the language of Jinja that comes with the model. jinja2's sandbox keeps it away from
files and from Python, but not from endless work. So Pellucid accepts only templates that choose texts and write them
one after another. They cannot build texts out of texts, so their time and memory grow as the texts do.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from pellucid.errors import InvalidModelError, UnsupportedModelError
from pellucid.model.chat import SPECIAL_TOKENS
from pellucid.model.spec import ChatSpec
from pellucid.reprs import short_repr
from pellucid.types import Int32, Runs, TokenBatch

if TYPE_CHECKING:
    from jinja2 import Template, nodes

_MAX_CHARACTERS = 20_000  # Real templates have at most 10,000.
_MAX_JOINS = 100  # How often a template may put texts next to each other in an expression.
_MAX_LOOPS = 2  # How deep loops may be nested.
_MAX_ITEMS = 100  # How many items a loop may have. There are three messages at most.
_MAX_GROWTH = 10  # How often a template may repeat the texts.
_JOINS = ("Add", "Concat")
_NODES = frozenset(
    {
        *("Template", "Output", "TemplateData", "If", "For", "Assign", "NSRef", "Call", "Keyword", "Filter", "Test"),
        *("Const", "Name", "List", "Tuple", "Getattr", "Getitem", "Slice", "CondExpr", "Compare", "Operand"),
        *("And", "Or", "Not", "Neg", "Sub", *_JOINS),
    }
)
_FILTERS = frozenset(
    {
        *("first", "last", "default", "d", "list", "length", "count", "map", "select", "selectattr", "reject"),
        *("rejectattr", "string", "trim", "lower", "upper"),
    }
)
_FUNCTIONS = frozenset({"namespace", "raise_exception"})
_METHODS = frozenset({"strip", "lstrip", "rstrip", "startswith", "endswith"})
_PROBES = (("alpha", "bravo"), ("charlie", "bravo"), ("alpha", "foxtrot"))
"""A pair, the same with another query, and with another document."""
_FILLERS = ("0", "1 2 3 4")
"""Two texts that have no token in common."""
_MARKS = ("\ue000", "\ue001")
"""Characters that no template has, in the place of a query and a document."""
_FAILURES = (TypeError, ValueError, LookupError, AttributeError, ArithmeticError, RecursionError)
"""What a template's expressions may raise, besides jinja2's own errors."""


class ChatTemplate:
    """Renders texts and pairs of texts.

    Args:
        spec: the template.
        name: the model's name, for messages.

    Raises:
        InvalidModelError: the template is not written in Jinja.
        UnsupportedModelError: it does more than choose texts and write them one after another.
    """

    def __init__(self, spec: ChatSpec, name: str) -> None:
        self._spec, self._name = spec, name
        self._template = self._compile()

    def __repr__(self) -> str:
        return f"ChatTemplate({len(self._spec.template):,} characters)"

    def render(self, text: str | tuple[str, str], prompt: str = "") -> str:
        """The text that the model reads.

        Args:
            text: a text, or a query and a document.
            prompt: the instructions; "" for those of the template.

        Raises:
            UnsupportedModelError: the template fails.
        """
        try:
            return self._render(text, prompt)
        except _TemplateFailedError as error:
            # What the template says may contain the text, which belongs in no message.
            raise UnsupportedModelError(
                f"{self._name}: the chat template fails for one of the texts ({error.kind})."
            ) from error

    @property
    def takes_pairs(self) -> bool:
        """True if a query and a document get into the text."""
        return not self._why_no_pairs

    def check_pairs(self) -> None:
        """Check that a query and a document get into the text.

        Raises:
            UnsupportedModelError: they do not.
        """
        if self._why_no_pairs:
            raise UnsupportedModelError(
                f"{self._name}: the chat template is not made for a query and a document: {self._why_no_pairs}. "
                f"Get a newer revision of the model, or one that was converted for CrossEncoder of "
                f"sentence-transformers: its template has a message with the role 'query' and one with 'document'."
            )

    @functools.cached_property
    def _why_no_pairs(self) -> str:
        try:
            pair, *others = (self._render(probe, "") for probe in _PROBES)
        except _TemplateFailedError as error:
            return f"it fails with {error}"
        dropped = [role for role, other in zip(("query", "document"), others, strict=True) if other == pair]
        return f"it leaves out the {' and the '.join(dropped)}" if dropped else ""

    def fillers(self, pair: bool, prompt: str) -> list[str]:
        """The same text twice with different contents. What both end with is the end of the template."""
        return [self.render((filler, filler) if pair else filler, prompt) for filler in _FILLERS]

    def around(self, query: str, document: str, prompt: str) -> tuple[str, str, str] | None:
        """What a template writes before the query, between query and document, and after the document.

        None if it does more than that with these texts.
        """
        before, found, rest = self.render(_MARKS, prompt).partition(_MARKS[0])
        between, found_too, after = rest.partition(_MARKS[1])
        is_plain = found and found_too and not set(_MARKS) & set(between + after)
        if not is_plain or f"{before}{query}{between}{document}{after}" != self.render((query, document), prompt):
            return None
        return before, between, after

    def _render(self, text: str | tuple[str, str], prompt: str) -> str:
        import jinja2

        contents = (("user", text),) if isinstance(text, str) else tuple(zip(("query", "document"), text, strict=True))
        contents = ((("system", prompt),) if prompt else ()) + contents
        messages = [
            {"role": role, "content": [{"type": "text", "text": content}] if self._spec.structured else content}
            for role, content in contents
        ]
        most = _MAX_CHARACTERS + _MAX_GROWTH * sum(len(content) for _, content in contents)
        pieces: list[str] = []
        count = 0
        try:
            for piece in self._template.generate(
                messages=messages, tools=None, documents=None, add_generation_prompt=False, **self._spec.special_tokens
            ):
                pieces.append(piece)
                count += len(piece)
                if count > most:
                    raise _TemplateFailedError("RepetitionError", "it repeats the texts too often")
        except (jinja2.TemplateError, *_FAILURES) as error:
            raise _TemplateFailedError(type(error).__name__, str(error)) from error
        return "".join(pieces)

    def _compile(self) -> Template:
        import jinja2
        from jinja2.sandbox import ImmutableSandboxedEnvironment

        def raise_exception(message: str) -> None:
            raise jinja2.TemplateError(message)

        source = self._spec.template
        if len(source) > _MAX_CHARACTERS:
            raise self._unsupported(f"has {len(source):,} characters, and the limit is {_MAX_CHARACTERS:,}")
        # The settings of transformers.
        environment = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True)
        environment.globals["raise_exception"] = raise_exception
        environment.filters[_LIMIT_FILTER] = _limited
        try:
            tree = environment.parse(source)
            self._check(tree)
            return environment.from_string(tree)
        except jinja2.TemplateError as error:
            raise InvalidModelError(f"{self._name}: the chat template is not written in Jinja: {error}.") from error
        except RecursionError as error:
            raise self._unsupported("is nested too deeply") from error

    def _check(self, tree: nodes.Template) -> None:
        """Check that the template is of the kind that Pellucid accepts, and limit its loops."""
        joins = 0
        for node, loops, is_kept in _walk(tree):
            kind = type(node).__name__
            if kind not in _NODES:
                raise self._unsupported(f"has a {kind}")
            if kind == "For":
                if node.recursive or loops >= _MAX_LOOPS:
                    raise self._unsupported("has loops inside of loops")
                _limit_loop(node)
            elif kind == "Filter" and node.name != _LIMIT_FILTER:
                # The filter "map" calls another filter if it has an argument without a name.
                if node.name not in _FILTERS or (node.name == "map" and node.args):
                    raise self._unsupported(f"has the filter {node.name!r:.80}")
            elif kind == "Call":
                called = getattr(node.node, "attr", getattr(node.node, "name", ""))
                names = _METHODS if type(node.node).__name__ == "Getattr" else _FUNCTIONS
                if called not in names:
                    raise self._unsupported(f"calls {called!r:.80}")
            elif kind == "Name" and node.name in SPECIAL_TOKENS and node.name not in self._spec.special_tokens:
                raise self._unsupported(f"has {node.name!r:.80}, which tokenizer_config.json does not name")
            elif kind in _JOINS:
                joins += len(node.nodes) - 1 if kind == "Concat" else 1
                if is_kept or joins > _MAX_JOINS:
                    raise self._unsupported("builds texts out of other texts")

    def _unsupported(self, what: str) -> UnsupportedModelError:
        return UnsupportedModelError(
            f"{self._name}: the chat template {what}. Pellucid accepts only templates that choose texts and write them "
            f"one after another. Get a version of the model that was made for CrossEncoder of sentence-transformers."
        )


@dataclass(frozen=True, eq=False)
class ChatTexts:
    """Texts, or pairs of texts, as a chat template renders them.

    Attributes:
        texts: each rendered text.
        ending: ``int32[n]``, the tokens that the template ends with.
    """

    texts: list[str]
    ending: Int32

    __repr__ = short_repr

    def cut(self, plain: TokenBatch, max_tokens: int, *, keep_end: bool) -> tuple[TokenBatch, Int32]:
        """Cut rendered texts to ``max_tokens``, and put the end of the template back.

        Args:
            plain: the tokens of the rendered texts.
            max_tokens: the most tokens of a text.
            keep_end: True if texts are cut at their start.

        Returns:
            The tokens, and ``int32[B]``: how many each text had before it was cut.
        """
        counts = plain.lengths
        kept = np.minimum(counts, max_tokens)
        runs = Runs(plain.offsets[1:] - kept if keep_end else plain.offsets[:-1], kept)
        ids = runs.gather(plain.ids)
        for end in runs.offsets[1:][kept == max_tokens].tolist():
            size = min(len(self.ending), max_tokens)
            ids[end - size : end] = self.ending[len(self.ending) - size :]
        return TokenBatch(ids, runs.offsets), counts


def common_ending(first: Int32, second: Int32) -> Int32:
    """The tokens that two texts end with; none if one of them has no others.

    >>> common_ending(np.array([7, 1, 8, 9], np.int32), np.array([7, 2, 3, 8, 9], np.int32))
    array([8, 9], dtype=int32)
    """
    shorter = min(len(first), len(second))
    differing = np.flatnonzero(first[::-1][:shorter] != second[::-1][:shorter])
    return first[len(first) - int(differing[0]) :] if len(differing) else first[:0]


class _TemplateFailedError(Exception):
    """A template failed. ``kind`` is the name of its error, and the message is what it says."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(f"{kind}: {message}")
        self.kind = kind


_LIMIT_FILTER = "_limited"


def _limited(items: Iterable[Any]) -> list[Any]:
    """The items of a loop, unless it is a loop over characters, or a long one."""
    found = list(itertools.islice(items, _MAX_ITEMS + 1))
    if isinstance(items, str) or len(found) > _MAX_ITEMS:
        raise ValueError("it has a loop over something else than a few messages")
    return found


def _limit_loop(loop: nodes.For) -> None:
    from jinja2 import nodes

    loop.iter = nodes.Filter(loop.iter, _LIMIT_FILTER, [], [], None, None, lineno=loop.lineno)


def _walk(node: Any, loops: int = 0, is_kept: bool = False) -> Iterator[tuple[Any, int, bool]]:
    """All nodes of a template, with the number of loops around each, and whether its value is kept for later."""
    yield node, loops, is_kept
    kind = type(node).__name__
    for child in node.iter_child_nodes():
        in_loop = kind == "For" and any(child is each for each in node.body)
        yield from _walk(child, loops + in_loop, is_kept or kind == "Assign" or (kind == "For" and child is node.iter))
