"""Which prompt goes before a text."""

from __future__ import annotations

import reprlib
from collections.abc import Sequence

from pellucid.errors import OptionError
from pellucid.model.spec import ModelSpec
from pellucid.text.checks import check_utf8

QUERY_PROMPTS = ("query",)
"""The names of a model's own prompt for queries, in the order in which sentence-transformers looks for them."""
DOCUMENT_PROMPTS = ("document", "passage", "corpus")
"""The names of a model's own prompt for documents, in that library's order."""


def choose_prompt(spec: ModelSpec, own_prompts: Sequence[str], prompt_name: str | None, prompt: str | None) -> str:
    """Return the prompt to put before each text; "" for none.

    That is ``prompt`` if it is given, else the model's prompt called ``prompt_name`` if that is given, else the first
    of ``own_prompts`` that the model has.

    Args:
        spec: the model, with its prompts.
        own_prompts: the names to look for if the caller chose nothing, such as :data:`QUERY_PROMPTS`.
        prompt_name: the name of one of the model's prompts.
        prompt: the prompt itself.

    Raises:
        OptionError: both are given, or the model has no prompt of that name.
        TextError: the prompt cannot be written in UTF-8.
    """
    if prompt is not None:
        if prompt_name is not None:
            raise OptionError("give a prompt or a prompt_name, not both.")
        if not isinstance(prompt, str):
            raise OptionError(f"prompt is of type {type(prompt).__name__}; it must be a str.")
        check_utf8(prompt, "the prompt")
        return prompt
    prompts = spec.prompts
    if prompt_name is not None:
        if not isinstance(prompt_name, str) or prompt_name not in prompts:
            available = f"its prompts are {', '.join(map(repr, prompts))}" if prompts else "it has no prompts"
            raise OptionError(f"{spec.name} has no prompt {reprlib.repr(prompt_name)}: {available}.")
    else:
        prompt_name = next((name for name in own_prompts if name in prompts), None)
    if prompt_name is None:
        return ""
    check_utf8(prompts[prompt_name], f"the prompt {prompt_name!r} of {spec.name}")
    return prompts[prompt_name]
