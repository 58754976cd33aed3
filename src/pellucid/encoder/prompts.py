"""Which prompt is put before a text."""

from __future__ import annotations

import reprlib
from collections.abc import Sequence

from pellucid.errors import OptionError
from pellucid.model.spec import ModelSpec
from pellucid.text.checks import check_utf8

QUERY_PROMPTS = ("query",)
"""The names under which a model may have a prompt of its own for queries, as sentence-transformers looks for them."""
DOCUMENT_PROMPTS = ("document", "passage", "corpus")
"""And for documents."""


def choose_prompt(spec: ModelSpec, own_prompts: Sequence[str], prompt_name: str | None, prompt: str | None) -> str:
    """The prompt to use: the given one, the named one, or the first of ``own_prompts`` that the model has.

    Raises:
        OptionError: both are given, or there is no such prompt.
        TextError: UTF-8 cannot write it.
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
            has = f"its prompts are {', '.join(map(repr, prompts))}" if prompts else "it has no prompts"
            raise OptionError(f"{spec.name} has no prompt {reprlib.repr(prompt_name)}: {has}.")
    else:
        prompt_name = next((name for name in own_prompts if name in prompts), None)
    if prompt_name is None:
        return ""
    check_utf8(prompts[prompt_name], f"the prompt {prompt_name!r} of {spec.name}")
    return prompts[prompt_name]
