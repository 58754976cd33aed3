from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pellucid import Embedder
from pellucid.search import passages
from pellucid.search.passages import best_sentences, matched_words, prose, sentences
from tests import tiny


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("A cat. A dog!  Is it? Yes", ["A cat.", "A dog!", "Is it?", "Yes"]),
        ("He said “no.” She left.", ["He said “no.”", "She left."]),
        ("猫。犬！鳥", ["猫。", "犬！", "鳥"]),
        ("one\n\ntwo\nthree\n- four\n- five", ["one", "two\nthree", "- four", "- five"]),
        ("pi is 3.14 or so", ["pi is 3.14 or so"]),
        ("| a | b |\n|---|---|\n| 1 | 2 |", ["| a | b |", "|---|---|", "| 1 | 2 |"]),
        ("Do this:\n1. one\n2. two\n\n10. ten", ["Do this:", "1. one", "2. two", "10. ten"]),
        ("", []),
        (" \n ", []),
    ],
)
def test_sentences_end_where_a_reader_would_say_so(text, expected):
    assert [text[start:end].strip() for start, end in sentences(text)] == expected


@given(st.text(alphabet="ab.!?\n -。“”'", max_size=60))
def test_nothing_but_spaces_is_between_sentences(text):
    end_before = 0
    for start, end in sentences(text):
        assert text[end_before:start].strip() == ""
        assert text[start:end].strip() == text[start:end] != ""
        end_before = end
    assert text[end_before:].strip() == ""


def test_the_best_sentence_is_the_nearest(tmp_path):
    embedder = Embedder(tiny.write_model(tmp_path / "m"))
    passages = ["The dog sat. A cat on the mat! Query.", " ", "# A cat on the mat!\n\nThe dog sat.", "# The dog"]

    def cosines(query):
        return lambda texts: embedder.embed_documents(texts, normalize=True) @ embedder.embed_query(query)

    best = best_sentences(cosines("a cat on the mat!"), "a cat on the mat!", passages, [""] * 4)
    assert [passage[start:end] for passage, (start, end) in zip(passages, best, strict=True)] == [
        "A cat on the mat!",
        "",
        "The dog sat.",
        "# The dog",
    ]
    assert best[1] == (0, 0)
    assert best_sentences(cosines("the dog"), "the dog", ["A cat on the mat. It sat on the dog."], [""]) == [(18, 36)]
    assert best_sentences(cosines("dogs"), "dogs", ["Dogs\n\nThe dog sat. A cat."], ["Dogs"]) == [(6, 18)]
    assert best_sentences(cosines("a cat"), "a cat", [], []) == []


@pytest.mark.parametrize(
    ("sentence", "kind", "expected"),
    [
        ('- see **the** [page](a.md "title") and *more*', "markdown", "see the page and more"),
        ("2. press `reset`,\n   then ``wait``", "markdown", "press reset, then wait"),
        ("> said <!-- not\nhere --> he", "markdown", "said he"),
        ("```console\n$ ls *.md\n```", "markdown", "$ ls *.md"),
        ("| E119 |  low |", "markdown", "E119 | low"),
        ("|---|:-:|", "markdown", ""),
        ("a_b_c, 2 * 3 * 4, **kwargs, __init__.py", "markdown", "a_b_c, 2 * 3 * 4, **kwargs, __init__.py"),
        ("- see **the** [page](a.md)", "text", "see **the** [page](a.md)"),
        ("-1 is not an item", "text", "-1 is not an item"),
    ],
)
def test_prose_is_what_a_reader_sees(sentence, kind, expected):
    assert prose(sentence, kind) == expected


def test_a_row_with_very_many_spaces_is_no_trouble():
    started = time.monotonic()
    assert prose(f"| a{' ' * 500_000}b{chr(9) * 500_000}|", "markdown") == "a b"
    assert time.monotonic() - started < 60


def test_a_query_of_very_many_words_is_no_trouble(monkeypatch):
    """A word of the text is compared with those that begin as it does, and not with every word of the query."""
    compared = []
    is_alike = passages._is_alike

    def counting(first, second):
        compared.append(second)
        return is_alike(first, second)

    monkeypatch.setattr(passages, "_is_alike", counting)
    query = " ".join(f"{number:05}x" for number in range(20_000))
    assert len([*matched_words(query, "12345x 12346xs cat " * 10)]) == 20
    assert len(compared) < 10_000


def test_prose_may_keep_lines_apart():
    assert prose("keep the receipt\n\nreport  theft", "text", keep_lines=True) == "keep the receipt · report theft"


@pytest.mark.parametrize(
    ("query", "text", "expected"),
    [
        ("how do I reset a password", "Do not reset it: how PASSWORDS are", ["reset", "PASSWORDS"]),
        ("the cat", "A cat, a category, the cats", ["cat", "cats"]),
        ("user's keys", "The user's key and its key", ["user's", "key", "key"]),
        ("baking policies", "Bake it: the policy of baked bread, a bakery", ["Bake", "policy", "baked"]),
        ("car", "cars need care, a card", ["cars"]),
        ("leaving", "She leaves. Leave the leaf.", ["leaves", "Leave"]),
        ("naïve 猫", "Naïve 猫 naive", ["Naïve", "猫"]),
        ("index", "indexing indices index_name", ["indexing", "index"]),
        ("how is it", "how is it", []),
        ("[a-z] \\w", "a-z w", ["z", "w"]),
    ],
)
def test_words_of_the_query_are_found_in_other_forms_too(query, text, expected):
    assert [text[start:end] for start, end in matched_words(query, text)] == expected
