from __future__ import annotations

import pickle

import numpy as np
import pytest

from pellucid import Embedder
from pellucid.encoder.encoder import Encoder
from pellucid.errors import ModelError, OptionError
from pellucid.layers.finish import EachToken
from pellucid.types import TokenBatch

TEXTS = ["the cat sat on the mat", "a dog", "", "the bird and the cat and the dog", "mat"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    from tests import tiny

    return tiny.write_model(tmp_path_factory.mktemp("models") / "m")


@pytest.fixture(params=["native", "reference"])
def encoder(folder, request):
    return Encoder(folder, engine=request.param)


def tokens_of(encoder, texts):
    return encoder.tokenizer.tokenize(texts, "")[0]


def test_results_come_in_the_order_of_the_texts_however_they_are_grouped(encoder):
    """The engine gets short texts with short ones, and here no more than 12 tokens at a time."""
    finish = Embedder(encoder).finish()
    tokens = tokens_of(encoder, TEXTS)
    together = encoder.run(tokens, finish)
    encoder.engine.tokens_per_call = 12
    seen = []
    assert (encoder.run(tokens, finish, advance=seen.append) == together).all()
    assert len(seen) > 1
    assert sum(seen) == len(TEXTS)
    alone = [encoder.run(tokens_of(encoder, [text]), finish)[0] for text in TEXTS]
    assert (np.stack(alone) == together).all()


@pytest.mark.parametrize("texts", [1, 3, 100])
def test_progress_reaches_the_end_also_when_one_call_of_the_engine_does_everything(encoder, texts):
    seen = []
    encoder.run(tokens_of(encoder, ["the cat"] * texts), Embedder(encoder).finish(), advance=seen.append)
    assert sum(seen) == texts


def test_each_token_may_keep_its_vector(encoder):
    tokens = tokens_of(encoder, TEXTS)
    found = encoder.run(tokens, EachToken())
    expected = encoder.engine.token_vectors(tokens)
    assert (found.offsets == tokens.offsets).all()
    assert np.allclose(found.vectors, expected, atol=1e-6)


def test_no_texts_give_no_results(encoder):
    empty = TokenBatch.from_sequences([])
    assert encoder.run(empty, Embedder(encoder).finish()).shape == (0, encoder.spec.dimensions)
    assert len(encoder.run(empty, EachToken())) == 0


def test_requests_that_run_together_get_what_they_would_get_alone(encoder):
    embedder = Embedder(encoder)
    finishes = [embedder.finish(), EachToken(), embedder.finish(), embedder.finish(truncate_dim=3)]
    batches = [tokens_of(encoder, TEXTS[:2]), tokens_of(encoder, TEXTS[1:4]), tokens_of(encoder, TEXTS[4:]),
               tokens_of(encoder, TEXTS)]  # fmt: skip
    calls = []
    compute = encoder.engine.token_vectors
    encoder.engine.token_vectors = lambda batch: calls.append(len(batch)) or compute(batch)
    results = encoder.run_requests(list(zip(batches, finishes, strict=True)))
    assert calls == [sum(map(len, batches))]
    for batch, finish, result in zip(batches, finishes, results, strict=True):
        alone = encoder.engine.run(batch, finish)
        if isinstance(finish, EachToken):
            assert (result.vectors == alone.vectors).all()
            assert (result.offsets == alone.offsets).all()
        else:
            assert (result == alone).all()


def test_several_tasks_share_one_encoder(encoder, folder):
    first, second = Embedder(encoder), Embedder(encoder, on_truncation="error")
    assert first.encoder is second.encoder is encoder
    assert (first.embed_documents(TEXTS) == Embedder(folder, engine=encoder.engine.name).embed_documents(TEXTS)).all()


@pytest.mark.parametrize(
    "option", [{"dtype": "int8"}, {"engine": "native"}, {"threads": 1}, {"max_tokens": 4}, {"local_files_only": True}]
)
def test_what_an_encoder_decides_cannot_be_asked_of_a_task(encoder, option):
    with pytest.raises(OptionError, match=next(iter(option))):
        Embedder(encoder, **option)


def test_a_pickled_encoder_is_loaded_again_without_the_token(folder):
    encoder = Encoder(folder, threads=1, max_tokens=5, token="secret")
    content = pickle.dumps(encoder)
    assert b"secret" not in content
    again = pickle.loads(content)  # noqa: S301
    assert (again.max_tokens, again.digest) == (5, encoder.digest)
    finish = Embedder(encoder).finish()
    tokens = tokens_of(encoder, TEXTS)
    assert (again.run(tokens, finish) == encoder.run(tokens, finish)).all()


def test_fewer_tokens_are_another_digest_and_as_many_are_not(folder):
    plain = Encoder(folder)
    assert Encoder(folder, max_tokens=plain.max_tokens).digest == plain.digest
    assert Encoder(folder, max_tokens=5).digest != plain.digest
    with pytest.raises(OptionError, match="max_tokens=0"):
        Encoder(folder, max_tokens=0)


def test_the_reference_engine_computes_the_same(folder):
    encoder = Encoder(folder)
    tokens = tokens_of(encoder, TEXTS)
    assert np.allclose(encoder.reference.token_vectors(tokens), encoder.engine.token_vectors(tokens), atol=2e-5)
    assert encoder.reference is encoder.reference
    reference = Encoder(folder, engine="reference")
    assert reference.reference is reference.engine


def test_weights_that_cannot_be_read_again_are_an_error_that_says_so(folder, monkeypatch):
    encoder = Encoder(folder)

    def fail(*_):
        raise OSError(24, "Too many open files")

    monkeypatch.setattr("pellucid.encoder.encoder.load_weights", fail)
    with pytest.raises(ModelError, match=r"Too many open files.*ulimit -n"):
        encoder.reference  # noqa: B018
