"""The chat template of a decoder, as the files of a model give it.

sentence-transformers sends each text through it if its own config says so: then ``modality_config`` has "message". For
a model without ``modules.json``, it does so if there is a template.
"""

from __future__ import annotations

from typing import Any

from pellucid.errors import InvalidModelError, UnsupportedModelError
from pellucid.model.config import Config
from pellucid.model.spec import ChatSpec
from pellucid.model.special_tokens import named_tokens
from pellucid.sources.files import ModelFiles

_FILE = "chat_template.jinja"
SPECIAL_TOKENS = tuple(f"{kind}_token" for kind in ("bos", "eos", "unk", "sep", "pad", "cls", "mask"))
"""The special tokens that a template may name."""
_SIGNS_OF_PARTS = ("content[0]", ".type", "'type'", '"type"', "item.type", "message.content[")
"""What sentence-transformers looks for in a template, to find out whether it takes each content as a list of parts."""


def read_chat(files: ModelFiles, folder: str, settings: Config) -> ChatSpec | None:
    """Read the chat template that texts go through; None if they are read as they are.

    Args:
        files: the model's files.
        folder: the folder of its transformer.
        settings: what sentence-transformers saved about the transformer.

    Raises:
        InvalidModelError: a file is broken.
        UnsupportedModelError: texts should go through a template, and there is none.
    """
    kind = "auto"
    if files.has("modules.json"):
        kinds = settings.section("modality_config")
        if "message" not in kinds.values:
            return None
        kind = kinds.section("message").string("format", "auto")
    template, is_one_of_several = _find_template(files, folder)
    if template is None:
        if not files.has("modules.json"):
            return None
        raise UnsupportedModelError(
            f"{settings.where}: texts go through a chat template, and the model has none. Get the model's files again: "
            f"there must be a {_FILE}, or a chat_template in tokenizer_config.json."
        )
    if kind == "auto":
        has_parts = is_one_of_several or any(sign in template for sign in _SIGNS_OF_PARTS)
        kind = "structured" if has_parts else "flat"
    named = {key: named_tokens(files, folder, key) for key in SPECIAL_TOKENS}
    return ChatSpec(template, kind == "structured", {key: tokens[0] for key, tokens in named.items() if tokens})


def _find_template(files: ModelFiles, folder: str) -> tuple[str | None, bool]:
    """The default template, and whether it is one of several in tokenizer_config.json."""
    path = f"{folder}/{_FILE}".lstrip("/")
    if files.has(path):
        try:
            return files.read(path).decode("utf-8"), False
        except UnicodeDecodeError as error:
            raise InvalidModelError(f"{files.name}: {path} is not UTF-8: {error}.") from error
    config = Config.read_if_present(files, f"{folder}/tokenizer_config.json".lstrip("/"))
    value: Any = config.values.get("chat_template")
    if isinstance(value, str) or value is None:
        return value or None, False
    entries = value if isinstance(value, list) else []
    by_name = {entry.get("name"): entry.get("template") for entry in entries if isinstance(entry, dict)}
    if not isinstance(template := by_name.get("default"), str):
        raise InvalidModelError(f"{config.where}: chat_template must be a text, or a list with one named 'default'.")
    return template, True
