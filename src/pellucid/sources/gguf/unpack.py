"""Find a model that is a GGUF file: put what the file says into the files that other models have.

They go into a folder of the cache, with a link to the file for the weights. A changed file gets another folder.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

from pellucid.errors import ModelNotFoundError, OptionError, UnsupportedModelError
from pellucid.files.locks import locked
from pellucid.sources import local
from pellucid.sources.files import GGUF_WEIGHTS, ModelFiles
from pellucid.sources.gguf.architectures import get_architecture, make_config
from pellucid.sources.gguf.header import Header, is_gguf, read_header
from pellucid.sources.gguf.tokenizer import make_tokenizer

_FORM = 1
"""Raise it when the files are made in another way, so that those of older versions are not used."""
_POOLING = {1: "pooling_mode_mean_tokens", 2: "pooling_mode_cls_token", 3: "pooling_mode_lasttoken"}
"""How a text's vector is made of its tokens', by llama.cpp's ``enum llama_pooling_type``."""
_CLASSES = "sentence_transformers.models"


def find(name: str, cache: Path) -> ModelFiles | None:
    """The model in a GGUF file; None if ``name`` is no such file.

    Args:
        name: the path of a file.
        cache: the folder for unpacked models.

    Raises:
        InvalidModelError: the file is damaged.
        UnsupportedModelError: Pellucid does not support what it holds.
        OptionError: the cache cannot be written.
    """
    try:
        path = Path(name).expanduser().absolute()
    except RuntimeError as error:
        raise ModelNotFoundError(f"{name!r}: there is no such user on this machine. Check the path.") from error
    if not path.is_file() or not is_gguf(path):
        return None
    status = path.stat()
    key = hashlib.sha256(f"{_FORM}\0{path}\0{status.st_size}\0{status.st_mtime_ns}".encode()).hexdigest()[:16]
    folder = cache / "gguf" / key
    if not folder.is_dir():
        content = make_files(read_header(path, name))
        try:
            _write(content, path, folder)
        except OSError as error:
            raise OptionError(
                f"{name}: its settings and its tokenizer cannot be written to {folder} ({error.strerror or error}). "
                f"Give a cache_folder that you may write to."
            ) from error
    files = local.find(str(folder))
    return None if files is None else replace(files, name=name)


def _write(content: dict[str, Any], weights: Path, folder: Path) -> None:
    """Write the files to a folder that is there whole or not at all."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with locked(folder.with_suffix(".lock")):
        if folder.is_dir():  # Another process was faster.
            return
        unfinished = folder.with_suffix(".unfinished")
        shutil.rmtree(unfinished, ignore_errors=True)
        for file, value in content.items():
            (unfinished / file).parent.mkdir(parents=True, exist_ok=True)
            (unfinished / file).write_text(json.dumps(value, ensure_ascii=False), encoding="utf-8")
        (unfinished / GGUF_WEIGHTS).symlink_to(weights)
        unfinished.rename(folder)


def make_files(header: Header) -> dict[str, Any]:
    """The JSON files of the model in a GGUF file, by their names.

    A text's vector always gets length 1, as in llama.cpp's server and in Ollama: a GGUF file does not say.
    """
    architecture, _ = get_architecture(header)
    config = make_config(header)
    tokenizer, tokenizer_config = make_tokenizer(header)
    pooling = header.get(f"{architecture}.pooling_type", int, 0)
    if pooling not in _POOLING:
        raise UnsupportedModelError(
            f"{header.where}: {architecture}.pooling_type is {pooling}, which gives no vector for a text. Supported: 1 "
            f"(mean), 2 (first token), 3 (last token)."
        )
    kinds = ("Transformer", "Pooling", "Normalize")
    folders = ("", "pooling", "")
    modules = [
        {"idx": i, "name": str(i), "path": folder, "type": f"{_CLASSES}.{kind}"}
        for i, (kind, folder) in enumerate(zip(kinds, folders, strict=True))
    ]
    hidden, context = (header.get(f"{architecture}.{key}_length", int) for key in ("embedding", "context"))
    flags = {**dict.fromkeys(_POOLING.values(), False), _POOLING[pooling]: True}
    return {
        "config.json": config,
        "modules.json": modules,
        "pooling/config.json": {"word_embedding_dimension": hidden, **flags},
        "tokenizer.json": tokenizer,
        "tokenizer_config.json": {**tokenizer_config, "model_max_length": context},
    }
