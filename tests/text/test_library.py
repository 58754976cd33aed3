"""How the tokenizers library is called."""

from __future__ import annotations

import threading
import time

import pytest

from tests.text.test_tokenizer import tokenizer_of


@pytest.fixture(scope="module")
def tokenizer(tiny_bert):
    return tokenizer_of(tiny_bert)


def test_the_library_gets_a_limited_number_of_texts_and_characters_per_call(tokenizer, monkeypatch):
    parts, encode = [], tokenizer._library.encode

    def record(part, **options):
        parts.append(part)
        return encode(part, **options)

    monkeypatch.setattr(tokenizer, "_words", None)
    monkeypatch.setattr(tokenizer._library, "encode", record)
    texts = ["cat"] * 1100 + ["dog " * 20_000] * 4 + ["dog " * 200_000, "", "cat"]
    batch, counts = tokenizer.tokenize(texts, "the ")
    assert [len(part) for part in parts] == [512, 512, 76 + 3, 1, 3, 2]
    assert counts.tolist() == [4] * 1100 + [16_384] * 5 + [3, 4]
    assert tokenizer.count(texts, "the ").tolist() == [4] * 1100 + [20_003] * 4 + [200_003, 3, 4]
    assert len(batch) == len(texts)


def test_other_threads_work_while_a_long_text_is_tokenized(tokenizer):
    """One of the library's calls would block the other threads, for half a second here."""
    times: list[float] = []
    done = threading.Event()

    def tick():
        while not done.is_set():
            time.sleep(0.001)
            times.append(time.monotonic())

    ticking = threading.Thread(target=tick)
    ticking.start()
    start = time.monotonic()
    tokenizer.tokenize(["\N{GRINNING FACE}" * 500_000])  # It has no place to cut.
    end = time.monotonic()
    done.set()
    ticking.join()
    assert len([moment for moment in times if start < moment < end]) > 10


@pytest.mark.parametrize("with_words", [False, True])
def test_without_threads_texts_are_tokenized_one_by_one(broken, monkeypatch, caplog, with_words):
    tokenizer = tokenizer_of(broken)
    if not with_words:
        monkeypatch.setattr(tokenizer, "_words", None)
    panic = type("PanicException", (BaseException,), {})
    backend = tokenizer._library._backend

    class NoThreads:
        encode = backend.encode

        def encode_batch_fast(self, *_args, **_options):
            raise panic("The global thread pool has not been initialized.: ThreadPoolBuildError")

    texts = ["the cat", "dog", "the mat", "a", "sat on"]
    expected = [encoding.ids for encoding in backend.encode_batch(texts)]
    monkeypatch.setattr(tokenizer._library, "_backend", NoThreads())
    assert [ids.tolist() for ids in tokenizer.tokenize(texts)[0]] == expected
    assert "cannot start threads" in caplog.text
