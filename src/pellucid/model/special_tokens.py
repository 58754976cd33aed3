"""The special tokens that a tokenizer's files name, such as ``mask_token``."""

from __future__ import annotations

from pellucid.model.config import Config
from pellucid.sources.files import ModelFiles

_FILES = ("tokenizer_config.json", "special_tokens_map.json")


def named_tokens(files: ModelFiles, folder: str, key: str) -> list[str]:
    """How the files spell a special token: none, one or two spellings, since two files may name it.

    Args:
        files: the model's files.
        folder: the folder with the tokenizer's files.
        key: the name of the token, such as ``"mask_token"``.
    """
    configs = (Config.read_if_present(files, f"{folder}/{name}".lstrip("/")) for name in _FILES)
    return [spelling for config in configs if (spelling := _spelling(config, key)) is not None]


def _spelling(config: Config, key: str) -> str | None:
    value = config.values.get(key)
    value = value.get("content") if isinstance(value, dict) else value
    return value if isinstance(value, str) else None
