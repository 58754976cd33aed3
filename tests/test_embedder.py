from __future__ import annotations

import copy
import errno
import itertools
import json
import math
import pickle
import threading
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import load_file, save_file

from pellucid import Embedder, TokenBatch, TruncationWarning
from pellucid.cache.store import Cache
from pellucid.errors import (
    InputError,
    InvalidModelError,
    ModelError,
    OptionError,
    TextError,
    TextTypeError,
    TruncationError,
)
from tests import tiny

texts_of_utf8 = st.text(st.characters(codec="utf-8"), max_size=40)
TEXTS = ["the cat sat on the mat", "a dog", "", "cat " * 60, "  ", "dog, dog!"]


@pytest.fixture(scope="module")
def embedder(tiny_bert) -> Embedder:
    return Embedder(tiny_bert, on_truncation="ignore")


@pytest.fixture(scope="module")
def prompted(tmp_path_factory) -> Embedder:
    prompts = {"query": "query: ", "passage": "passage: ", "other": "dog "}
    return Embedder(tiny.write_model(tmp_path_factory.mktemp("m") / "prompted", prompts=prompts))


class TestTheRealModels:
    def test_the_numbers_everyone_already_has(self, minilm):
        hello = minilm.embed_query("Hello, I am learning about embeddings!")
        cat = minilm.embed_query("The cat sat on the mat")
        np.testing.assert_allclose(
            hello[:5], [-0.018163266, -0.099551670, 0.013816080, -0.008125950, 0.014152277], rtol=0, atol=1e-6
        )
        np.testing.assert_allclose(
            cat[:5], [0.130401820, -0.011870089, -0.028117036, 0.051238704, -0.055974450], rtol=0, atol=1e-6
        )

    @pytest.mark.parametrize("model", ["minilm", "mpnet"])
    def test_the_golden_vectors(self, model, request):
        embedder, golden = request.getfixturevalue(model), request.getfixturevalue(f"golden_{model}")
        vectors = embedder.embed_documents(golden.texts)
        np.testing.assert_allclose(vectors, golden.vectors, rtol=0, atol=2e-6)

    def test_what_the_model_says_of_itself(self, minilm, mpnet):
        assert (minilm.dimensions, minilm.max_tokens) == (384, 256)
        assert (mpnet.dimensions, mpnet.max_tokens) == (768, 384)
        assert minilm.model_name == "sentence-transformers/all-MiniLM-L6-v2"
        assert repr(minilm) == ("Embedder('sentence-transformers/all-MiniLM-L6-v2', dimensions=384, engine='native')")


class TestShapesAndOrder:
    def test_documents_are_a_matrix_in_input_order(self, embedder):
        vectors = embedder.embed_documents(TEXTS)
        assert (vectors.shape, vectors.dtype) == ((len(TEXTS), tiny.HIDDEN), np.float32)
        for text, vector in zip(TEXTS, vectors, strict=True):
            assert embedder.embed_query(text).tobytes() == vector.tobytes()

    @settings(max_examples=30)
    @given(st.lists(texts_of_utf8, max_size=8), st.randoms())
    def test_a_text_has_the_same_bits_in_any_company_and_order(self, embedder, texts, random):
        shuffled = random.sample(range(len(texts)), len(texts))
        vectors = embedder.embed_documents(texts)
        again = embedder.embed_documents([texts[index] for index in shuffled])
        assert again.tobytes() == vectors[shuffled].tobytes()

    def test_so_it_has_where_modules_follow_the_pooling(self, tmp_path):
        kinds = ["Pooling", "Dense", "LayerNorm", "Normalize"]
        embedder = Embedder(tiny.write_model(tmp_path / "m", modules=kinds), on_truncation="ignore")
        vectors = embedder.embed_documents(TEXTS)
        for text, vector in zip(TEXTS, vectors, strict=True):
            assert embedder.embed_query(text).tobytes() == vector.tobytes()

    @pytest.mark.parametrize(
        ("dtype", "width", "kind"),
        [("float32", 16, np.float32), ("float16", 16, np.float16), ("int8", 16, np.int8), ("ubinary", 2, np.uint8)],
    )
    def test_no_texts_give_no_rows(self, embedder, dtype, width, kind):
        vectors = embedder.embed_documents([], output_dtype=dtype)
        assert (vectors.shape, vectors.dtype) == ((0, width), kind)
        assert embedder.embed_documents([], truncate_dim=5).shape == (0, 5)

    @pytest.mark.parametrize("engine", ["native", "reference"])
    def test_without_special_tokens_the_empty_text_has_none_and_its_vector_is_zeros(self, tmp_path, engine):
        folder = tiny.write_model(tmp_path / "m")
        tiny.edit_json(folder / "tokenizer.json", post_processor=None)
        plain = Embedder(folder, engine=engine)
        assert plain.count_tokens(["", "cat"]).tolist() == [0, 1]
        vectors = plain.embed_documents(["", "cat", "", "dog cat"])
        np.testing.assert_array_equal(vectors[[0, 2]], 0)
        np.testing.assert_array_equal(vectors[[1, 3]], plain.embed_documents(["cat", "dog cat"]))
        np.testing.assert_array_equal(plain.embed_query(""), 0)
        np.testing.assert_array_equal(plain.embed_long("").mean, 0)

    def test_the_empty_text_is_a_text(self, embedder):
        assert np.isfinite(embedder.embed_query("")).all()
        assert math.isclose(float(np.linalg.norm(embedder.embed_query(""))), 1, rel_tol=1e-6)

    @pytest.mark.parametrize("kind", [tuple, iter, np.array])
    def test_texts_may_come_in_any_order_keeping_collection(self, embedder, kind):
        np.testing.assert_array_equal(embedder.embed_documents(kind(TEXTS)), embedder.embed_documents(TEXTS))

    def test_it_may_be_used_from_several_threads(self, embedder):
        expected, results = embedder.embed_documents(TEXTS), {}

        def work(number: int) -> None:
            results[number] = embedder.embed_documents(TEXTS)

        threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert [result.tobytes() for _, result in sorted(results.items())] == [expected.tobytes()] * 8


class TestLifeAfterLoading:
    def test_a_pickled_one_is_loaded_again_as_it_was_made(self, tiny_bert, tmp_path):
        cache = Cache(tmp_path / "vectors.db", max_bytes=10_000_000)
        made = Embedder(tiny_bert, dtype="int8", threads=1, cache=cache, token="hf_secret", on_truncation="ignore")
        made.on_truncation = "error"
        pickled = pickle.dumps(made)
        again = pickle.loads(pickled)  # noqa: S301  our own
        assert again.embed_documents(TEXTS[:3]).tobytes() == made.embed_documents(TEXTS[:3]).tobytes()
        assert (again.engine.dtype, again.engine.threads, again.on_truncation) == ("int8", 1, "error")
        assert (again.cache.path, again.cache.max_bytes) == (cache.path, cache.max_bytes)
        assert b"secret" not in pickled

    def test_a_copy_is_another_of_the_same(self, embedder):
        again = copy.deepcopy(embedder)
        assert again is not embedder
        assert again.embed_query("cat").tobytes() == embedder.embed_query("cat").tobytes()

    def test_the_working_directory_may_change(self, tiny_bert, tmp_path, monkeypatch):
        monkeypatch.chdir(tiny_bert.parent)
        embedder = Embedder(tiny_bert.name, cache=tmp_path / "vectors.db")
        monkeypatch.chdir(tmp_path)
        assert embedder.trace("cat").vector.shape == embedder.embed_query("cat").shape
        assert embedder.model_name == tiny_bert.name


class TestTokensOfElsewhere:
    def test_they_give_what_their_texts_give(self, embedder):
        tokens, _ = embedder.tokenizer.tokenize(TEXTS)
        assert embedder.embed_tokens(tokens).tobytes() == embedder.embed_documents(TEXTS).tobytes()

    @pytest.mark.parametrize(
        ("sequences", "options", "error", "message"),
        [
            ([[2, 3], [10**6]], {}, InputError, "text 1 has the token id 1000000"),
            ([[2, -3]], {}, InputError, "text 0 has the token id -3"),
            ([[2] * 25], {}, InputError, "text 0 has 25 tokens, and the model reads 24 at most"),
            ([[2]], {"truncate_dim": 0}, OptionError, "truncate_dim=0 must be"),
            ([[2]], {"truncate_dim": 17}, OptionError, "truncate_dim=17 must be"),
            ([[2]], {"normalize": 1}, OptionError, "normalize=1 is not one of"),
            ([[2]], {"prompt_tokens": -1}, OptionError, "prompt_tokens=-1 must be"),
        ],
    )
    @pytest.mark.parametrize("engine", ["native", "reference"])
    def test_what_the_model_cannot_read_is_named(self, tiny_bert, engine, sequences, options, error, message):
        with pytest.raises(error, match=message):
            Embedder(tiny_bert, engine=engine).embed_tokens(TokenBatch.from_sequences(sequences), **options)


class TestStream:
    def test_a_stream_gives_the_same_bits_as_a_call(self, embedder):
        texts = [f"cat {number}" for number in range(5000)]
        windows = list(embedder.embed_stream(iter(texts)))
        assert len(windows) > 1
        assert np.concatenate(windows).tobytes() == embedder.embed_documents(texts).tobytes()

    def test_it_takes_no_more_texts_than_it_needs(self, embedder):
        taken = itertools.count()
        stream = embedder.embed_stream("cat" for _ in iter(lambda: next(taken), -1))
        first = next(stream)
        assert next(taken) <= len(first) + 1
        stream.close()

    @pytest.mark.parametrize("texts", ["cat", b"cat", {"cat": 1}, {"cat"}, None, np.array("cat")])
    def test_what_has_no_order_of_texts_is_refused(self, embedder, texts):
        with pytest.raises(TextTypeError, match=r"^texts (is of type|cannot be taken apart)"):
            embedder.embed_stream(texts)

    def test_an_empty_stream_ends(self, embedder):
        assert list(embedder.embed_stream([])) == []

    def test_a_position_counts_from_the_start_of_the_stream(self, embedder):
        stream = embedder.embed_stream(itertools.chain(["cat"] * 4000, [None]))
        assert len(next(stream)) > 0
        with pytest.raises(TextTypeError, match="text 4000 is of type NoneType"):
            list(stream)

    @pytest.mark.parametrize("dtype", ["int8", "uint8"])
    def test_types_that_need_all_vectors_are_refused(self, embedder, dtype):
        with pytest.raises(OptionError, match="needs the ranges of all vectors"):
            embedder.embed_stream(["cat"], output_dtype=dtype)

    def test_what_was_cut_is_told_once_when_it_ends(self, tiny_bert):
        embedder = Embedder(tiny_bert)
        texts = ["cat " * 30 if number % 1000 == 0 else "cat" for number in range(5000)]
        with pytest.warns(TruncationWarning) as told:
            list(embedder.embed_stream(texts))
        assert [str(warning.message)[:45] for warning in told] == ["5 of 5,000 texts are longer than the model's "]


class TestTruncation:
    def test_by_default_one_warning_a_call_says_how_many_and_how_much(self, tiny_bert):
        with pytest.warns(TruncationWarning) as told:
            Embedder(tiny_bert).embed_documents(["cat", "cat " * 30, "cat " * 98])
        assert [str(warning.message) for warning in told] == [
            "2 of 3 texts are longer than the model's 24 tokens (the first is text 1): 84 of 135 tokens (62.2%) lie "
            "beyond and had no part in the vectors."
        ]
        assert told[0].filename == __file__

    def test_ignore_says_nothing(self, tiny_bert):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            Embedder(tiny_bert, on_truncation="ignore").embed_query("cat " * 30)

    def test_error_raises_before_any_arithmetic(self, tiny_bert, monkeypatch):
        embedder = Embedder(tiny_bert, on_truncation="error")
        monkeypatch.setattr(embedder.encoder, "engine", None)
        with pytest.raises(TruncationError, match="1 of 2 texts is longer than the model's 24 tokens"):
            embedder.embed_documents(["cat", "cat " * 30])

    def test_nothing_is_said_of_texts_that_fit(self, tiny_bert):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            Embedder(tiny_bert).embed_documents(["cat " * 22])

    def test_a_cut_text_has_the_vector_of_what_is_left(self, embedder):
        assert embedder.embed_query("cat " * 60).tobytes() == embedder.embed_query("cat " * 22).tobytes()

    def test_count_tokens_counts_before_truncation(self, embedder):
        counts = embedder.count_tokens(["", "cat", "cat " * 60])
        assert (counts.tolist(), counts.dtype) == ([2, 3, 62], np.int32)


class TestAnEngineElsewhere:
    """One that leaves the processors free, as a GPU does: texts are tokenized in parts, ahead of their turn."""

    @pytest.fixture
    def far(self, tiny_bert, monkeypatch) -> Embedder:
        monkeypatch.setattr("pellucid.task._TEXTS_AHEAD", 2)
        far = Embedder(tiny_bert)
        monkeypatch.setattr(far.engine, "device", "cuda")
        return far

    @pytest.mark.parametrize("count", range(len(TEXTS) + 1))
    @pytest.mark.filterwarnings("ignore::pellucid.errors.TruncationWarning")
    def test_the_vectors_are_the_same(self, far, embedder, count):
        vectors = far.embed_documents(TEXTS[:count])
        assert vectors.tobytes() == embedder.embed_documents(TEXTS[:count]).tobytes()

    def test_the_next_texts_are_tokenized_while_the_engine_works(self, far, monkeypatch):
        token_vectors, tokenize = far.engine.token_vectors, far.tokenizer.tokenize
        begun, further = [], threading.Event()

        def told(texts, *args, **options):
            begun.append(len(texts))
            if len(begun) == 2:
                further.set()
            return tokenize(texts, *args, **options)

        def waits(batch):
            assert further.wait(60)
            return token_vectors(batch)

        monkeypatch.setattr(far.tokenizer, "tokenize", told)
        monkeypatch.setattr(far.engine, "token_vectors", waits)
        assert far.embed_documents(["a cat"] * 5).shape == (5, far.dimensions)
        assert begun == [2, 2, 1]

    def test_what_was_cut_is_told_once_with_the_position_of_the_first(self, far):
        with pytest.warns(TruncationWarning, match="2 of 6 texts .*the first is text 3") as told:
            far.embed_documents(["a", "b", "c", "cat " * 60, "d", "dog " * 60])
        assert len(told) == 1

    def test_a_bad_text_is_found_before_any_arithmetic(self, far, monkeypatch):
        monkeypatch.setattr(far.engine, "token_vectors", lambda _batch: pytest.fail("it computed"))
        with pytest.raises(TextTypeError, match="text 4 "):
            far.embed_documents(["a", "b", "c", "d", None])
        far.on_truncation = "error"
        with pytest.raises(TruncationError, match="text 3"):
            far.embed_documents(["a", "b", "c", "cat " * 60])


class TestOptions:
    def test_normalize(self, tiny_bert, tmp_path):
        plain = Embedder(tiny.write_model(tmp_path / "plain", modules=["Pooling"]))
        normalized = Embedder(tiny_bert)
        raw = plain.embed_documents(["the cat", "a dog"])
        unit = raw / np.linalg.norm(raw, axis=1, keepdims=True)
        assert np.abs(np.linalg.norm(raw, axis=1) - 1).max() > 0.1
        np.testing.assert_allclose(plain.embed_documents(["the cat", "a dog"], normalize=True), unit, atol=1e-6)
        np.testing.assert_allclose(normalized.embed_documents(["the cat", "a dog"]), unit, atol=1e-6)
        np.testing.assert_allclose(normalized.embed_documents(["the cat", "a dog"], normalize=False), raw, atol=1e-6)

    def test_truncate_dim_keeps_the_leading_dimensions(self, embedder):
        whole = embedder.embed_query("the cat")
        np.testing.assert_array_equal(embedder.embed_query("the cat", truncate_dim=5), whole[:5])
        np.testing.assert_array_equal(embedder.embed_query("the cat", truncate_dim=np.int64(5)), whole[:5])
        short = embedder.embed_query("the cat", truncate_dim=5, normalize=True)
        np.testing.assert_allclose(short, whole[:5] / np.linalg.norm(whole[:5]), atol=1e-6)

    def test_queries_and_documents_use_the_models_prompts(self, prompted):
        plain = {
            text: prompted.embed_query(text, prompt="") for text in ("query: cat", "passage: cat", "dog cat", "cat")
        }
        np.testing.assert_array_equal(prompted.embed_query("cat"), plain["query: cat"])
        np.testing.assert_array_equal(prompted.embed_documents(["cat"])[0], plain["passage: cat"])
        np.testing.assert_array_equal(prompted.embed_documents(["cat"], prompt_name="other")[0], plain["dog cat"])
        np.testing.assert_array_equal(prompted.embed_query("cat", prompt="dog "), plain["dog cat"])
        np.testing.assert_array_equal(next(prompted.embed_stream(["cat"]))[0], plain["passage: cat"])

    def test_a_prompt_can_be_left_out_of_the_pooling(self, tmp_path):
        pooling = {"include_prompt": False}
        folder = tiny.write_model(tmp_path / "m", pooling=pooling, modules=["Pooling"])
        with_prompt = Embedder(folder).embed_query("sat", prompt="the cat ")
        engine = Embedder(folder).engine
        all_rows = engine.token_vectors(Embedder(folder).tokenizer.tokenize(["the cat sat"])[0])
        np.testing.assert_allclose(with_prompt, all_rows[3:].mean(axis=0), atol=1e-6)

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"prompt_name": "none"}, "has no prompt 'none': its prompts are 'query', 'passage', 'other'"),
            ({"prompt_name": "query", "prompt": "x"}, "a prompt or a prompt_name, not both"),
            ({"prompt": 3}, "prompt is of type int"),
            ({"prompt_name": ["query"]}, r"has no prompt \['query'\]"),
            ({"truncate_dim": 0}, "truncate_dim=0 must be a whole number from 1 to 16"),
            ({"truncate_dim": 17}, "truncate_dim=17 must be"),
            ({"truncate_dim": 2.0}, "truncate_dim=2.0 must be"),
            ({"output_dtype": "int4"}, "output_dtype='int4' is not one of 'float32', 'float16'"),
            ({"normalize": "yes"}, "normalize='yes' is not one of None, True, False"),
        ],
    )
    def test_an_option_that_cannot_be_served_is_named(self, prompted, options, message):
        for call in (
            lambda: prompted.embed_documents(["cat"], **options),
            lambda: prompted.embed_query("cat", **options),
            lambda: prompted.embed_stream(["cat"], **options),
        ):
            with pytest.raises(OptionError, match=message):
                call()

    def test_a_typing_mistake_is_an_error(self, embedder, tiny_bert):
        with pytest.raises(TypeError, match="normalise"):
            embedder.embed_documents(["cat"], normalise=True)
        with pytest.raises(TypeError, match="devise"):
            Embedder(tiny_bert, devise="cpu")

    @pytest.mark.parametrize("name", ["", "a\0b", None, 3, b"name"])
    def test_what_is_no_name_is_refused(self, name):
        with pytest.raises(OptionError):
            Embedder(name)

    @pytest.mark.parametrize("options", [{"revision": 3}, {"cache_folder": 3}])
    def test_what_is_no_revision_or_folder_is_refused(self, options):
        with pytest.raises(OptionError, match=next(iter(options))):
            Embedder("no/such-model", **options)

    @pytest.mark.parametrize(
        "options", [{"engine": "x"}, {"dtype": "int4"}, {"device": "cuda", "engine": "native"}, {"on_truncation": "x"}]
    )
    def test_options_are_judged_before_a_file_is_looked_for(self, options):
        with pytest.raises(OptionError, match=next(iter(options))):
            Embedder("no/such-model", **options)


class TestBadTexts:
    @pytest.mark.parametrize("texts", ["a bare string", b"bytes", None, 3, {"a": 1}, {"a", "b"}, np.array("text")])
    def test_what_is_no_list_of_texts_is_refused(self, embedder, texts):
        with pytest.raises(TextTypeError, match=r"^texts (is of type|cannot be taken apart)"):
            embedder.embed_documents(texts)
        with pytest.raises(TextTypeError):
            embedder.count_tokens(texts)

    @pytest.mark.parametrize("text", [["a list"], b"bytes", None, 3])
    def test_a_query_is_one_text(self, embedder, text):
        with pytest.raises(TextTypeError, match="embed_query takes one str"):
            embedder.embed_query(text)

    @pytest.mark.parametrize("value", [None, 3, b"bytes", ["cat"]])
    def test_a_value_that_is_no_text_is_named_by_position(self, embedder, value):
        with pytest.raises(TextTypeError, match=rf"text 2 is of type {type(value).__name__}"):
            embedder.embed_documents(["cat", "dog", value])

    def test_a_lone_surrogate_is_named_by_position(self, embedder):
        with pytest.raises(TextError, match="text 1 has a lone surrogate .* at character 4"):
            embedder.embed_documents(["cat", "dog \udc80"])

    def test_the_errors_are_also_those_of_python(self, embedder):
        with pytest.raises(TypeError):
            embedder.embed_documents([None])
        with pytest.raises(ValueError, match="surrogate"):
            embedder.embed_documents(["\ud800"])

    @settings(max_examples=50)
    @given(texts_of_utf8)
    def test_every_text_that_utf8_can_write_has_a_vector(self, embedder, text):
        assert np.isfinite(embedder.embed_query(text)).all()


@pytest.mark.parametrize("engine", ["native", "reference"])
def test_a_text_without_tokens_has_a_vector_of_zeros(broken, engine):
    """Where the tokenizer adds no special tokens, some texts have none at all."""
    tiny.edit_json(broken / "tokenizer.json", post_processor=None)
    embedder = Embedder(broken, engine=engine)
    together = embedder.embed_documents(["", "the cat", " "])
    assert not together[[0, 2]].any()
    assert together[1].tobytes() == embedder.embed_query("the cat").tobytes()
    assert not embedder.embed_query("").any()
    assert not embedder.embed_long(" ").mean.any()


def test_progress_is_silent_when_standard_error_is_no_terminal(embedder, capfd):
    embedder.embed_documents(["cat"] * 10, show_progress=True)
    assert capfd.readouterr() == ("", "")


class TestLongTexts:
    @pytest.fixture(scope="class")
    @staticmethod
    def embedder(tmp_path_factory):
        return Embedder(tiny.write_model(tmp_path_factory.mktemp("models") / "m", prompts={"document": "the "}))

    @pytest.mark.parametrize("text", ["", "  ", "a cat", "cat " * tiny.MAX_TOKENS, "cat dog. " * 200])
    def test_every_passage_is_embedded_whole(self, embedder, text, recwarn):
        long = embedder.embed_long(text)
        passages = [text[span.start : span.end] for span in long.spans]
        assert " ".join(" ".join(passages).split()) == " ".join(text.split())
        np.testing.assert_array_equal(long.vectors, embedder.embed_documents(passages))
        mean = np.average(long.vectors.astype(np.float64), axis=0, weights=[span.tokens for span in long.spans])
        np.testing.assert_allclose(long.mean, mean / np.linalg.norm(mean), atol=1e-6)
        assert not recwarn.list  # Nothing was truncated.

    def test_without_unit_length_the_mean_has_none(self, embedder):
        long = embedder.embed_long("cat dog. " * 30, normalize=False)
        weights = [span.tokens for span in long.spans]
        np.testing.assert_allclose(long.mean, np.average(long.vectors, axis=0, weights=weights), atol=1e-5)

    def test_a_text_that_fits_is_as_ever(self, embedder):
        np.testing.assert_allclose(embedder.embed_long("a cat").mean, embedder.embed_documents(["a cat"])[0], atol=1e-6)

    @pytest.mark.parametrize("value", [None, ["a cat"], b"a cat"])
    def test_what_is_no_text_is_refused(self, embedder, value):
        with pytest.raises(TextTypeError):
            embedder.embed_long(value)


class TestHowMuchIsRead:
    """``max_tokens``, which may be lower than the model's."""

    def test_a_text_is_cut_there(self, tiny_bert, embedder):
        lower = Embedder(tiny_bert, max_tokens=6, on_truncation="ignore")
        assert (lower.max_tokens, lower.spec.tokenizer.max_tokens, lower.tokenizer.spec.max_tokens) == (6, 6, 6)
        assert lower.embed_query("cat " * 9).tobytes() == embedder.embed_query("cat " * 4).tobytes()
        assert lower.embed_query("the cat").tobytes() == embedder.embed_query("the cat").tobytes()
        with pytest.warns(TruncationWarning, match="longer than the model's 6 tokens"):
            Embedder(tiny_bert, max_tokens=6).embed_query("cat " * 9)

    def test_it_is_kept_in_copies(self, tiny_bert):
        assert copy.copy(Embedder(tiny_bert, max_tokens=6)).max_tokens == 6

    @pytest.mark.parametrize("value", [0, -1, True, 2.5, "6", [6], 2, 25, 10**40, np.arange(3)])
    def test_what_the_model_cannot_do_is_refused(self, tiny_bert, value):
        with pytest.raises(OptionError, match=r"max_tokens=.* must be (a whole number|from 3 .* to 24)"):
            Embedder(tiny_bert, max_tokens=value)

    def test_a_cache_keeps_the_vectors_apart(self, tiny_bert, tmp_path, embedder):
        text, options = "cat " * 9, {"cache": tmp_path / "cache", "on_truncation": "ignore"}
        lower, whole = Embedder(tiny_bert, max_tokens=6, **options), Embedder(tiny_bert, max_tokens=24, **options)
        assert lower.embed_query(text).tobytes() != whole.embed_query(text).tobytes()
        assert whole.embed_query(text).tobytes() == embedder.embed_query(text).tobytes()
        assert lower.embed_query(text).tobytes() == embedder.embed_query("cat " * 4).tobytes()
        assert whole.digest == whole.files.digest()  # Caches that were made before stay valid.

    @pytest.mark.parametrize("name", ["max_tokens", "max_seq_length"])
    def test_it_cannot_be_set_later(self, embedder, name):
        with pytest.raises(OptionError, match=r"cannot be set. Pass max_tokens= when you make the Embedder"):
            setattr(embedder, name, 6)

    @pytest.mark.parametrize("name", ["normalize", "model_name", "embed_documents", "threads"])
    def test_an_attribute_that_is_none_is_refused(self, embedder, name):
        with pytest.raises(OptionError, match=f"no attribute '{name}' that can be set"):
            setattr(embedder, name, 6)


class TestVectorsThatAreNone:
    """Weights that are finite and huge: what comes out is not."""

    @pytest.fixture
    def broken_model(self, broken):
        path = broken / "model.safetensors"
        arrays = load_file(path)
        words = arrays["embeddings.word_embeddings.weight"]
        arrays["encoder.layer.2.output.LayerNorm.weight"][:] = 1.0
        cat = json.loads((broken / "tokenizer.json").read_text())["model"]["vocab"]["cat"]
        words[cat] = np.finfo(np.float32).max
        save_file(arrays, path)
        return broken

    @pytest.mark.parametrize("engine", ["native", "reference"])
    @pytest.mark.filterwarnings("ignore::RuntimeWarning")
    def test_the_text_is_named_on_every_way(self, broken_model, engine, tmp_path):
        embedder = Embedder(broken_model, engine=engine)
        cached = Embedder(broken_model, engine=engine, cache=tmp_path / "cache")
        texts = ["dog", "the", "dog", "cat"]
        for each in (embedder, cached, cached):
            with pytest.raises(InvalidModelError, match="text 3 a vector that is not finite"):
                each.embed_documents(texts)
        assert cached.cache.state().vectors == 0
        assert np.isfinite(embedder.embed_documents(texts[:3])).all()
        with pytest.raises(InvalidModelError, match="text 0 a vector that is not finite"):
            embedder.embed_query("cat")
        with pytest.raises(InvalidModelError, match="text 3 a vector"):
            list(embedder.embed_stream(iter(texts)))
        with pytest.raises(InvalidModelError, match="text 0 a vector"):
            embedder.embed_long("cat " * 50)
        with pytest.raises(InvalidModelError, match="text 3 a vector"):
            embedder.embed_tokens(embedder.tokenizer.tokenize(texts)[0])
        for use in (embedder.trace, lambda text: embedder.compare("dog", text)):
            with pytest.raises(InvalidModelError, match="text 0 a vector"):
                use("cat")

    def test_a_stream_counts_from_its_start(self, broken_model, monkeypatch):
        monkeypatch.setattr("pellucid.task._TEXTS_PER_WINDOW", 2)
        with pytest.raises(InvalidModelError, match="text 5 a vector"):
            list(Embedder(broken_model).embed_stream(iter(["dog"] * 5 + ["cat"])))


class TestOddOptions:
    """Each is an error of ours, before any work."""

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"kind": "x"}, "kind='x' is not one of 'text', 'markdown', 'code'"),
            ({"kind": ["text"]}, "kind="),
            ({"kind": np.array(["text", "code"])}, "kind="),
            *(({"overlap": value}, "overlap=") for value in (1.5, -1, True, 10**30, "2", None, np.arange(2))),
            ({"normalize": np.array([True, False])}, "normalize="),
            ({"prompt_name": []}, "has no prompt"),
        ],
    )
    def test_of_a_long_text(self, embedder, options, message):
        with pytest.raises(OptionError, match=message):
            embedder.embed_long("the cat", **options)

    @pytest.mark.parametrize("array", [np.array([True, False]), np.array(["float32", "int8"]), np.arange(10_000)])
    @pytest.mark.parametrize("option", ["normalize", "output_dtype", "truncate_dim", "prompt_name", "prompt"])
    def test_of_a_call(self, embedder, option, array):
        for value in (array, [array], {"a": array}, object()):
            with pytest.raises(OptionError) as raised:
                embedder.embed_documents(["cat"], **{option: value})
            assert len(str(raised.value)) < 300

    @pytest.mark.parametrize("value", [np.array(["int8", "native"]), [], {}, None, 3, object(), "\0"])
    @pytest.mark.parametrize("option", ["dtype", "engine", "on_truncation"])
    def test_of_an_embedder(self, tiny_bert, option, value):
        with pytest.raises(OptionError, match=option):
            Embedder(tiny_bert, **{option: value})

    @pytest.mark.parametrize("value", [True, 1e9, 0, -1, "2", [2], np.arange(2), 10**9])
    @pytest.mark.parametrize("engine", ["native", "reference"])
    def test_of_threads(self, tiny_bert, value, engine):
        with pytest.raises(OptionError, match="threads="):
            Embedder(tiny_bert, threads=value, engine=engine)

    @pytest.mark.parametrize("value", [None, 3, [], np.array(["cpu"])])
    def test_of_a_device(self, tiny_bert, value):
        with pytest.raises(OptionError, match="device is of type"):
            Embedder(tiny_bert, device=value)

    def test_a_number_of_numpy_is_a_number(self, tiny_bert, tmp_path):
        cached = Embedder(tiny_bert, cache=tmp_path / "cache")
        assert cached.embed_query("cat", truncate_dim=np.int64(5)).shape == (5,)

    @pytest.mark.parametrize("how", ["call", "cache", "count"])
    def test_texts_of_numpy_are_texts(self, tiny_bert, tmp_path, embedder, how):
        texts = np.array(["the cat", "dog"])
        each = Embedder(tiny_bert, cache=tmp_path / "cache") if how == "cache" else embedder
        if how == "count":
            assert each.count_tokens(texts).tolist() == [4, 3]
        else:
            assert each.embed_documents(texts).tobytes() == embedder.embed_documents(["the cat", "dog"]).tobytes()

    def test_half_a_character_in_a_prompt_is_the_prompts(self, embedder, tmp_path):
        prompted = Embedder(tiny.write_model(tmp_path / "m", prompts={"query": "a\udc00"}))
        for use in (embedder.embed_documents, embedder.embed_stream):
            with pytest.raises(TextError, match=r"^the prompt has a lone surrogate"):
                use(["cat"], prompt="a\udc00")
        for use in (embedder.embed_query, embedder.embed_long, embedder.trace):
            with pytest.raises(TextError, match=r"^the prompt has a lone surrogate"):
                use("cat", prompt="a\udc00")
        with pytest.raises(TextError, match=r"^the prompt 'query' of .* has a lone surrogate"):
            prompted.embed_query("cat")

    def test_without_files_to_open_a_trace_says_so(self, tiny_bert, monkeypatch):
        embedder = Embedder(tiny_bert)

        def full(*_):
            raise OSError(errno.EMFILE, "Too many open files")

        monkeypatch.setattr("pellucid.encoder.encoder.load_weights", full)
        with pytest.raises(ModelError, match=r"Too many open files. Where too many files are open, close some"):
            embedder.trace("cat")
