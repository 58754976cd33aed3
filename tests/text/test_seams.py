"""A long text that is read in pieces has exactly the tokens that the tokenizers library gives for the whole text."""

from __future__ import annotations

import dataclasses
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import AddedToken, Regex, normalizers, pre_tokenizers, processors

from pellucid.errors import TextError
from pellucid.model.load import load_spec
from pellucid.sources import local
from pellucid.text import checks, library, seams
from pellucid.text import tokenizer as tokenizer_module
from pellucid.text.tokenizer import Tokenizer
from tests import tiny, tiny_families
from tests.decoder_tokenizers import split_bytes

FRAGMENTS = [
    *("the", "cat", "zebra", "a", "7", "Él", "É", "ß", "İ", "слово", "中文", "中", "한국", "ᄀ", "ำ"),
    *(" ", "  ", "   ", "\n", "\t", "\r\n", "\u00a0", "\u3000", "\u200b", "\u00ad", "\0", "\u0301", "\u0327"),
    *(".", ",", "!", "?", "'", "'s", '"', "-", "_", "``", "。", "،", "…", "\ufdfa", "\u0600", "\u0d4e", "▁", "Ġ"),
    *("[MASK]", "[mask]", "<mask>", "<s>", "</s>", "[CLS]", "cat sat", "+", "#", "\U0001f468\u200d\U0001f469"),
    *("<l>", "<r>", "<w>", "<n>", "nl", "nr"),
]
TEXT = st.lists(st.sampled_from(FRAGMENTS), max_size=60).map("".join)

SPACES = normalizers.Replace(Regex(" {2,}"), " ")
CHANGES = {
    "as it is": {},
    "normalizers of SentencePiece": {
        "normalizer": normalizers.Sequence([normalizers.Strip(left=False), normalizers.NFKC(), SPACES])
    },
    "Strip": {"normalizer": normalizers.Strip()},
    "Prepend": {"normalizer": normalizers.Prepend("▁")},
    "Replace": {"normalizer": normalizers.Sequence([normalizers.Replace("``", '"'), normalizers.Replace("a", "")])},
    "Replace by a space": {"normalizer": normalizers.Replace("a", " ")},
    "Nmt and accents": {
        "normalizer": normalizers.Sequence([normalizers.Nmt(), normalizers.NFKD(), normalizers.StripAccents()])
    },
    "BertNormalizer without Chinese": {"normalizer": normalizers.BertNormalizer(handle_chinese_chars=False)},
    "Metaspace": {"pre_tokenizer": pre_tokenizers.Metaspace()},
    "Metaspace, first": {"pre_tokenizer": pre_tokenizers.Metaspace(prepend_scheme="first")},
    "Metaspace, never": {"pre_tokenizer": pre_tokenizers.Metaspace(prepend_scheme="never")},
    "Metaspace, whole": {"pre_tokenizer": pre_tokenizers.Metaspace(split=False)},
    "ByteLevel with a space": {
        "pre_tokenizer": pre_tokenizers.ByteLevel(add_prefix_space=True),
        "post_processor": processors.ByteLevel(trim_offsets=True),
    },
    "Split": {"pre_tokenizer": pre_tokenizers.Split(" ", "merged_with_previous")},
    "as Qwen cuts": {"normalizer": normalizers.NFC(), "pre_tokenizer": split_bytes(r"\p{N}")},
    "as Llama 3 cuts": {"normalizer": None, "pre_tokenizer": split_bytes(r"\p{N}{1,3}")},
    "several": {
        "pre_tokenizer": pre_tokenizers.Sequence(
            [pre_tokenizers.Punctuation("merged_with_next"), pre_tokenizers.Digits(), pre_tokenizers.Metaspace()]
        )
    },
    "Whitespace": {"pre_tokenizer": pre_tokenizers.Whitespace()},
    "none": {"pre_tokenizer": None},
}
ADDED = {
    "none": [],
    "found in the text as it is": [
        AddedToken("<l>", lstrip=True, normalized=False),
        AddedToken("<r>", rstrip=True, normalized=False),
        AddedToken("<w>", single_word=True, normalized=False),
        AddedToken("cat sat", normalized=False),
    ],
    "found after it was normalized": [
        AddedToken("<n>", normalized=True),
        AddedToken("nl", lstrip=True, single_word=True, normalized=True),
    ],
    "taking spaces after": [AddedToken("nr", rstrip=True, normalized=True)],
    "Chinese": [AddedToken("中文", normalized=True)],
}


@pytest.fixture(autouse=True, scope="module")
def _small():
    """Make the limits so small that short texts count as long."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(seams, "PIECE_CHARACTERS", 6)
        for module in (library, seams, tokenizer_module):
            patch.setattr(module, "LONG_TEXT_CHARACTERS", 12)
        patch.setattr(checks, "_MIN_COUNTING_LIMIT", 4)
        yield


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("models")


def tokenizer_of(folder, family, changes, added, **spec):
    backend = tiny_families.make_tokenizer(family)
    for part, value in changes.items():
        setattr(backend, part, value)
    path = folder / f"{family}-{abs(hash((str(changes), str(added))))}"
    if not path.exists():
        tiny.write_model(path, family)
        backend.add_tokens(added)
        (path / "tokenizer.json").write_text(backend.to_str())
        size = json.loads((path / "config.json").read_text())["vocab_size"]
        assert backend.get_vocab_size() <= size + len(added)
        tiny.edit_json(path / "tokenizer_config.json", tokenizer_class="PreTrainedTokenizerFast")
    files = local.find(str(path))
    loaded = load_spec(files)
    embedding = dataclasses.replace(loaded.encoder.embedding, vocab_size=loaded.encoder.vocab_size + len(added))
    encoder = dataclasses.replace(loaded.encoder, embedding=embedding)
    return Tokenizer(files, dataclasses.replace(loaded.tokenizer, **spec), encoder)


def check_against_library(tokenizer, text):
    """Compare everything that a tokenizer says about a text with the library's encoding of the whole text."""
    whole = tokenizer._library._backend.encode(text, add_special_tokens=False)
    room = tokenizer.spec.max_tokens - tokenizer._template.specials
    left = tokenizer.spec.truncation_side == "left"
    batch, counts = tokenizer.tokenize([text])
    kept = whole.ids[-room:] if left else whole.ids[:room]
    assert batch.ids.tolist() == [*tokenizer._template.before, *kept, *tokenizer._template.after]
    total = len(whole.ids) + tokenizer._template.specials
    assert counts.tolist() == [min(total, checks.counting_limit(tokenizer.spec.max_tokens))]
    assert tokenizer.count([text]).tolist() == [total]
    starts, ends = tokenizer.characters(text)
    assert list(zip(starts.tolist(), ends.tolist(), strict=True)) == whole.offsets
    shown = tokenizer.inspect(text)
    assert [token.id for token in shown.tokens] == batch.ids.tolist()
    if shown.finished:
        plain = [token for token in shown.tokens if token.kind != "special"]
        tokens = [*shown.cut, *plain] if left else [*plain, *shown.cut]
        assert [(token.start, token.end) for token in tokens] == whole.offsets
        assert [token.piece for token in tokens] == whole.tokens


@pytest.mark.parametrize("added", ADDED)
@pytest.mark.parametrize("changes", CHANGES)
@pytest.mark.parametrize("family", ["bert", "roberta", "xlm-roberta"])
def test_the_pieces_have_the_tokens_of_the_whole(folder, family, changes, added):
    tokenizer = tokenizer_of(folder, family, CHANGES[changes], ADDED[added])
    left = tokenizer_of(folder, family, CHANGES[changes], ADDED[added], truncation_side="left")

    @settings(max_examples=10)
    @given(TEXT)
    def compare(text):
        check_against_library(tokenizer, text)
        check_against_library(left, text)

    compare()


@pytest.mark.parametrize(
    ("family", "changes", "added", "pieces"),
    [
        ("bert", "as it is", "none", 4),
        ("mpnet", "as it is", "found in the text as it is", 3),
        ("roberta", "as it is", "none", 4),
        ("xlm-roberta", "normalizers of SentencePiece", "none", 4),
        ("xlm-roberta", "Metaspace", "found after it was normalized", 4),
        ("xlm-roberta", "Metaspace, whole", "none", 1),
        ("roberta", "Split", "none", 1),
        ("bert", "as it is", "taking spaces after", 1),
        ("roberta", "Strip", "none", 1),
        ("roberta", "Prepend", "none", 1),
        ("roberta", "none", "none", 1),
    ],
)
def test_known_tokenizers_have_seams_and_others_have_none(folder, family, changes, added, pieces):
    tokenizer = tokenizer_of(folder, family, CHANGES[changes], ADDED[added])
    assert len(list(tokenizer._seams.pieces("the cat sat on the mat"))) == pieces


@pytest.mark.parametrize("text", ["'" * 40, "中" * 40, " " * 40, "a.b" * 20])
def test_bert_has_seams_between_marks_and_between_chinese_characters(folder, text):
    tokenizer = tokenizer_of(folder, "bert", {}, [])
    assert len(list(tokenizer._seams.pieces(text))) > 4
    check_against_library(tokenizer, text)


@given(TEXT)
def test_the_pieces_are_the_same_when_read_from_the_end(folder, text):
    tokenizer = tokenizer_of(folder, "bert", {}, [])
    forwards = list(tokenizer._seams.pieces(text))
    assert forwards == [*tokenizer._seams.pieces(text, backwards=True)][::-1]
    assert "".join(text[start:end] for start, end in forwards) == text


@pytest.mark.parametrize("near", ["[MASK]", "x[MASK", "[CLS][SEP]"])
def test_a_place_near_an_added_token_is_not_a_seam(folder, near):
    tokenizer = tokenizer_of(folder, "bert", {}, [])
    check_against_library(tokenizer, f"{near} " * 20)
    check_against_library(tokenizer, near * 20)


def test_a_long_text_is_read_only_as_far_as_its_tokens_need(folder, monkeypatch):
    tokenizer = tokenizer_of(folder, "bert", {}, [])
    read, ids_of = [], tokenizer._ids

    def record(part):
        read.extend(part)
        return ids_of(part)

    monkeypatch.setattr(tokenizer, "_ids", record)
    text = "cat " * 1000
    batch, counts = tokenizer.tokenize([text])
    assert counts.tolist() == [2 * tiny.MAX_TOKENS]
    assert len(batch.ids) == tiny.MAX_TOKENS
    assert len("".join(read)) < 20 + 4 * 2 * tiny.MAX_TOKENS
    assert text.startswith("".join(read))


def test_the_count_of_a_text_does_not_depend_on_other_texts(folder):
    tokenizer = tokenizer_of(folder, "bert", {}, [])
    many = ["cat " * words for words in (1000, 3, 500, 40)]
    together = tokenizer.tokenize(many)[1].tolist()
    assert together == [int(tokenizer.tokenize([text])[1][0]) for text in many]


def test_a_text_without_seams_is_refused_if_it_is_too_long(folder, monkeypatch):
    monkeypatch.setattr(seams, "MAX_PIECE_CHARACTERS", 100)
    tokenizer = tokenizer_of(folder, "roberta", {}, [])
    assert len(tokenizer.tokenize(["'" * 100])[0].ids) == tiny.MAX_TOKENS
    for use in (tokenizer.tokenize, tokenizer.count):
        with pytest.raises(TextError, match=r"text 8 has more than 100 characters in a row .* characters 0 and 101\."):
            use(["the", "'" * 101], first=7)
    for use in (tokenizer.characters, tokenizer.inspect):
        with pytest.raises(TextError, match=r"text 0 has more than 100 characters"):
            use("'" * 101)
    words = "cat " * 100
    with pytest.raises(TextError, match=r"are between the characters 39\d and 1,400"):
        tokenizer.count([words + "'" * 1000])
    assert tokenizer.tokenize([words + "'" * 1000])[1] == [2 * tiny.MAX_TOKENS]  # It does not read that far.
    with pytest.raises(TextError, match=r"Split the text"):
        tokenizer.tokenize(["'" * 1000 + words])


def test_the_check_is_called_between_the_pieces_of_a_text(folder):
    tokenizer = tokenizer_of(folder, "bert", {}, [])
    calls = []
    tokenizer.count(["cat " * 100], check=lambda: calls.append(None))
    assert len(calls) > 30


@pytest.mark.parametrize("side", ["right", "left"])
def test_the_real_model_has_the_tokens_of_the_whole_too(minilm, side):
    tokenizer = Tokenizer(
        minilm.files,
        dataclasses.replace(minilm.spec.tokenizer, max_tokens=9, truncation_side=side),
        minilm.spec.encoder,
    )
    assert len(list(tokenizer._seams.pieces("the cat sat on the mat"))) > 1

    @settings(max_examples=60)
    @given(TEXT)
    def compare(text):
        check_against_library(tokenizer, text)

    compare()
