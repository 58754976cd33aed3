"""The tokenizers of decoders: what their classes in transformers make of tokenizer.json.

The expected ids are those of the tokenizers library, for a file that has the parts which the class builds.
``tests/reference/test_decoder_tokenizers.py`` compares all this with transformers itself.
"""

from __future__ import annotations

import pytest
from tokenizers import normalizers, pre_tokenizers

from pellucid.errors import TextError
from pellucid.model.load import load_spec
from pellucid.sources import local
from pellucid.text.tokenizer import Tokenizer
from tests import tiny
from tests.decoder_tokenizers import KINDS, make_tokenizer
from tests.tiny_decoders import write_decoder

TEXTS = ["the cat sat", " The\ncat  sat!", "e\u0301 日本 👍", "12345", "cat's THE", "", " "]
FAMILIES = {"qwen": "qwen3", "llama3": "llama", "llama": "mistral", "gemma": "gemma3_text"}


def load(folder, family, tokenizer, **config) -> Tokenizer:
    write_decoder(folder, family, vocab_size=tokenizer.get_vocab_size())
    tokenizer.save(str(folder / "tokenizer.json"))
    tiny.write_json(folder / "tokenizer_config.json", config)
    files = local.find(str(folder))
    spec = load_spec(files)
    return Tokenizer(files, spec.tokenizer, spec.encoder)


def ids_of(tokenizer: Tokenizer) -> list[list[int]]:
    return [ids.tolist() for ids in tokenizer.tokenize(TEXTS)[0]]


def changed(name, **parts):
    tokenizer = make_tokenizer(name)
    for part, value in parts.items():
        setattr(tokenizer, part, value)
    return tokenizer


@pytest.mark.parametrize("name", KINDS)
def test_a_file_as_people_publish_it_is_read_as_it_is(tmp_path, name):
    tokenizer = make_tokenizer(name)
    ours = load(tmp_path / "m", FAMILIES[name], tokenizer, **KINDS[name].config)
    assert ids_of(ours) == [tokenizer.encode(text).ids for text in TEXTS]
    special = KINDS[name].template.split()
    before, after = special[: special.index("$A")], special[special.index("$A") + 1 :]
    assert [ours.piece(number) for number in ours._template.before] == before
    assert [ours.piece(number) for number in ours._template.after] == after


OTHER = {"normalizer": normalizers.Lowercase(), "pre_tokenizer": pre_tokenizers.Whitespace()}


@pytest.mark.parametrize(
    ("family", "config"),
    [
        ("qwen3", {"tokenizer_class": "Qwen2Tokenizer"}),
        ("qwen3", {"tokenizer_class": "Qwen2TokenizerFast"}),
        ("qwen3", {}),
        ("qwen2", {"tokenizer_class": "PreTrainedTokenizerFast"}),
    ],
)
def test_the_class_of_qwen_keeps_only_the_vocabulary_of_the_file(tmp_path, family, config):
    expected = [make_tokenizer("qwen").encode(text).ids for text in TEXTS]
    assert ids_of(load(tmp_path / "m", family, changed("qwen", **OTHER), **config)) == expected


@pytest.mark.parametrize("config", [{"tokenizer_class": "GemmaTokenizer"}, {}])
def test_so_does_the_class_of_gemma(tmp_path, config):
    expected = [make_tokenizer("gemma").encode(text).ids for text in TEXTS]
    assert ids_of(load(tmp_path / "m", "gemma3_text", changed("gemma", **OTHER), **config)) == expected


@pytest.mark.parametrize(
    ("config", "scheme"),
    [
        ({}, "first"),
        ({"legacy": False}, "first"),
        ({"legacy": None}, "first"),
        ({"legacy": True}, "always"),
        ({"legacy": True, "add_prefix_space": False}, "never"),
    ],
)
def test_so_does_the_class_of_llama(tmp_path, config, scheme):
    cutter = pre_tokenizers.Metaspace("▁", scheme, split=False)
    expected = changed("llama", normalizer=None, pre_tokenizer=cutter)
    ours = load(tmp_path / "m", "llama", make_tokenizer("llama"), tokenizer_class="LlamaTokenizer", **config)
    assert ids_of(ours) == [expected.encode(text).ids for text in TEXTS]


@pytest.mark.parametrize(
    ("family", "name", "tokenizer_class"),
    [
        ("mistral", "llama", "LlamaTokenizer"),
        ("llama", "llama", "PreTrainedTokenizerFast"),
        ("llama", "llama3", "LlamaTokenizerFast"),  # It works on bytes, so it cannot be Llama 2's.
        ("qwen3", "qwen", "PreTrainedTokenizerFast"),
    ],
)
def test_other_classes_read_the_whole_file(tmp_path, family, name, tokenizer_class):
    tokenizer = changed(name, normalizer=normalizers.Sequence([normalizers.Lowercase(), normalizers.Replace(" ", "▁")]))
    ours = load(tmp_path / "m", family, tokenizer, tokenizer_class=tokenizer_class)
    assert ids_of(ours) == [tokenizer.encode(text).ids for text in TEXTS]


def test_flags_for_first_and_last_tokens_do_not_count(tmp_path):
    flags = {"add_bos_token": False, "add_eos_token": False}
    ours = load(tmp_path / "m", "gemma3_text", make_tokenizer("gemma"), **KINDS["gemma"].config | flags)
    assert (len(ours._template.before), len(ours._template.after)) == (1, 1)


def test_a_token_for_pictures_needs_no_vector_until_a_text_has_it(tmp_path):
    tokenizer = make_tokenizer("gemma")
    size = tokenizer.get_vocab_size()
    tokenizer.add_special_tokens(["<image_soft_token>"])
    folder = write_decoder(tmp_path / "m", "gemma3_text")
    tokenizer.save(str(folder / "tokenizer.json"))
    files = local.find(str(folder))
    spec = load_spec(files)
    ours = Tokenizer(files, spec.tokenizer, spec.encoder)
    assert (spec.encoder.vocab_size, tokenizer.token_to_id("<image_soft_token>")) == (size, size)
    assert ids_of(ours) == [tokenizer.encode(text).ids for text in TEXTS]
    message = r"text 8 has the token '<image_soft_token>', for which the model has no vector. Leave it out of the text"
    for read in (ours.tokenize, ours.tokenize_plain):
        with pytest.raises(TextError, match=message):
            read(["the cat", "the <image_soft_token>", "the"], first=7)
        with pytest.raises(TextError, match=message):
            read(["the <image_soft_token>"], first=8)
    assert len(ours.tokenize(["cat " * 90 + "<image_soft_token>"])[0].ids) == spec.tokenizer.max_tokens  # It is cut.
