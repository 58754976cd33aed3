from __future__ import annotations

import copy
import itertools
import json
import pickle
import threading
import warnings

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from pellucid import Embedder, TruncationWarning
from pellucid.cache.store import Cache
from pellucid.errors import InvalidModelError, OptionError, TextTypeError, TruncationError
from tests import tiny

TEXTS = ["the cat sat on the mat", "a dog", "", "cat " * 60, "  ", "dog, dog!"]


@pytest.fixture(scope="module")
def embedder(tiny_bert) -> Embedder:
    return Embedder(tiny_bert, on_truncation="ignore")


class TestCopies:
    def test_unpickling_loads_the_model_again_with_the_same_options(self, tiny_bert, tmp_path):
        cache = Cache(tmp_path / "vectors.db", max_bytes=10_000_000)
        original = Embedder(tiny_bert, dtype="int8", threads=1, cache=cache, token="hf_secret", on_truncation="ignore")
        original.on_truncation = "error"
        pickled = pickle.dumps(original)
        loaded = pickle.loads(pickled)  # noqa: S301  This test made the pickle.
        assert loaded.embed_documents(TEXTS[:3]).tobytes() == original.embed_documents(TEXTS[:3]).tobytes()
        assert (loaded.engine.dtype, loaded.engine.threads, loaded.on_truncation) == ("int8", 1, "error")
        assert (loaded.cache.path, loaded.cache.max_bytes) == (cache.path, cache.max_bytes)
        assert b"secret" not in pickled

    def test_a_copy_is_another_object_with_the_same_vectors(self, embedder):
        copied = copy.deepcopy(embedder)
        assert copied is not embedder
        assert copied.embed_query("cat").tobytes() == embedder.embed_query("cat").tobytes()

    def test_the_working_directory_may_change(self, tiny_bert, tmp_path, monkeypatch):
        monkeypatch.chdir(tiny_bert.parent)
        embedder = Embedder(tiny_bert.name, cache=tmp_path / "vectors.db")
        monkeypatch.chdir(tmp_path)
        assert embedder.trace("cat").vector.shape == embedder.embed_query("cat").shape
        assert embedder.model_name == tiny_bert.name


class TestMaxTokens:
    """``max_tokens`` may differ from the model's own limit."""

    def test_a_text_is_cut_at_max_tokens(self, tiny_bert, embedder):
        lower = Embedder(tiny_bert, max_tokens=6, on_truncation="ignore")
        assert (lower.max_tokens, lower.spec.tokenizer.max_tokens, lower.tokenizer.spec.max_tokens) == (6, 6, 6)
        assert lower.embed_query("cat " * 9).tobytes() == embedder.embed_query("cat " * 4).tobytes()
        assert lower.embed_query("the cat").tobytes() == embedder.embed_query("the cat").tobytes()
        with pytest.warns(TruncationWarning, match="longer than the model's 6 tokens"):
            Embedder(tiny_bert, max_tokens=6).embed_query("cat " * 9)

    def test_more_is_read_where_the_encoder_can(self, broken, embedder):
        tiny.edit_json(broken / "sentence_bert_config.json", max_seq_length=6)
        text = "the cat sat on the mat " * 2
        own, raised = Embedder(broken, on_truncation="ignore"), Embedder(broken, max_tokens=20)
        assert (own.max_tokens, raised.max_tokens) == (6, 20)
        assert raised.embed_query(text).tobytes() == embedder.embed_query(text).tobytes()
        assert own.embed_query(text).tobytes() != embedder.embed_query(text).tobytes()
        assert len({own.digest, raised.digest, Embedder(broken, max_tokens=19).digest}) == 3

    def test_copies_keep_max_tokens(self, tiny_bert):
        assert copy.copy(Embedder(tiny_bert, max_tokens=6)).max_tokens == 6

    @pytest.mark.parametrize("value", [0, -1, True, 2.5, "6", [6], 2, 41, 10**40, np.arange(3)])
    def test_an_impossible_value_is_refused(self, tiny_bert, value):
        with pytest.raises(OptionError, match=r"max_tokens=.* must be (a whole number|from 3 .* to 40)"):
            Embedder(tiny_bert, max_tokens=value)

    def test_a_cache_keeps_the_vectors_apart(self, tiny_bert, tmp_path, embedder):
        text, options = "cat " * 9, {"cache": tmp_path / "cache", "on_truncation": "ignore"}
        lower, whole = Embedder(tiny_bert, max_tokens=6, **options), Embedder(tiny_bert, max_tokens=24, **options)
        assert lower.embed_query(text).tobytes() != whole.embed_query(text).tobytes()
        assert whole.embed_query(text).tobytes() == embedder.embed_query(text).tobytes()
        assert lower.embed_query(text).tobytes() == embedder.embed_query("cat " * 4).tobytes()
        assert whole.digest == whole.files.digest()  # So caches of older versions stay valid.


class TestStream:
    def test_a_stream_gives_the_same_bits_as_a_call(self, embedder):
        texts = [f"cat {number}" for number in range(5000)]
        windows = list(embedder.embed_stream(iter(texts)))
        assert len(windows) > 1
        assert np.concatenate(windows).tobytes() == embedder.embed_documents(texts).tobytes()

    def test_a_stream_reports_its_progress_in_small_steps(self, embedder):
        texts = [f"cat {number} " + "cat " * 15 for number in range(2500)]
        steps: list[int] = []
        first = next(embedder.embed_stream(texts, advance=steps.append))
        assert sum(steps) == len(first)
        assert max(steps) < len(first) / 2
        steps.clear()
        windows = list(embedder.embed_stream(texts, advance=steps.append))
        assert sum(steps) == sum(map(len, windows)) == len(texts)

    def test_a_stream_takes_no_more_texts_than_it_needs(self, embedder):
        taken = itertools.count()
        stream = embedder.embed_stream("cat" for _ in iter(lambda: next(taken), -1))
        first = next(stream)
        assert next(taken) <= len(first) + 1
        stream.close()

    @pytest.mark.parametrize("texts", ["cat", b"cat", {"cat": 1}, {"cat"}, None, np.array("cat")])
    def test_anything_but_an_iterable_of_texts_is_refused(self, embedder, texts):
        with pytest.raises(TextTypeError, match=r"^texts (is of type|cannot be iterated over)"):
            embedder.embed_stream(texts)

    def test_an_empty_stream_ends(self, embedder):
        assert list(embedder.embed_stream([])) == []

    def test_a_position_counts_from_the_start_of_the_stream(self, embedder):
        stream = embedder.embed_stream(itertools.chain(["cat"] * 4000, [None]))
        assert len(next(stream)) > 0
        with pytest.raises(TextTypeError, match="text 4000 is of type NoneType"):
            list(stream)

    @pytest.mark.parametrize("dtype", ["int8", "uint8"])
    def test_dtypes_that_need_all_vectors_are_refused(self, embedder, dtype):
        with pytest.raises(OptionError, match="needs the ranges of all vectors"):
            embedder.embed_stream(["cat"], output_dtype=dtype)

    def test_there_is_one_truncation_warning_at_the_end(self, tiny_bert):
        embedder = Embedder(tiny_bert)
        texts = ["cat " * 30 if number % 1000 == 0 else "cat" for number in range(5000)]
        with pytest.warns(TruncationWarning) as warned:
            list(embedder.embed_stream(texts))
        assert [str(warning.message)[:45] for warning in warned] == ["5 of 5,000 texts are longer than the model's "]
        assert warned[0].filename == __file__

    def test_a_stream_that_is_closed_early_warns_where_it_is_closed(self, tiny_bert):
        stream = Embedder(tiny_bert).embed_stream(["cat " * 30] * 5000)
        next(stream)
        with pytest.warns(TruncationWarning, match="2,048 of 2,048 texts") as warned:
            stream.close()
        assert warned[0].filename == __file__


class TestTruncation:
    def test_by_default_a_call_gives_one_warning_with_numbers(self, tiny_bert):
        with pytest.warns(TruncationWarning) as warned:
            Embedder(tiny_bert).embed_documents(["cat", "cat " * 30, "cat " * 98])
        assert [str(warning.message) for warning in warned] == [
            "2 of 3 texts are longer than the model's 24 tokens (the first is text 1): 84 of 135 tokens (62.2%) are "
            "over the limit and were cut off."
        ]
        assert warned[0].filename == __file__

    @pytest.mark.parametrize("cut", ["cut", "ignore"])
    def test_cut_and_its_older_name_do_not_warn(self, tiny_bert, cut):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            Embedder(tiny_bert, on_truncation=cut).embed_query("cat " * 30)

    def test_error_raises_before_any_arithmetic(self, tiny_bert, monkeypatch):
        embedder = Embedder(tiny_bert, on_truncation="error")
        monkeypatch.setattr(embedder.encoder, "engine", None)
        with pytest.raises(TruncationError, match="1 of 2 texts is longer than the model's 24 tokens"):
            embedder.embed_documents(["cat", "cat " * 30])

    def test_texts_that_fit_give_no_warning(self, tiny_bert):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            Embedder(tiny_bert).embed_documents(["cat " * 22])

    def test_a_cut_text_has_the_vector_of_the_part_that_is_kept(self, embedder):
        assert embedder.embed_query("cat " * 60).tobytes() == embedder.embed_query("cat " * 22).tobytes()


class TestPrefetching:
    """While an engine on another device computes, the next texts are tokenized."""

    @pytest.fixture
    def gpu_embedder(self, tiny_bert, monkeypatch) -> Embedder:
        monkeypatch.setattr("pellucid.task._TEXTS_PER_PREFETCH", 2)
        gpu_embedder = Embedder(tiny_bert)
        monkeypatch.setattr(gpu_embedder.engine, "device", "cuda")
        return gpu_embedder

    @pytest.mark.parametrize("count", range(len(TEXTS) + 1))
    @pytest.mark.filterwarnings("ignore::pellucid.errors.TruncationWarning")
    def test_the_vectors_are_the_same(self, gpu_embedder, embedder, count):
        vectors = gpu_embedder.embed_documents(TEXTS[:count])
        assert vectors.tobytes() == embedder.embed_documents(TEXTS[:count]).tobytes()

    def test_the_next_texts_are_tokenized_while_the_engine_works(self, gpu_embedder, monkeypatch):
        token_vectors, tokenize = gpu_embedder.engine.token_vectors, gpu_embedder.tokenizer.tokenize
        tokenized, second_part = [], threading.Event()

        def record(texts, *args, **options):
            tokenized.append(len(texts))
            if len(tokenized) == 2:
                second_part.set()
            return tokenize(texts, *args, **options)

        def wait_for_second_part(batch):
            assert second_part.wait(60)
            return token_vectors(batch)

        monkeypatch.setattr(gpu_embedder.tokenizer, "tokenize", record)
        monkeypatch.setattr(gpu_embedder.engine, "token_vectors", wait_for_second_part)
        assert gpu_embedder.embed_documents(["a cat"] * 5).shape == (5, gpu_embedder.dimensions)
        assert tokenized == [2, 2, 1]

    def test_there_is_one_warning_with_the_position_of_the_first_cut_text(self, gpu_embedder):
        with pytest.warns(TruncationWarning, match="2 of 6 texts .*the first is text 3") as warned:
            gpu_embedder.embed_documents(["a", "b", "c", "cat " * 60, "d", "dog " * 60])
        assert len(warned) == 1

    def test_a_bad_text_is_found_before_any_arithmetic(self, gpu_embedder, monkeypatch):
        monkeypatch.setattr(gpu_embedder.engine, "token_vectors", lambda _batch: pytest.fail("the engine was called"))
        with pytest.raises(TextTypeError, match="text 4 "):
            gpu_embedder.embed_documents(["a", "b", "c", "d", None])
        gpu_embedder.on_truncation = "error"
        with pytest.raises(TruncationError, match="text 3"):
            gpu_embedder.embed_documents(["a", "b", "c", "cat " * 60])


class TestNotFinite:
    """Huge weights give vectors that are not finite, although the weights themselves are finite."""

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
    def test_every_method_names_the_text(self, broken_model, engine, tmp_path):
        embedder = Embedder(broken_model, engine=engine)
        cached = Embedder(broken_model, engine=engine, cache=tmp_path / "cache")
        texts = ["dog", "the", "dog", "cat"]
        for task in (embedder, cached, cached):
            with pytest.raises(InvalidModelError, match="text 3 a vector that is not finite"):
                task.embed_documents(texts)
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

    def test_a_stream_counts_positions_from_its_start(self, broken_model, monkeypatch):
        monkeypatch.setattr(Embedder, "texts_per_window", 2)
        with pytest.raises(InvalidModelError, match="text 5 a vector"):
            list(Embedder(broken_model).embed_stream(iter(["dog"] * 5 + ["cat"])))


@pytest.mark.parametrize("name", ["max_tokens", "max_seq_length"])
def test_max_tokens_cannot_be_set_later(embedder, name):
    with pytest.raises(OptionError, match=r"cannot be set. Pass max_tokens= when you create the Embedder"):
        setattr(embedder, name, 6)


@pytest.mark.parametrize("name", ["normalize", "model_name", "embed_documents", "threads"])
def test_an_unknown_attribute_is_refused(embedder, name):
    with pytest.raises(OptionError, match=f"no attribute '{name}' that can be set"):
        setattr(embedder, name, 6)


@pytest.mark.parametrize(
    "options", [{"dtype": "int8"}, {"engine": "reference"}, {"threads": 2}, {"max_tokens": 6}, {"token": "hf_secret"}]
)
def test_options_of_an_encoder_are_refused_with_an_encoder(embedder, options):
    with pytest.raises(OptionError, match=f"^{next(iter(options))} belongs to the Encoder"):
        Embedder(embedder.encoder, **options)
    assert Embedder(embedder.encoder).encoder is embedder.encoder


def test_there_is_no_progress_bar_if_standard_error_is_not_a_terminal(embedder, capfd):
    embedder.embed_documents(["cat"] * 10, show_progress=True)
    assert capfd.readouterr() == ("", "")


def test_a_property_of_a_subclass_that_fails_keeps_its_own_error(tiny_bert):
    class Mine(Embedder):
        @property
        def broken(self):
            return self.files.nope

    with pytest.raises(AttributeError, match="nope"):
        Mine(tiny_bert).broken  # noqa: B018
