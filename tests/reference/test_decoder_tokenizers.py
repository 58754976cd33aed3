"""Compares the token ids of decoders with those of transformers, which loads the same files.

The tokenizers are small, but real: their vocabularies are trained on docstrings.
"""

from __future__ import annotations

import dataclasses
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import normalizers, pre_tokenizers
from transformers import AutoTokenizer

from pellucid.errors import InvalidModelError
from pellucid.model.load import load_spec
from pellucid.sources import local
from pellucid.text.checks import counting_limit
from pellucid.text.tokenizer import Tokenizer
from tests import tiny
from tests.decoder_tokenizers import KINDS, make_tokenizer, train
from tests.reference.texts import FRAGMENTS, SCRIPTS, docstrings, odd_texts
from tests.tiny_decoders import write_decoder

FAMILIES = {"qwen": "qwen3", "llama3": "llama", "llama": "mistral", "gemma": "gemma3_text"}
"""A decoder for each kind of tokenizer."""
PIECES = [
    *FRAGMENTS,
    *(token for kind in KINDS.values() for token in kind.specials),
    *(
        "the cat",
        "cat",
        " ",
        "   ",
        "\r\n",
        "\n\n",
        "'s",
        "'LL",
        "1234567",
        "▁",
        "<0x41>",
        "Query:",
        "ᄀ각",
        "न्दी",
        "\u200d",
    ),
]
TEXT = st.lists(st.one_of(st.sampled_from(PIECES), st.text(max_size=3)), max_size=12).map("".join)


@pytest.fixture(scope="module", params=KINDS)
def trained(request):
    """The name of each kind, and a tokenizer of it."""
    return request.param, train(request.param, [*docstrings(), *SCRIPTS], 1500)


def write(folder, family, tokenizer, **changes):
    """A model with this tokenizer. Its weights are missing."""
    write_decoder(folder, family)
    tokenizer.save(str(folder / "tokenizer.json"))
    tiny.edit_json(folder / "config.json", vocab_size=tokenizer.get_vocab_size() + 100)
    tiny.edit_json(folder / "tokenizer_config.json", **changes)
    return folder


def load_both(folder, max_tokens=512):
    files = local.find(str(folder))
    spec = load_spec(files)
    ours = Tokenizer(files, dataclasses.replace(spec.tokenizer, max_tokens=max_tokens), spec.encoder)
    return ours, AutoTokenizer.from_pretrained(folder)


def compare(ours, theirs, texts) -> None:
    batch, counts = ours.tokenize(texts)
    expected = theirs(texts, truncation=True, max_length=ours.max_tokens)["input_ids"]
    for text, ids, expected_ids in zip(texts, batch, expected, strict=True):
        assert ids.tolist() == expected_ids, f"{text!a}"
    if ours.max_tokens == 512:
        whole = theirs(texts, truncation=False, verbose=False)["input_ids"]
        assert counts.tolist() == [min(len(ids), counting_limit(512)) for ids in whole]


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("max_tokens", [4, 512])
def test_ids_are_those_of_transformers(trained, tmp_path, side, max_tokens):
    kind, tokenizer = trained
    folder = write(tmp_path / "m", FAMILIES[kind], tokenizer, truncation_side=side)
    ours, theirs = load_both(folder, max_tokens)
    compare(ours, theirs, [*odd_texts(2000, seed=5), *docstrings()[:500], *SCRIPTS, "", " ", "\n", "a\n"])

    @settings(max_examples=200, deadline=None)
    @given(st.lists(TEXT, min_size=1, max_size=3))
    def compare_any(texts):
        compare(ours, theirs, texts)

    compare_any()


FILES = {
    "as it is": {},
    "another normalizer": {"normalizer": normalizers.Lowercase(), "post_processor": None},
    "another cutter": {"pre_tokenizer": pre_tokenizers.Metaspace(prepend_scheme="never")},
    "bytes with a space": {"pre_tokenizer": pre_tokenizers.ByteLevel(add_prefix_space=True)},
}
CLASSES = [
    {"tokenizer_class": "Qwen2Tokenizer"},
    {"tokenizer_class": "Qwen2TokenizerFast", "add_prefix_space": True},
    {"tokenizer_class": "LlamaTokenizer"},
    {"tokenizer_class": "LlamaTokenizerFast", "legacy": False},
    {"tokenizer_class": "LlamaTokenizer", "legacy": True},
    {"tokenizer_class": "LlamaTokenizer", "add_prefix_space": False},
    {"tokenizer_class": "GemmaTokenizer"},
    {"tokenizer_class": "GemmaTokenizerFast", "add_eos_token": True, "add_bos_token": False},
    {"tokenizer_class": "PreTrainedTokenizerFast"},
    {"tokenizer_class": "PreTrainedTokenizerFast", "add_eos_token": True},
    {"tokenizer_class": None},
]


@pytest.mark.parametrize("changes", CLASSES, ids=str)
@pytest.mark.parametrize("parts", FILES)
@pytest.mark.parametrize("family", ["llama", "qwen2", "qwen3", "mistral", "gemma3_text", "eurobert"])
def test_what_the_class_makes_of_the_file(tmp_path, family, parts, changes):
    """Some classes of transformers build their own normalizer and pre-tokenizer, whatever the file says."""
    kind = {"qwen2": "qwen", "qwen3": "qwen", "gemma3_text": "gemma", "mistral": "llama"}.get(family, "llama3")
    for name in {kind, "llama"}:
        tokenizer = make_tokenizer(name)
        for part, value in FILES[parts].items():
            setattr(tokenizer, part, value)
        folder = tmp_path / f"{name}"
        write(folder, family, tokenizer, **{**KINDS[name].config, **changes})
        texts = [
            "the cat sat",
            " The\ncat  sat!",
            "é日本 👍",
            "e\u0301",
            "a<s>the",
            "<bos> the<eos>the",
            "cat's 12345",
            "Ｔhe",
        ]
        ours, theirs = load_both(folder)
        is_gemma = "Gemma" in str(changes["tokenizer_class"]) and family not in {"qwen2", "mistral"}
        if is_gemma and tokenizer.token_to_id("<unk>") is None:  # The class needs this token. Both refuse all texts.
            with pytest.raises(Exception, match="`<unk>` not found"):
                theirs(texts)
            with pytest.raises(InvalidModelError, match="`<unk>` not found"):
                ours.tokenize(texts)
            continue
        compare(ours, theirs, texts)


def test_long_texts_are_read_in_pieces(trained, tmp_path):
    kind, tokenizer = trained
    ours, theirs = load_both(write(tmp_path / "m", FAMILIES[kind], tokenizer))
    text = " ".join(docstrings())[:400_000]
    assert ours.count([text]).tolist() == [len(theirs(text, verbose=False)["input_ids"])]
    compare(ours, theirs, [text])


def test_the_files_are_those_that_transformers_saves(trained, tmp_path):
    """Saved again by transformers 5, the files give the same ids."""
    kind, tokenizer = trained
    folder = write(tmp_path / "m", FAMILIES[kind], tokenizer)
    AutoTokenizer.from_pretrained(folder).save_pretrained(folder)
    assert json.loads((folder / "tokenizer_config.json").read_text())["tokenizer_class"]
    compare(*load_both(folder), [*odd_texts(200, seed=6), *docstrings()[:50], *SCRIPTS])
