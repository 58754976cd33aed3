from __future__ import annotations

from pellucid.measuring.texts import paragraphs, sha256


def test_there_are_hundreds_of_distinct_paragraphs_each_on_one_line():
    texts = paragraphs()
    assert len(texts) > 300
    assert len(set(texts)) == len(texts)
    assert all(text == " ".join(text.split()) and text for text in texts)


def test_the_digest_depends_on_the_texts_and_their_boundaries():
    assert sha256(["ab", "c"]) == sha256(iter(["ab", "c"]))
    assert len({sha256(texts) for texts in (["ab", "c"], ["a", "bc"], ["c", "ab"], ["abc"], [])}) == 5
