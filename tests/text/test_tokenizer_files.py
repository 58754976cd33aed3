"""Any tokenizer.json gives a tokenizer or one of our errors."""

from __future__ import annotations

import base64
import json

import pytest

from pellucid.errors import InvalidModelError, ModelError, UnsupportedModelError
from pellucid.text.tokenizer_files import translate_errors
from tests import tiny
from tests.text.test_tokenizer import ids_of, tokenizer_of

TEXT = {"Sequence": {"id": "A", "type_id": 0}}
SECOND = {"Sequence": {"id": "B", "type_id": 0}}


def change(folder, **parts):
    stored = json.loads((folder / "tokenizer.json").read_text())
    stored.update(parts)
    tiny.write_json(folder / "tokenizer.json", stored)
    return folder


def template(*single):
    return {"type": "TemplateProcessing", "single": list(single), "pair": [TEXT, SECOND], "special_tokens": {}}


def split(regex):
    return {"type": "Split", "pattern": {"Regex": regex}, "behavior": "Isolated", "invert": False}


def replace(pattern, content):
    return {"type": "Replace", "pattern": pattern, "content": content}


def charsmap(size, *, trie=b"\0" * 8, strings=b"a\0b\0"):
    claimed = (len(trie) if size is None else size).to_bytes(4, "little")
    return {"type": "Precompiled", "precompiled_charsmap": base64.b64encode(claimed + trie + strings).decode()}


class TestPanics:
    """Where Rust code panics, Python gets something that is not an ``Exception``."""

    @pytest.mark.parametrize("use", ["tokenize", "count", "inspect", "characters", "prompt_tokens"])
    def test_a_regular_expression_that_backtracks(self, broken, use):
        tokenizer = tokenizer_of(change(broken, pre_tokenizer=split("(a+)+$")))
        text = "my secret " + "a" * 60 + "!"
        for given in ([text], [text, "cat"]) if use in ("tokenize", "count") else (text,):
            with pytest.raises(InvalidModelError, match="a regular expression takes too long") as raised:
                getattr(tokenizer, use)(given)
            assert "secret" not in str(raised.value)
            assert raised.value.__suppress_context__
        assert ids_of(tokenizer, "cat")

    def test_a_bad_charsmap(self, broken):
        with pytest.raises(InvalidModelError, match="the tokenizers library gave up on them"):
            ids_of(tokenizer_of(change(broken, normalizer=charsmap(None, trie=b"\xff" * 8))), "cat")

    def test_decoding(self, broken, monkeypatch):
        tokenizer = tokenizer_of(broken)
        monkeypatch.setattr(tokenizer._library, "_backend", None)
        with pytest.raises(InvalidModelError):
            tokenizer.decode([1])

    @pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, GeneratorExit])
    def test_exceptions_that_end_a_program_pass_through(self, error):
        with pytest.raises(error), translate_errors("m"):
            raise error


@pytest.mark.parametrize("size", [1 << 31, 0xFFFFFFFF, 13])
@pytest.mark.parametrize("spelled", ["plain", "escaped slash", "escaped key"])
def test_a_charsmap_that_claims_to_be_longer_than_it_is(broken, size, spelled):
    """The library would allocate that much memory, and end the process if there is not enough."""
    path = change(broken, normalizer=charsmap(size, trie=b"\xff" * 8)) / "tokenizer.json"
    text = path.read_text()
    if spelled == "escaped slash":
        text = text.replace("/", "\\/")
    if spelled == "escaped key":
        text = text.replace("precompiled", "\\u0070recompiled")
    path.write_text(text)
    with pytest.raises(InvalidModelError, match=r"precompiled_charsmap has 16 bytes, but claims that [\d,]+ follow"):
        tokenizer_of(broken)


@pytest.mark.parametrize("single", [(TEXT, TEXT, TEXT), (), (TEXT, TEXT), (SECOND,), (TEXT, SECOND)])
def test_a_template_that_does_not_give_a_text_once(broken, single):
    with pytest.raises(UnsupportedModelError, match="the template must contain the text exactly once"):
        tokenizer_of(change(broken, post_processor=template(*single)))


@pytest.mark.parametrize(
    "normalizer",
    [
        replace({"String": "a"}, "x" * 65),
        replace({"String": "ab"}, "x" * 129),
        replace({"Regex": "x*"}, "x" * 64),
        replace({"String": ""}, "x" * 64),
        {"type": "Prepend", "prepend": "x" * 64},
        charsmap(None, strings=b"a\0" + b"b" * 65 + b"\0"),
        {"type": "Sequence", "normalizers": [replace({"String": "a"}, "a" * 9)] * 3},
    ],
    ids=lambda step: step["type"],
)
def test_a_normalizer_that_multiplies_characters(broken, normalizer):
    with pytest.raises(UnsupportedModelError, match=r"can make [\d,]+ characters of one"):
        tokenizer_of(change(broken, normalizer=normalizer))


def test_a_normalizer_that_multiplies_characters_a_little(broken):
    assert ids_of(tokenizer_of(change(broken, normalizer=replace({"String": "a"}, "x" * 64))), "a")


@pytest.mark.parametrize("value", [None, [], 1, "x", {}, {"type": "Nope"}, {"type": "Sequence"}])
@pytest.mark.parametrize("part", ["normalizer", "pre_tokenizer", "post_processor", "model", "decoder", "added_tokens"])
def test_parts_with_any_value(broken, part, value):
    try:
        tokenizer = tokenizer_of(change(broken, **{part: value}))
    except ModelError:
        return
    tokenizer.tokenize(["the cat"])
