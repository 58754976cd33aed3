"""What transformers' tokenizer classes of decoders make of ``tokenizer.json``.

They take the vocabulary, the merges, the added tokens and the template from the file. The normalizer, the pre-tokenizer
and the settings of BPE are always the class's own. ``add_bos_token`` and ``add_eos_token`` in tokenizer_config.json do
not count: transformers 5 ignores them if there is a tokenizer.json. Other classes, such as ``PreTrainedTokenizerFast``,
read the file as it is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pellucid.model.config import Config
from pellucid.text.seams import QWEN_PATTERN

if TYPE_CHECKING:
    from tokenizers import Tokenizer as Backend

_QWEN, _LLAMA, _GEMMA = "Qwen2Tokenizer", "LlamaTokenizer", "GemmaTokenizer"
_DEFAULTS = {"gemma3_text": _GEMMA, "qwen3": _QWEN}
"""The class of each family, if tokenizer_config.json does not name one."""
_AS_THE_FILE_SAYS = ("mistral", "modernbert")
"""The families whose tokenizer.json is read as it is, whatever class tokenizer_config.json names."""


def rebuild_decoder(backend: Backend, config: Config, family: str, *, has_bytes: bool) -> None:
    """Give the tokenizer of a decoder the parts of its class in transformers 5. Others stay as they are.

    Args:
        backend: the tokenizer, as tokenizer.json describes it.
        config: tokenizer_config.json.
        family: the model's family.
        has_bytes: True if tokenizer.json has a step "ByteLevel", as that of Llama 3 does. Its class may still be named
            after Llama 2's, but it is not that class.
    """
    from tokenizers import models

    if not isinstance(backend.model, models.BPE) or family in _AS_THE_FILE_SAYS:
        return
    name = config.string("tokenizer_class", _DEFAULTS.get(family, "")).removesuffix("Fast")
    if family == "qwen2" or name == _QWEN:
        _rebuild_qwen(backend, config)
    elif name == _LLAMA and not has_bytes:
        _rebuild_llama(backend, config)
    elif name == _GEMMA:
        _rebuild_gemma(backend, config)


def _rebuild_qwen(backend: Backend, config: Config) -> None:
    from tokenizers import Regex, normalizers, pre_tokenizers

    space = config.flag("add_prefix_space", False)
    backend.normalizer = normalizers.NFC()
    split = pre_tokenizers.Split(Regex(QWEN_PATTERN), "isolated")
    backend.pre_tokenizer = pre_tokenizers.Sequence([split, pre_tokenizers.ByteLevel(space, use_regex=False)])
    _set_bpe(backend, unknown=None, falls_back=False)


def _rebuild_llama(backend: Backend, config: Config) -> None:
    from tokenizers import pre_tokenizers

    scheme = "always" if config.flag("legacy", False) else "first"
    if not config.flag("add_prefix_space", True):
        scheme = "never"
    backend.normalizer = None
    backend.pre_tokenizer = pre_tokenizers.Metaspace("▁", scheme, split=False)
    _set_bpe(backend, unknown=None, falls_back=True)


def _rebuild_gemma(backend: Backend, config: Config) -> None:
    from tokenizers import normalizers, pre_tokenizers

    token = config.values.get("unk_token")
    token = token.get("content") if isinstance(token, dict) else token
    backend.normalizer = normalizers.Replace(" ", "▁")
    backend.pre_tokenizer = pre_tokenizers.Split(" ", "merged_with_previous")
    _set_bpe(backend, unknown=token if isinstance(token, str) else "<unk>", falls_back=True)


def _set_bpe(backend: Backend, *, unknown: str | None, falls_back: bool) -> None:
    """Set what is done with characters that have no token: they become bytes, or the unknown token."""
    model: Any = backend.model
    model.unk_token, model.byte_fallback, model.fuse_unk = unknown, falls_back, falls_back
    model.ignore_merges = False
