from __future__ import annotations

import asyncio
import errno
import functools
import importlib.util
import inspect
import math
import pickle
import threading

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import pellucid
from pellucid import Embedder, TokenBatch, similarity
from pellucid.errors import (
    InputError,
    ModelError,
    OptionError,
    TextError,
    TextTypeError,
    UnsupportedModelError,
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
    def test_the_first_numbers_of_two_vectors(self, minilm):
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

    def test_the_properties_of_the_models(self, minilm, mpnet):
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
    def test_a_text_has_the_same_bits_whatever_the_other_texts(self, embedder, texts, random):
        shuffled = random.sample(range(len(texts)), len(texts))
        vectors = embedder.embed_documents(texts)
        again = embedder.embed_documents([texts[index] for index in shuffled])
        assert again.tobytes() == vectors[shuffled].tobytes()

    def test_modules_after_the_pooling_do_not_change_that(self, tmp_path):
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
    def test_an_empty_text_without_special_tokens_has_a_vector_of_zeros(self, tmp_path, engine):
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
    def test_texts_may_be_any_ordered_collection(self, embedder, kind):
        np.testing.assert_array_equal(embedder.embed_documents(kind(TEXTS)), embedder.embed_documents(TEXTS))

    def test_several_threads_may_share_an_embedder(self, embedder):
        expected, results = embedder.embed_documents(TEXTS), {}

        def work(number: int) -> None:
            results[number] = embedder.embed_documents(TEXTS)

        threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert [result.tobytes() for _, result in sorted(results.items())] == [expected.tobytes()] * 8


class TestEmbedTokens:
    def test_tokens_give_the_vectors_of_their_texts(self, embedder):
        tokens, _ = embedder.tokenizer.tokenize(TEXTS)
        assert embedder.embed_tokens(tokens).tobytes() == embedder.embed_documents(TEXTS).tobytes()

    @pytest.mark.parametrize(
        ("sequences", "options", "error", "message"),
        [
            ([[2, 3], [10**6]], {}, InputError, "text 1 has the token id 1000000"),
            ([[2, -3]], {}, InputError, "text 0 has the token id -3"),
            ([[2] * 25], {}, InputError, "text 0 has 25 tokens, but the model reads at most 24"),
            ([[2]], {"truncate_dim": 0}, OptionError, "truncate_dim=0 must be"),
            ([[2]], {"truncate_dim": 17}, OptionError, "truncate_dim=17 must be"),
            ([[2]], {"normalize": 1}, OptionError, "normalize=1 is not one of"),
            ([[2]], {"prompt_tokens": -1}, OptionError, "prompt_tokens=-1 must be"),
        ],
    )
    @pytest.mark.parametrize("engine", ["native", "reference"])
    def test_bad_tokens_and_options_are_errors(self, tiny_bert, engine, sequences, options, error, message):
        with pytest.raises(error, match=message):
            Embedder(tiny_bert, engine=engine).embed_tokens(TokenBatch.from_sequences(sequences), **options)


class TestOptions:
    def test_count_tokens_counts_before_truncation(self, embedder):
        counts = embedder.count_tokens(["", "cat", "cat " * 60])
        assert (counts.tolist(), counts.dtype) == ([2, 3, 62], np.int32)

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

    def test_a_model_may_leave_the_prompt_out_of_the_pooling(self, tmp_path):
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
    def test_an_unsupported_option_is_named(self, prompted, options, message):
        for call in (
            lambda: prompted.embed_documents(["cat"], **options),
            lambda: prompted.embed_query("cat", **options),
            lambda: prompted.embed_stream(["cat"], **options),
        ):
            with pytest.raises(OptionError, match=message):
                call()

    def test_a_misspelt_option_is_an_error(self, embedder, tiny_bert):
        with pytest.raises(TypeError, match="normalise"):
            embedder.embed_documents(["cat"], normalise=True)
        with pytest.raises(TypeError, match="devise"):
            Embedder(tiny_bert, devise="cpu")

    @pytest.mark.parametrize("name", ["", "a\0b", None, 3, b"name"])
    def test_a_bad_name_is_refused(self, name):
        with pytest.raises(OptionError):
            Embedder(name)

    @pytest.mark.parametrize("options", [{"revision": 3}, {"cache_folder": 3}])
    def test_a_bad_revision_or_folder_is_refused(self, options):
        with pytest.raises(OptionError, match=next(iter(options))):
            Embedder("no/such-model", **options)

    @pytest.mark.parametrize(
        "options", [{"engine": "x"}, {"dtype": "int2"}, {"device": "cuda", "engine": "native"}, {"on_truncation": "x"}]
    )
    def test_options_are_checked_before_the_model_is_looked_for(self, options):
        with pytest.raises(OptionError, match=next(iter(options))):
            Embedder("no/such-model", **options)


class TestBadTexts:
    @pytest.mark.parametrize("texts", ["a bare string", b"bytes", None, 3, {"a": 1}, {"a", "b"}, np.array("text")])
    def test_anything_but_a_list_of_texts_is_refused(self, embedder, texts):
        with pytest.raises(TextTypeError, match=r"^texts (is of type|cannot be iterated over)"):
            embedder.embed_documents(texts)
        with pytest.raises(TextTypeError):
            embedder.count_tokens(texts)

    @pytest.mark.parametrize("text", [["a list"], b"bytes", None, 3])
    def test_a_query_is_one_text(self, embedder, text):
        with pytest.raises(TextTypeError, match="embed_query takes one str"):
            embedder.embed_query(text)

    @pytest.mark.parametrize("value", [None, 3, b"bytes", ["cat"]])
    def test_a_value_that_is_not_a_text_is_named_by_position(self, embedder, value):
        with pytest.raises(TextTypeError, match=rf"text 2 is of type {type(value).__name__}"):
            embedder.embed_documents(["cat", "dog", value])

    def test_a_lone_surrogate_is_named_by_position(self, embedder):
        with pytest.raises(TextError, match="text 1 has a lone surrogate .* at character 4"):
            embedder.embed_documents(["cat", "dog \udc80"])

    def test_the_errors_are_also_errors_of_python(self, embedder):
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
    """If the tokenizer adds no special tokens, some texts have no tokens at all."""
    tiny.edit_json(broken / "tokenizer.json", post_processor=None)
    embedder = Embedder(broken, engine=engine)
    together = embedder.embed_documents(["", "the cat", " "])
    assert not together[[0, 2]].any()
    assert together[1].tobytes() == embedder.embed_query("the cat").tobytes()
    assert not embedder.embed_query("").any()
    assert not embedder.embed_long(" ").mean.any()


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

    def test_without_normalization_the_mean_has_no_unit_length(self, embedder):
        long = embedder.embed_long("cat dog. " * 30, normalize=False)
        weights = [span.tokens for span in long.spans]
        np.testing.assert_allclose(long.mean, np.average(long.vectors, axis=0, weights=weights), atol=1e-5)

    def test_a_text_that_fits_has_its_usual_vector(self, embedder):
        np.testing.assert_allclose(embedder.embed_long("a cat").mean, embedder.embed_documents(["a cat"])[0], atol=1e-6)

    @pytest.mark.parametrize("value", [None, ["a cat"], b"a cat"])
    def test_anything_but_a_text_is_refused(self, embedder, value):
        with pytest.raises(TextTypeError):
            embedder.embed_long(value)


class TestStrangeOptions:
    """A value that an option cannot have raises one of our errors, before any work."""

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
    def test_in_embed_long(self, embedder, options, message):
        with pytest.raises(OptionError, match=message):
            embedder.embed_long("the cat", **options)

    @pytest.mark.parametrize("array", [np.array([True, False]), np.array(["float32", "int8"]), np.arange(10_000)])
    @pytest.mark.parametrize("option", ["normalize", "output_dtype", "truncate_dim", "prompt_name", "prompt"])
    def test_in_embed_documents(self, embedder, option, array):
        for value in (array, [array], {"a": array}, object()):
            with pytest.raises(OptionError) as raised:
                embedder.embed_documents(["cat"], **{option: value})
            assert len(str(raised.value)) < 300

    @pytest.mark.parametrize("value", [np.array(["int8", "native"]), [], {}, None, 3, object(), "\0"])
    @pytest.mark.parametrize("option", ["dtype", "engine", "on_truncation"])
    def test_in_the_constructor(self, tiny_bert, option, value):
        with pytest.raises(OptionError, match=option):
            Embedder(tiny_bert, **{option: value})

    @pytest.mark.parametrize("value", [True, 1e9, 0, -1, "2", [2], np.arange(2), 10**9])
    @pytest.mark.parametrize("engine", ["native", "reference"])
    def test_threads(self, tiny_bert, value, engine):
        with pytest.raises(OptionError, match="threads="):
            Embedder(tiny_bert, threads=value, engine=engine)

    @pytest.mark.parametrize("value", [None, 3, [], np.array(["cpu"])])
    def test_devices(self, tiny_bert, value):
        with pytest.raises(OptionError, match="device is of type"):
            Embedder(tiny_bert, device=value)

    def test_numpy_integers_are_integers(self, tiny_bert, tmp_path):
        cached = Embedder(tiny_bert, cache=tmp_path / "cache")
        assert cached.embed_query("cat", truncate_dim=np.int64(5)).shape == (5,)

    @pytest.mark.parametrize("how", ["call", "cache", "count"])
    def test_numpy_strings_are_texts(self, tiny_bert, tmp_path, embedder, how):
        texts = np.array(["the cat", "dog"])
        task = Embedder(tiny_bert, cache=tmp_path / "cache") if how == "cache" else embedder
        if how == "count":
            assert task.count_tokens(texts).tolist() == [4, 3]
        else:
            assert task.embed_documents(texts).tobytes() == embedder.embed_documents(["the cat", "dog"]).tobytes()

    def test_a_lone_surrogate_in_a_prompt_is_an_error_about_the_prompt(self, embedder, tmp_path):
        prompted = Embedder(tiny.write_model(tmp_path / "m", prompts={"query": "a\udc00"}))
        for use in (embedder.embed_documents, embedder.embed_stream):
            with pytest.raises(TextError, match=r"^the prompt has a lone surrogate"):
                use(["cat"], prompt="a\udc00")
        for use in (embedder.embed_query, embedder.embed_long, embedder.trace):
            with pytest.raises(TextError, match=r"^the prompt has a lone surrogate"):
                use("cat", prompt="a\udc00")
        with pytest.raises(TextError, match=r"^the prompt 'query' of .* has a lone surrogate"):
            prompted.embed_query("cat")

    def test_a_trace_that_cannot_open_the_weights_says_why(self, tiny_bert, monkeypatch):
        embedder = Embedder(tiny_bert)

        def fail(*_):
            raise OSError(errno.EMFILE, "Too many open files")

        monkeypatch.setattr("pellucid.encoder.encoder.load_weights", fail)
        with pytest.raises(ModelError, match=r"Too many open files. If too many files are open, close some"):
            embedder.trace("cat")


class TestMostSimilar:
    DOCUMENTS = ("Rent is due on the first.", "The lease ends in June.", "Dogs are loyal companions.")

    def test_it_ranks_texts_by_their_cosine(self, minilm):
        ranked = minilm.most_similar("When do I have to pay?", self.DOCUMENTS)
        cosines = minilm.embed_documents(self.DOCUMENTS) @ minilm.embed_query("When do I have to pay?")
        assert [match.index for match in ranked] == [0, 1, 2]
        assert [match.score for match in ranked] == pytest.approx(cosines.tolist(), abs=1e-6)
        assert minilm.most_similar("When do I have to pay?", self.DOCUMENTS, k=1) == ranked[:1]

    def test_vectors_do_as_well_as_texts(self, minilm):
        vectors = minilm.embed_documents(self.DOCUMENTS)
        query = "Do dogs like people?"
        expected = minilm.most_similar(query, self.DOCUMENTS)
        assert (
            minilm.most_similar(query, vectors) == minilm.most_similar(minilm.embed_query(query), vectors) == expected
        )

    def test_queries_and_documents_get_their_own_prompts(self, prompted):
        ranked = prompted.most_similar("cat", ["cat", "dog"])
        vectors = prompted.embed_documents(["cat", "dog"], prompt_name="passage")
        expected = similarity(prompted.embed_query("cat", prompt_name="query"), vectors)
        assert {match.index: match.score for match in ranked} == pytest.approx(dict(enumerate(expected)), abs=1e-6)

    def test_lists_of_vectors_and_arrays_of_texts_do_too(self, minilm):
        expected = minilm.most_similar("cat", self.DOCUMENTS)
        vectors = minilm.embed_documents(self.DOCUMENTS)
        assert minilm.most_similar("cat", vectors.tolist()) == minilm.most_similar("cat", list(vectors)) == expected
        assert minilm.most_similar("cat", np.array(self.DOCUMENTS)) == expected
        assert minilm.most_similar("cat", np.array(self.DOCUMENTS, dtype=object)) == expected

    def test_no_documents_give_no_matches(self, minilm):
        assert minilm.most_similar("cat", []) == []

    def test_a_wrong_argument_is_named(self, minilm):
        with pytest.raises(OptionError, match="k=0 must be a whole number of at least 1"):
            minilm.most_similar("cat", ["dog"], k=0)
        with pytest.raises(TextTypeError, match="texts is of type str"):
            minilm.most_similar("cat", "dog")
        with pytest.raises(InputError, match=r"query has the shape \(2, 384\); it must be a text or one vector"):
            minilm.most_similar(np.ones((2, 384)), ["dog"])
        with pytest.raises(InputError, match="The vectors of 'queries' have 384 numbers each, those of 'vectors' 5"):
            minilm.most_similar("cat", np.ones((2, 5)))


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("encode", r"embed_documents\(texts\), or embed_query\(text\) for a query"),
        ("embed", r"embed_documents\(texts\)"),
        ("similarity", r"pellucid.similarity\(a, b\) for vectors"),
        ("semantic_search", r"most_similar\(query, documents\)"),
        ("get_sentence_embedding_dimension", "dimensions"),
        ("max_seq_length", "max_tokens"),
        ("to", "the option device= when you create it"),
    ],
)
def test_a_name_of_another_library_is_answered_with_ours(minilm, name, hint):
    with pytest.raises(AttributeError, match=rf"^Embedder has no attribute '{name}'. Use .*{hint}"):
        getattr(minilm, name)
    assert not hasattr(minilm, name)


@pytest.mark.parametrize(
    ("option", "hint"),
    [
        ("dype", " Did you mean dtype?"),
        ("cache_dir", " Did you mean cache_folder?"),
        ("max_seq_length", " Did you mean max_tokens?"),
        ("model", " Did you mean model_name?"),
        ("qqq", ""),
    ],
)
def test_a_wrong_option_is_answered_with_ours(option, hint):
    with pytest.raises(TypeError) as caught:
        Embedder("no/such-model", **{option: "x"})
    assert str(caught.value) == f"Embedder has no option {option!r}.{hint}"


def test_a_subclass_may_have_options_of_its_own(tiny_bert):
    class Mine(Embedder):
        def __init__(self, folder, *, colour):
            super().__init__(folder)
            self.colour = colour

    assert Mine(tiny_bert, colour="red").colour == "red"
    with pytest.raises(TypeError, match=r"^Mine has no option 'color'. Did you mean colour\?$"):
        Mine(tiny_bert, color="red")
    assert list(inspect.signature(Embedder).parameters)[:2] == ["model_name", "dtype"]


def test_what_other_names_point_to_exists(minilm):
    for hint in Embedder.other_names.values():
        names = hint.split("(")[0].split(",")[0].split()[0].split(".")
        owner = {"pellucid": pellucid, "the": None}.get(names[0], minilm)
        if owner is pellucid and names[1] == "langchain":
            assert importlib.util.find_spec("pellucid.langchain")
        elif owner is not None:
            assert functools.reduce(getattr, names[owner is pellucid :], owner) is not None


async def test_texts_can_be_embedded_in_an_event_loop(tiny_bert):
    embedder, texts = Embedder(tiny_bert), ["the cat", "a dog"]
    documents, query = await asyncio.gather(
        embedder.aembed_documents(texts, truncate_dim=4), embedder.aembed_query("the cat", normalize=False)
    )
    assert documents.tobytes() == embedder.embed_documents(texts, truncate_dim=4).tobytes()
    assert query.tobytes() == embedder.embed_query("the cat", normalize=False).tobytes()


@pytest.mark.parametrize("make", [np.array, pa.array, lambda texts: pa.chunked_array([texts[:1], texts[1:]]), iter])
def test_columns_of_texts_are_lists_of_texts(tiny_bert, make):
    embedder, texts = Embedder(tiny_bert), ["the cat", "a dog", "the cat sat"]
    assert embedder.embed_documents(make(texts)).tobytes() == embedder.embed_documents(texts).tobytes()


def test_a_column_with_a_gap_names_its_place(tiny_bert):
    with pytest.raises(TextTypeError, match="text 1 is of type NoneType"):
        Embedder(tiny_bert).embed_documents(pa.array(["the cat", None]))


def test_queries_may_have_an_encoder_of_their_own(tmp_path):
    folder = tiny.write_asymmetric_model(tmp_path / "m")
    plain = [tiny.write_model(tmp_path / str(seed), seed=seed, modules=["Pooling"]) for seed in (0, 1)]
    both, query, document = Embedder(folder), Embedder(plain[0]), Embedder(plain[1])
    np.testing.assert_array_equal(both.embed_query("the cat"), query.embed_query("the cat"))
    np.testing.assert_array_equal(both.embed_documents(["the cat"]), document.embed_documents(["the cat"]))
    assert both.trace("the cat").vector.tolist() == query.trace("the cat").vector.tolist()
    assert both.for_queries.digest != both.digest
    assert query.for_queries is query
    copy = pickle.loads(pickle.dumps(both))  # noqa: S301
    np.testing.assert_array_equal(copy.embed_query("the cat"), query.embed_query("the cat"))
    with pytest.raises(UnsupportedModelError, match="queries and documents in different ways"):
        both.compare("the cat", "a dog")
    cached = Embedder(folder, cache=tmp_path / "vectors.db")
    for _ in range(2):
        np.testing.assert_array_equal(cached.embed_query("the cat"), query.embed_query("the cat"))
        np.testing.assert_array_equal(cached.embed_documents(["the cat"]), document.embed_documents(["the cat"]))
