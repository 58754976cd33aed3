"""Small tokenizers of decoders, made with the ``tokenizers`` library as the real ones are.

Each has a vocabulary that is written by hand, or one that was trained on texts.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

Merges = list[tuple[str, str]]
_MERGES = [("t", "h"), ("th", "e"), ("c", "a"), ("ca", "t"), ("{}", "the"), ("{}", "cat"), ("o", "n"), ("s", "a")]
"""With the mark of a space for {}."""
_LETTERS = [*"abcdefghijklmnopqrstuvwxyzACDEIQ", *"0123456789", *":,.!?'|\n-"]
_BYTES = [f"<0x{number:02X}>" for number in range(256)]


@dataclass(frozen=True)
class Kind:
    """A kind of tokenizer.

    Attributes:
        space: the mark of a space in its vocabulary.
        specials: its special tokens, in the order of their ids.
        template: what its post-processor makes of a text.
        config: what tokenizer_config.json says, besides the limit.
    """

    space: str
    specials: tuple[str, ...]
    template: str
    config: Mapping[str, Any]


KINDS = {
    "qwen": Kind(
        "Ġ",
        ("<|endoftext|>", "<|im_start|>", "<|im_end|>"),
        "$A <|endoftext|>",
        {"tokenizer_class": "Qwen2Tokenizer", "pad_token": "<|endoftext|>", "eos_token": "<|im_end|>"},
    ),
    "llama3": Kind(
        "Ġ",
        ("<|begin_of_text|>", "<|end_of_text|>", "<|eot_id|>"),
        "<|begin_of_text|> $A",
        {
            "tokenizer_class": "PreTrainedTokenizerFast",
            "bos_token": "<|begin_of_text|>",
            "eos_token": "<|end_of_text|>",
            "pad_token": "<|end_of_text|>",
        },
    ),
    "llama": Kind(
        "▁",
        ("<unk>", "<s>", "</s>"),
        "<s> $A </s>",
        {
            "tokenizer_class": "LlamaTokenizer",
            "legacy": True,
            "bos_token": "<s>",
            "eos_token": "</s>",
            "unk_token": "<unk>",
            "pad_token": "</s>",
        },
    ),
    "gemma": Kind(
        "▁",
        ("<pad>", "<eos>", "<bos>", "<unk>", "<mask>"),
        "<bos> $A <eos>",
        {
            "tokenizer_class": "GemmaTokenizer",
            "bos_token": "<bos>",
            "eos_token": "<eos>",
            "unk_token": "<unk>",
            "pad_token": "<pad>",
            "mask_token": "<mask>",
        },
    ),
}


def make_tokenizer(name: str, vocabulary: dict[str, int] | None = None, merges: Merges | None = None) -> Tokenizer:
    """A tokenizer of this kind, with a vocabulary of its own or one that is written by hand."""
    kind = KINDS[name]
    if vocabulary is None or merges is None:
        vocabulary, merges = _by_hand(kind)
    if kind.space == "Ġ":
        tokenizer = Tokenizer(models.BPE(vocabulary, merges, ignore_merges=name == "llama3"))
        tokenizer.normalizer = normalizers.NFC() if name == "qwen" else None
        tokenizer.pre_tokenizer = split_bytes(r"\p{N}" if name == "qwen" else r"\p{N}{1,3}")
        tokenizer.decoder = decoders.ByteLevel()
    else:
        tokenizer = Tokenizer(models.BPE(vocabulary, merges, unk_token="<unk>", byte_fallback=True, fuse_unk=True))
        spaces = normalizers.Replace(" ", "▁")
        if name == "llama":
            tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), spaces])
        else:
            tokenizer.normalizer = spaces
            tokenizer.pre_tokenizer = pre_tokenizers.Split(" ", "merged_with_previous")
        tokenizer.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()])
    tokenizer.add_special_tokens(list(kind.specials))
    ids = [(token, vocabulary[token]) for token in kind.specials if token in kind.template.split()]
    template = processors.TemplateProcessing(kind.template, f"{kind.template} {kind.template.replace('A', 'B')}", ids)
    tokenizer.post_processor = template
    if kind.space == "Ġ":
        tokenizer.post_processor = processors.Sequence([processors.ByteLevel(trim_offsets=False), template])
    return tokenizer


def train(name: str, texts: Iterable[str], size: int) -> Tokenizer:
    """A tokenizer of this kind whose vocabulary is trained on texts. With bytes, it has at most 256 tokens more."""
    kind = KINDS[name]
    learner = Tokenizer(models.BPE(unk_token=None if kind.space == "Ġ" else "<unk>"))
    alphabet = pre_tokenizers.ByteLevel.alphabet() if kind.space == "Ġ" else []
    if kind.space == "Ġ":
        learner.pre_tokenizer = split_bytes(r"\p{N}")
    else:  # SentencePiece learns no pieces that go on after a space.
        learner.pre_tokenizer = pre_tokenizers.Metaspace()
    trainer = trainers.BpeTrainer(
        vocab_size=size, special_tokens=list(kind.specials), initial_alphabet=alphabet, show_progress=False
    )
    learner.train_from_iterator(texts, trainer)
    part = _state(learner)
    vocabulary, merges = part["vocab"], [tuple(merge) for merge in part["merges"]]
    if kind.space == "▁":
        tokens = sorted(vocabulary, key=vocabulary.__getitem__)
        vocabulary = {token: number for number, token in enumerate([*tokens, *_BYTES])}
    return make_tokenizer(name, vocabulary, merges)


def _state(tokenizer: Tokenizer) -> dict[str, Any]:
    model: dict[str, Any] = json.loads(tokenizer.to_str())["model"]
    return model


def _by_hand(kind: Kind) -> tuple[dict[str, int], Merges]:
    merges = [(first.format(kind.space), second) for first, second in _MERGES]
    letters = sorted(pre_tokenizers.ByteLevel.alphabet()) if kind.space == "Ġ" else [*_BYTES, "▁", *_LETTERS]
    tokens = [*kind.specials, *letters, *(first + second for first, second in merges)]
    return {token: number for number, token in enumerate(dict.fromkeys(tokens))}, merges


def split_bytes(digits: str) -> pre_tokenizers.PreTokenizer:
    """Cut a text as GPT-4, Llama 3 and Qwen do, and turn it into bytes."""
    pattern = (
        rf"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{{L}}\p{{N}}]?\p{{L}}+|{digits}"
        r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
    )
    split = pre_tokenizers.Split(Regex(pattern), "isolated")
    return pre_tokenizers.Sequence([split, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
