"""What the tasks share that give each text a vector or vectors: documents and queries, each with their own prompt."""

from __future__ import annotations

from collections.abc import Sequence

from pellucid.encoder.prompts import DOCUMENT_PROMPTS, QUERY_PROMPTS, choose_prompt
from pellucid.encoder.together import Reading, Side
from pellucid.errors import UnsupportedModelError
from pellucid.task import Task
from pellucid.text.checks import as_list
from pellucid.types import Int32


class EmbeddingTask(Task):
    """The base class of the tasks that embed documents and queries."""

    @property
    def document_prompt(self) -> str:
        """The prompt that documents get by default; "" if the model has none for them."""
        return self.prompt_named(None)

    @property
    def query_prompt(self) -> str:
        """The prompt that queries get by default; "" if the model has none for them."""
        return choose_prompt(self.spec, QUERY_PROMPTS, None, None)

    def prompt_named(self, prompt_name: str | None) -> str:
        """The prompt that documents get for this ``prompt_name``. Raises OptionError for an unknown name."""
        return choose_prompt(self.spec, DOCUMENT_PROMPTS, prompt_name, None)

    def reading(self, side: Side) -> Reading:
        """How the task reads queries or documents, with the model's own prompt.

        Raises:
            UnsupportedModelError: the model reads queries in a way of their own.
        """
        if side == "query" and self.encoder.reads_queries_apart:
            raise UnsupportedModelError(
                f"{self.spec.name} reads queries in a way of their own. Use embed_query of each task."
            )
        return self._reading(side, self.query_prompt if side == "query" else self.document_prompt)

    def _reading(self, side: Side, prompt: str) -> Reading:
        raise NotImplementedError

    def count_tokens(self, texts: Sequence[str]) -> Int32:
        """How many tokens each text has before truncation, with special tokens and without any prompt: ``int32[n]``."""
        return self.tokenizer.count(as_list(texts))
