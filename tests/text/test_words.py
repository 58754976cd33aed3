"""With the table of words, each text has the ids that the tokenizers library gives for the whole text.

``make attack ARGS="words"`` compares a million texts for each tokenizer.
"""

from __future__ import annotations

import concurrent.futures
import itertools
import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import AddedToken, Regex, Tokenizer, models, normalizers, pre_tokenizers

from pellucid import _native
from pellucid.errors import InvalidModelError, TextError
from pellucid.text import words as words_module
from pellucid.text.words import find_rules
from tests import words

TEXT = st.lists(st.sampled_from(words.FRAGMENTS), max_size=12).map("".join)


@pytest.fixture(scope="module")
def tokenizers(tmp_path_factory):
    """One tokenizer of each kind, made when it is asked for. Tests that need an empty table load it again."""
    made = {}

    def tokenizer_of(kind):
        if kind not in made:
            made[kind] = words.write_tokenizer(tmp_path_factory.mktemp("tokenizer") / "m", words.KINDS[kind]())
        return made[kind]

    return tokenizer_of


@pytest.fixture
def make(tmp_path):
    """Write a tokenizer of a kind, with changes to its parts."""

    def write(kind="BERT", added=words.ADDED, **parts):
        backend = words.KINDS[kind]()
        for name, part in parts.items():
            setattr(backend, name, part)
        return words.write_tokenizer(tmp_path / "m", backend, added)

    write.folder = tmp_path / "m"
    return write


@pytest.mark.parametrize("kind", words.KINDS)
def test_texts_that_come_one_by_one_have_the_ids_of_the_library(make, kind):
    tokenizer, rng = make(kind), random.Random(25)
    texts = [words.random_text(rng) for _ in range(300)]
    backend = tokenizer._library._backend
    before, after = tokenizer._template.before.tolist(), tokenizer._template.after.tolist()
    room = tokenizer.max_tokens - len(before) - len(after)
    for _ in range(3):
        for text in texts:
            plain = backend.encode(text, add_special_tokens=False).ids
            tokens, counts = tokenizer.tokenize([text])
            assert tokens.ids.tolist() == [*before, *plain[:room], *after], f"the ids of {text!a} are wrong"
            assert counts.tolist() == [len(before) + len(plain) + len(after)]
            assert (tokens.ids.dtype, tokens.offsets.dtype, counts.dtype) == (np.int32, np.int32, np.int32)
    assert len(tokenizer._words) > 100


@pytest.mark.parametrize("kind", ["BERT", "XLM-RoBERTa"])
@pytest.mark.parametrize("threads", [1, 5])
def test_threads_change_no_ids(make, kind, threads):
    """There are enough texts for five threads, and words of all kinds that the table does not know."""
    rng = random.Random(26)
    texts = [words.random_text(rng) for _ in range(4_000)]
    texts = [" ".join(rng.choices(texts, k=4)) for _ in range(4_000)]
    make(kind)
    words.compare(words.load(make.folder, threads=threads), texts)


@pytest.mark.parametrize("kind", words.KINDS)
def test_random_texts_have_the_ids_of_the_library(tokenizers, kind):
    rng = random.Random(24)
    for _ in range(3):
        words.compare(tokenizers(kind), [words.random_text(rng) for _ in range(300)])
    assert len(tokenizers(kind)._words) > 300


@pytest.mark.parametrize("kind", words.KINDS)
def test_any_fragments_have_the_ids_of_the_library(tokenizers, kind):
    @settings(max_examples=60)
    @given(st.lists(TEXT, max_size=4))
    def compare(texts):
        words.compare(tokenizers(kind), texts)

    compare()


@pytest.mark.parametrize("corpus", ["character_texts", "emoji_texts", "library_texts"])
@pytest.mark.parametrize("kind", ["BERT", "XLM-RoBERTa, one space", "ModernBERT"])
def test_characters_emoji_and_sources_have_the_ids_of_the_library(tokenizers, kind, corpus):
    """Some of them; all of them take minutes."""
    texts = words.character_texts(step=997) if corpus == "character_texts" else getattr(words, corpus)()
    step = {"character_texts": 1, "emoji_texts": 41, "library_texts": 2003}[corpus]
    words.compare(tokenizers(kind), list(itertools.islice(texts, 0, None, step)))


@pytest.mark.parametrize("model", ["minilm", "mpnet"])
def test_the_real_models_have_the_ids_of_the_library(model, request):
    tokenizer = request.getfixturevalue(model).tokenizer
    rng = random.Random(7)
    words.compare(tokenizer, [words.random_text(rng) for _ in range(500)])
    words.compare(tokenizer, list(itertools.islice(words.library_texts(), 0, None, 2003)))
    words.compare(tokenizer, list(words.character_texts(step=997)))


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("BERT", ("marks", " \t\n\r", "none")),
        ("BERT, nothing cleaned", ("marks", " \t\n\r", "none")),
        ("XLM-RoBERTa", ("spaces", " \t\n\r", "run")),
        ("XLM-RoBERTa, all spaces", ("spaces", " \t\n\r", "one")),
        ("T5", ("spaces", " \t\n\r", "run")),
        ("DeBERTa", ("spaces", " \t\n\r", "run")),
        ("no normalizer", ("spaces", " ", "none")),
        ("BPE", ("spaces", " ", "one")),
        ("RoBERTa", ("spaces", " \t\n\r", "none")),
        ("RoBERTa, first space", ("spaces", " ", "one")),
        ("Qwen", ("spaces", " \t\n\r", "none")),
        ("Llama 3", ("spaces", " \t\n\r", "none")),
    ],
)
def test_the_rules_of_known_tokenizers(make, monkeypatch, kind, expected):
    found = []
    monkeypatch.setattr("pellucid.text.tokenizer.find_rules", lambda *parts: found.append(find_rules(*parts)))
    make(kind)
    assert (found[0].kind, found[0].spaces, found[0].drop) == expected
    assert found[0].marks_take_line_ends == (kind in ("Qwen", "Llama 3"))
    assert bool(found[0].characters) == (kind != "BERT, nothing cleaned")


@pytest.mark.parametrize(
    ("kind", "parts"),
    [
        ("BERT", {"pre_tokenizer": None}),
        ("BERT", {"pre_tokenizer": pre_tokenizers.Whitespace()}),
        (
            "BERT",
            {"pre_tokenizer": pre_tokenizers.Sequence([pre_tokenizers.BertPreTokenizer(), pre_tokenizers.Digits()])},
        ),
        ("BERT", {"normalizer": normalizers.NFC()}),
        ("BERT", {"normalizer": normalizers.Sequence([normalizers.BertNormalizer(), normalizers.Replace("a", " ")])}),
        ("DeBERTa", {"normalizer": normalizers.Strip()}),
        ("DeBERTa", {"normalizer": normalizers.Prepend("▁")}),
        ("DeBERTa", {"normalizer": normalizers.Replace("a", "")}),
        ("DeBERTa", {"normalizer": normalizers.Replace("a", "b")}),
        ("DeBERTa", {"normalizer": normalizers.Replace(Regex("[0-9] "), "x")}),
        ("DeBERTa", {"pre_tokenizer": pre_tokenizers.Metaspace(split=False)}),
        ("DeBERTa", {"pre_tokenizer": pre_tokenizers.Metaspace("_")}),
        (
            "DeBERTa",
            {"pre_tokenizer": pre_tokenizers.Sequence([pre_tokenizers.Punctuation(), pre_tokenizers.Metaspace()])},
        ),
        ("RoBERTa", {"pre_tokenizer": pre_tokenizers.ByteLevel(use_regex=False)}),
        ("Qwen", {"pre_tokenizer": words.split_bytes(r"\p{N}{2}")}),
        ("Qwen", {"normalizer": normalizers.Replace("a", "!")}),
        ("Qwen", {"pre_tokenizer": words.split_bytes(r"\p{N}", behavior="contiguous")}),
        ("Qwen", {"pre_tokenizer": words.split_bytes(r"\p{N}", invert=True)}),
        ("Qwen", {"pre_tokenizer": words.split_bytes(r"\p{N}", use_regex=True)}),
        ("Qwen", {"pre_tokenizer": words.split_bytes(r"\p{N}", add_prefix_space=True)}),
        ("BERT", {"added": [AddedToken("中", normalized=True)]}),
        ("BERT", {"added": [AddedToken("a b", normalized=True)]}),
        ("BERT", {"added": [AddedToken(65 * "x", normalized=True)]}),
        ("ALBERT", {"added": [AddedToken('"x"', normalized=True)]}),
    ],
)
def test_other_tokenizers_have_no_table_and_work(make, kind, parts):
    tokenizer = make(kind, **parts)
    assert tokenizer._words is None
    expected = tokenizer._library._backend.encode("the cat [MASK] sat", add_special_tokens=False).ids
    assert tokenizer.tokenize_plain(["the cat [MASK] sat"]).ids.tolist() == expected
    assert tokenizer.count(["the cat [MASK] sat", ""]).tolist() == [len(expected) + 2, 2]


def test_a_word_of_a_unigram_model_may_not_be_cut_even_where_no_token_joins_its_characters():
    """This is why Chinese goes to the library: rounding decides between 国人 + 民 and 国 + 人民, both -12.9."""
    scores = {"<unk>": 0.0, "中": -41.5, "国": -3.4, "国人": -6.6, "民": -6.3, "人民": -9.5}
    library = Tokenizer(models.Unigram(list(scores.items()), unk_id=0))
    assert library.encode("国人民").tokens == ["国人", "民"]
    assert library.encode("中国人民").tokens == ["中", "国", "人民"]


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("kind", ["BERT", "T5"])
def test_texts_are_cut_and_counted_as_without_the_table(tokenizers, monkeypatch, kind, side):
    folder = tokenizers(kind)._name
    tokenizer = words.load(folder, max_tokens=9, truncation_side=side)
    plain = words.load(folder, max_tokens=9, truncation_side=side)
    plain._words = None
    rng = random.Random(3)
    texts = [words.random_text(rng) for _ in range(1300)] + ["cat " * 20_000, "", "dog " * 40_000, "the"]
    for prompt in ("", "query: "):
        (batch, counts), (expected, expected_counts) = (one.tokenize(texts, prompt) for one in (tokenizer, plain))
        assert batch.ids.tolist() == expected.ids.tolist()
        assert batch.offsets.tolist() == expected.offsets.tolist()
        assert counts.tolist() == expected_counts.tolist()
        assert {batch.ids.dtype.name, batch.offsets.dtype.name, counts.dtype.name} == {"int32"}
        assert tokenizer.count(texts, prompt).tolist() == plain.count(texts, prompt).tolist()


def test_a_word_is_kept_when_it_comes_again(make):
    tokenizer = make()
    tokenizer.tokenize(["zebra cat"])
    assert len(tokenizer._words) == 0  # A text of new words is asked as a whole.
    tokenizer.tokenize(["cat zebra"])
    assert len(tokenizer._words) == 2
    tokenizer.tokenize(["cat zebra " * 5 + "unicorn"])
    assert len(tokenizer._words) == 3


def test_known_words_are_not_asked_about(make, monkeypatch):
    tokenizer = make()
    texts = ["The zebra's cat, in a café!", "中文", "cat " * 100]
    for _ in range(2):
        expected = tokenizer.tokenize(texts)[0].ids.tolist()
    for name in ("encode", "ids_of_one"):
        monkeypatch.setattr(tokenizer._library, name, lambda *_args, **_options: pytest.fail("the library was asked"))
    assert tokenizer.tokenize(texts)[0].ids.tolist() == expected
    assert tokenizer.tokenize(["a café", "cat"])[1].tolist() == [len(tokenizer.tokenize_plain(["a café"]).ids) + 2, 3]


def test_a_long_word_is_not_kept(make):
    tokenizer = make()
    for _ in range(3):
        words.compare(tokenizer, ["x" * 96 + " cat", "x" * 97 + " cat", "é" * 49])
    assert len(tokenizer._words) == 2


def test_a_full_table_keeps_what_it_has(make, monkeypatch):
    monkeypatch.setattr(words_module, "MAX_BYTES", 1)  # The smallest table has half a megabyte.
    tokenizer = make()
    texts = [f"cat {number} w{number * 7919} x" for number in range(20_000)]
    for _ in range(3):
        words.compare(tokenizer, texts)
    full = len(tokenizer._words)
    assert 1_000 < full < 40_000
    words.compare(tokenizer, ["unicorn unicorn", "unicorn", "unicorn cat"])
    assert len(tokenizer._words) == full


def test_threads_share_a_table(make):
    tokenizer = make()
    rng = random.Random(5)
    texts = [words.random_text(rng) for _ in range(500)]
    expected = [encoding.ids for encoding in tokenizer._library._backend.encode_batch(texts, add_special_tokens=False)]

    def tokenize(start):
        return [ids.tolist() for _ in range(10) for ids in tokenizer.tokenize_plain(texts[start:])]

    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        for start, found in zip((0, 100, 200, 300), pool.map(tokenize, (0, 100, 200, 300)), strict=True):
            assert found == expected[start:] * 10


@pytest.mark.parametrize("normalized", [False, True])
def test_many_added_tokens_take_no_time(make, normalized):
    tokenizer = make(added=[AddedToken(f"t{number}", normalized=normalized) for number in range(20_000)])
    words.compare(tokenizer, ["t " * 20_000, "at the t1999 cat t", "T1999 t\u0301 t\x001", "attt t-1"])


@pytest.mark.parametrize("kind", ["BERT", "XLM-RoBERTa", "RoBERTa"])
@pytest.mark.parametrize(
    "text",
    [
        *("[MASK]", "cat[MASK]sat", "cat [MASK] sat", "[mask]", "[MASK", "a <l> b", "a<r>  b", "xcat satx", "cat sat"),
        *("<unk>", "<UNK>", "< unk>", "<\0unk>", "<unk\0>", "<un\u200dk>", "≮unk>", "<\u0338unk>", "<u\u0301nk>"),
        *(
            "＜unk＞",
            "＜unk>",
            "﹤unk﹥",
            "a<N>b",
            "a <n> b",
            "a \u200b<n>",
            "<ｎ>",
            "<n",
            "n>",
            "<n\u0338>",
            "<n>\u0301",
        ),
    ],
)
def test_what_may_be_an_added_token(tokenizers, kind, text):
    words.compare(tokenizers(kind), [text, f"the {text} cat", f"the{text}cat", text * 2])


def test_a_token_for_unknown_words_that_is_missing_is_our_error(make):
    backend = words.KINDS["BERT"]()
    backend.model.unk_token = "[NOPE]"
    tokenizer = make(model=backend.model)
    for _ in range(3):
        with pytest.raises(InvalidModelError, match="the tokenizer's files are broken: .*UNK"):
            tokenizer.tokenize(["the cat", "cat \U00012000"])
        assert tokenizer.tokenize(["the cat"])[0].ids.tolist()


def test_a_lone_surrogate_is_an_error_before_any_work(make):
    tokenizer = make()
    with pytest.raises(TextError, match=r"text 1 has a lone surrogate"):
        tokenizer.tokenize(["cat", "\ud83d", "\ude00"])
    assert len(tokenizer._words) == 0


def table(**changes):
    rules = {
        "kind": "marks",
        "spaces": " ",
        "drop": "none",
        "marks_take_line_ends": False,
        "characters": [],
        "added": [],
        "normalized": [],
    }
    return _native.WordTable(**(rules | {"max_bytes": 1} | changes))


@pytest.mark.parametrize("wrong", [{"kind": "words"}, {"spaces": "a"}, {"drop": "two"}])
def test_the_core_refuses_rules_that_it_does_not_know(wrong):
    with pytest.raises(ValueError, match="unknown|not a space"):
        table(**wrong)


def test_the_core_refuses_answers_that_do_not_fit():
    lookup = table().look_up("cat dog" + "\0" * 8, ["cat", " dog"])
    one, two = np.ones(1, np.int32), np.ones(2, np.int32)
    assert lookup.unknown_pieces == ["cat", " dog"]
    for counts, suspects, ids in ((one, [], one), (two, [], one), (-two, [], two), (two, [2], two)):
        with pytest.raises(ValueError, match="count|no such word"):
            lookup.learn(counts, suspects, ids)
    with pytest.raises(ValueError, match="words are unknown"):
        lookup.ids()
    lookup.learn(two, [], two)
    assert lookup.is_known
