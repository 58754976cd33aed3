from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pellucid.errors import InvalidModelError, TextError, TextTypeError, UnsupportedModelError
from pellucid.model.load import load_spec
from pellucid.sources import local
from pellucid.text.tokenizer import Tokenizer
from tests import tiny

texts_of_utf8 = st.text(st.characters(codec="utf-8"), max_size=60)


def tokenizer_of(folder) -> Tokenizer:
    files = local.find(str(folder))
    spec = load_spec(files)
    return Tokenizer(files, spec.tokenizer, spec.encoder)


@pytest.fixture(scope="module")
def tokenizer(tiny_bert) -> Tokenizer:
    return tokenizer_of(tiny_bert)


def ids_of(tokenizer, text, prompt=""):
    return tokenizer.tokenize([text], prompt)[0].ids.tolist()


CLS, SEP = 2, 3


@given(texts_of_utf8)
def test_the_template_puts_special_tokens_at_both_ends(tokenizer, text):
    ids = ids_of(tokenizer, text)
    assert (ids[0], ids[-1]) == (CLS, SEP)


@given(st.lists(texts_of_utf8, max_size=5))
def test_a_text_has_the_same_tokens_alone_and_among_others(tokenizer, texts):
    batch, counts = tokenizer.tokenize(texts)
    assert [ids.tolist() for ids in batch] == [ids_of(tokenizer, text) for text in texts]
    assert counts.dtype == np.int32
    assert len(counts) == len(texts)


def test_an_exception_from_the_check_between_parts_stops_the_work(tokenizer):
    calls = []

    def check():
        calls.append(None)
        if len(calls) == 3:
            raise TimeoutError

    with pytest.raises(TimeoutError):
        tokenizer.tokenize(["dog " * 20_000] * 50, check=check)
    assert len(calls) == 3


@given(st.integers(0, 80))
def test_a_long_text_loses_its_end_but_never_its_special_tokens(tokenizer, words):
    batch, counts = tokenizer.tokenize(["cat " * words])
    assert counts.tolist() == [words + 2]
    cat = tokenizer.tokenize(["cat"])[0].ids[1]
    assert batch.ids.tolist() == [CLS, *[cat] * min(words, tiny.MAX_TOKENS - 2), SEP]


@given(texts_of_utf8, texts_of_utf8)
def test_a_prompt_goes_before_the_text(tokenizer, prompt, text):
    assert ids_of(tokenizer, text, prompt) == ids_of(tokenizer, prompt + text)


def test_truncation_and_padding_in_tokenizer_json_are_ignored(tokenizer):
    assert tokenizer.tokenize(["cat", "cat " * 12])[0].lengths.tolist() == [3, 14]


def test_dropout_in_tokenizer_json_is_ignored(tmp_path):
    folder = tiny.write_model(tmp_path / "m", "roberta")
    ids = ids_of(tokenizer_of(folder), "the cat sat on the mat " * 3)
    stored = json.loads((folder / "tokenizer.json").read_text())
    assert stored["model"]["type"] == "BPE"
    stored["model"]["dropout"] = 0.9
    tiny.write_json(folder / "tokenizer.json", stored)
    assert ids_of(tokenizer_of(folder), "the cat sat on the mat " * 3) == ids


def test_the_left_end_is_cut_if_the_model_says_so(broken):
    tiny.edit_json(broken / "tokenizer_config.json", truncation_side="left")
    ids = ids_of(tokenizer_of(broken), "dog " + "cat " * 30 + "mat")
    whole = tokenizer_of(broken)._library._backend.encode("cat mat").ids
    assert ids[-3:] == whole[-3:]
    assert (len(ids), ids[0]) == (tiny.MAX_TOKENS, CLS)


def test_do_lower_case_counts_even_if_the_tokenizer_keeps_case(broken):
    tiny.edit_json(broken / "tokenizer_config.json", do_lower_case=False)
    assert ids_of(tokenizer_of(broken), "CAT") != ids_of(tokenizer_of(broken), "cat")
    tiny.edit_json(broken / "sentence_bert_config.json", do_lower_case=True)
    assert ids_of(tokenizer_of(broken), "CAT") == ids_of(tokenizer_of(broken), "cat")


@pytest.mark.parametrize(("prompt", "tokens"), [("", 0), ("query: ", 3), ("the cat ", 3)])
def test_a_prompt_counts_with_the_special_token_before_it(tokenizer, prompt, tokens):
    assert tokenizer.prompt_tokens(prompt) == tokens


@pytest.mark.parametrize("value", [None, 3, 1.5, b"bytes", ["list"], float("nan")])
def test_what_is_not_a_text_is_named_by_position_and_type(tokenizer, value):
    with pytest.raises(TextTypeError, match=rf"text 1 is of type {type(value).__name__}"):
        tokenizer.tokenize(["cat", value])


def test_a_lone_surrogate_is_named_by_position(tokenizer):
    with pytest.raises(TextError, match=r"text 12 has a lone surrogate .*U\+D800\) at character 3"):
        tokenizer.tokenize(["cat", "abc\ud800"], first=11)


def test_a_lone_surrogate_in_the_prompt_is_an_error_too(tokenizer):
    with pytest.raises(TextError, match=r"the prompt has a lone surrogate .*U\+DFFF\) at character 1"):
        tokenizer.tokenize(["cat"], "a\udfff")


def test_an_error_never_quotes_the_text(tokenizer):
    with pytest.raises(TextError) as raised:
        tokenizer.tokenize(["my secret \udfff"])
    assert "secret" not in str(raised.value)


@pytest.mark.parametrize("token", [["[SEP]", 99999], ["[SEP]", 71]])
def test_special_tokens_beyond_the_vocabulary_are_refused(broken, token):
    """The template has its own list of ids, which may differ from the vocabulary's."""
    stored = json.loads((broken / "tokenizer.json").read_text())
    assert len(stored["model"]["vocab"]) == 71
    stored["post_processor"]["sep"] = token
    tiny.write_json(broken / "tokenizer.json", stored)
    with pytest.raises(InvalidModelError, match=f"has the id {token[1]}, but the encoder has vectors only for the ids"):
        tokenizer_of(broken)


def test_a_template_with_more_ids_than_tokens_is_refused(tmp_path):
    folder = tiny.write_model(tmp_path / "m", "xlm-roberta")
    stored = json.loads((folder / "tokenizer.json").read_text())
    stored["post_processor"]["special_tokens"]["<s>"]["ids"] = [1, 2, 3]
    tiny.write_json(folder / "tokenizer.json", stored)
    with pytest.raises(InvalidModelError, match="post_processor gives 4 ids to 2 tokens"):
        tokenizer_of(folder)


@pytest.mark.parametrize("use", ["tokenize", "inspect", "characters", "prompt_tokens"])
def test_an_unknown_word_without_an_unknown_token_is_our_error(broken, use):
    stored = json.loads((broken / "tokenizer.json").read_text())
    stored["model"]["unk_token"] = "[NOPE]"
    tiny.write_json(broken / "tokenizer.json", stored)
    tokenizer = tokenizer_of(broken)
    assert ids_of(tokenizer, "the cat")
    with pytest.raises(InvalidModelError, match="the tokenizer's files are broken: .*UNK"):
        getattr(tokenizer, use)(["\u4e2d", "the cat"] if use == "tokenize" else "\u4e2d")


def test_tokens_beyond_the_vocabulary_are_refused(broken):
    vocabulary = json.loads((broken / "config.json").read_text())["vocab_size"]
    stored = json.loads((broken / "tokenizer.json").read_text())
    stored["model"]["vocab"]["zebra"] = vocabulary
    tiny.write_json(broken / "tokenizer.json", stored)
    with pytest.raises(
        InvalidModelError, match=f"has the id {vocabulary}, but the encoder has vectors only for the ids"
    ):
        tokenizer_of(broken)


@pytest.mark.parametrize("content", ["", "{", "[]", '{"version": "1.0"}', "\x00\xff", "null"])
def test_a_broken_tokenizer_file_is_refused(broken, content):
    (broken / "tokenizer.json").write_text(content)
    with pytest.raises(InvalidModelError, match="the tokenizer.s files are broken"):
        tokenizer_of(broken)


class TestTokenizerConfig:
    """transformers' own classes follow tokenizer_config.json. tests/reference compares ours with them."""

    @pytest.mark.parametrize(
        ("changes", "text", "same_as"),
        [
            ({}, "CAT", "cat"),
            ({"do_lower_case": False}, "CAT", "[UNK]"),
            ({"do_lower_case": False, "tokenizer_class": None}, "CAT", "[UNK]"),
            ({"do_lower_case": False, "tokenizer_class": "PreTrainedTokenizerFast"}, "CAT", "cat"),
            ({"strip_accents": False}, "cát", "[UNK]"),
        ],
    )
    def test_letters(self, broken, changes, text, same_as):
        tiny.edit_json(broken / "tokenizer_config.json", **changes)
        assert ids_of(tokenizer_of(broken), text) == ids_of(tokenizer_of(broken), same_as)

    def test_a_space_before_the_text(self, tmp_path):
        folder = tiny.write_model(tmp_path / "m", "roberta")
        plain = tokenizer_of(folder)
        tiny.edit_json(folder / "tokenizer_config.json", add_prefix_space=True)
        assert ids_of(tokenizer_of(folder), "cat") == ids_of(plain, " cat") != ids_of(plain, "cat")


class TestFilesFromBeforeTokenizerJson:
    """The ids are the same as with the model's tokenizer.json, which other code wrote."""

    def tokenizers(self, tmp_path, family, **files):
        folder = tiny.write_model(tmp_path / family, family)
        before = tokenizer_of(folder)
        for name, content in files.items():
            (folder / name.replace("_", ".")).write_text(content, encoding="utf-8")
        (folder / "tokenizer.json").unlink()
        return before, tokenizer_of(folder)

    @staticmethod
    def model_of(family):
        return json.loads(tiny.make_tokenizer(family).to_str())["model"]

    @pytest.mark.parametrize("family", ["bert", "mpnet", "distilbert"])
    def test_word_pieces(self, tmp_path, family):
        words = "".join(f"{token}\n" for token in self.model_of(family)["vocab"])
        before, after = self.tokenizers(tmp_path, family, vocab_txt=words)
        for first, second in zip(before.tokenize(tiny.TEXTS)[0], after.tokenize(tiny.TEXTS)[0], strict=True):
            assert first.tolist() == second.tolist()

    def test_byte_level(self, tmp_path):
        model = self.model_of("roberta")
        merges = "".join(" ".join(pair) + "\n" for pair in model["merges"])
        before, after = self.tokenizers(
            tmp_path, "roberta", vocab_json=json.dumps(model["vocab"]), merges_txt=f"#version: 0.2\n{merges}"
        )
        for first, second in zip(before.tokenize(tiny.TEXTS)[0], after.tokenize(tiny.TEXTS)[0], strict=True):
            assert first.tolist() == second.tolist()

    def test_the_tokenizer_config_counts(self, broken):
        (broken / "vocab.txt").write_text("".join(f"{token}\n" for token in self.model_of("bert")["vocab"]))
        (broken / "tokenizer.json").unlink()
        tiny.edit_json(broken / "tokenizer_config.json", do_lower_case=False, unk_token={"content": "[MASK]"})
        batch, _ = tokenizer_of(broken).tokenize(["CAT cat"])
        mask, cat = (self.model_of("bert")["vocab"][token] for token in ("[MASK]", "cat"))
        assert batch.ids[1:-1].tolist() == [mask, cat]

    def test_a_vocabulary_without_special_tokens_is_refused(self, broken):
        (broken / "vocab.txt").write_text("cat\ndog\n")
        (broken / "tokenizer.json").unlink()
        with pytest.raises(InvalidModelError, match="the vocabulary has no cls_token"):
            tokenizer_of(broken)

    @pytest.mark.parametrize("content", ["x", "\x00\xff", "a b c d"])
    def test_broken_merges_are_refused(self, broken, content):
        (broken / "vocab.json").write_text(json.dumps(self.model_of("roberta")["vocab"]))
        (broken / "merges.txt").write_text(content)
        (broken / "tokenizer.json").unlink()
        with pytest.raises(InvalidModelError, match="the tokenizer.s files are broken"):
            tokenizer_of(broken)


def test_without_a_readable_tokenizer_the_error_says_how_to_get_one(broken):
    (broken / "tokenizer.json").unlink()
    with pytest.raises(UnsupportedModelError, match=r"no tokenizer.json.*AutoTokenizer"):
        tokenizer_of(broken)


def test_a_max_seq_length_without_room_for_a_token_is_refused(broken):
    tiny.edit_json(broken / "sentence_bert_config.json", max_seq_length=2)
    with pytest.raises(InvalidModelError, match="leaves no room besides 2 special tokens"):
        tokenizer_of(broken)


@pytest.mark.parametrize("golden", ["golden_minilm", "golden_mpnet"])
def test_the_golden_texts_have_the_golden_ids(golden, request):
    embedder = request.getfixturevalue(golden.replace("golden_", ""))
    expected = request.getfixturevalue(golden)
    batch, _ = embedder.tokenizer.tokenize(expected.texts)
    for number, (ids, golden_ids) in enumerate(zip(batch, expected.ids, strict=True)):
        assert ids.tolist() == golden_ids.tolist(), f"text {number}"
