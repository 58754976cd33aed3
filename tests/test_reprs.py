"""A notebook shows the repr of whatever a cell ends with. So each is short, whatever the object holds."""

from __future__ import annotations

import dataclasses
import inspect
import pkgutil
import re
import warnings
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pytest
from docs.build import DOCS

from pellucid import (
    Classifier,
    Embedder,
    MultiVectorEmbedder,
    Reranker,
    SparseEmbedder,
    TokenBatch,
    catalog,
    cluster,
    near_duplicates,
)
from pellucid.batch import ray
from pellucid.batch.embedding import EmbedOptions
from pellucid.batch.multi_vector import MultiVectorOptions
from pellucid.batch.runner import Progress, Report
from pellucid.batch.scoring import ClassifyOptions, RerankOptions
from pellucid.batch.sparse import SparseOptions
from pellucid.cache.codecs import VectorCodec
from pellucid.cache.store import Cache
from pellucid.distillation import Distilled
from pellucid.engines.dtypes import NATIVE_DTYPES
from pellucid.engines.registry import EngineEntry
from pellucid.explain.lifecycle import Lifecycle, ModelFile, Phase
from pellucid.explain.text_map import text_map
from pellucid.explain.words import word_shares
from pellucid.files.walk import SkippedFile
from pellucid.layers.dense import Dense
from pellucid.layers.finish import EachToken, Several
from pellucid.layers.lexical import LexicalWeights
from pellucid.layers.token_pooling import TokenPooling
from pellucid.layers.vocabulary import AutoEncoder, SparseCode
from pellucid.model.spec import AutoEncoderSpec, DisentangledSpec, NormPlaces, NormSpec, RelativeBiasSpec
from pellucid.reprs import MAX_CHARACTERS, short_repr, short_text
from pellucid.search.index import Index
from pellucid.sentence_transformers import CrossEncoder, MultiVectorEncoder, SentenceTransformer, SparseEncoder
from pellucid.server.settings import Limits, Settings
from pellucid.sources.files import Digest
from pellucid.types import MultiVectors
from tests import multi_vector_models, tiny

EVIL = "\x1b[31m\r\n<b>" + "a cat and a dog " * 600
RECORDS = {"EngineEntry", "Limits", "Report", "Settings"}
"""Records of plain numbers and names. All of them are shown, on a few lines."""
LINES = 6
CONTRACTS = {
    *("Codec", "SimilarityFunction", "Create", "Executor", "Engine", "Finish", "Module", "Question", "ReadingTask"),
    "VectorKind",
}
"""On the pages of the API, but there are only objects of their subclasses; or it is an enum, whose repr is Python's."""
SAME_AS_THE_ORIGINAL = {"HuggingFaceCrossEncoder", "HuggingFaceEmbeddings"}
"""Its repr is that of the class that it stands in for."""


@pytest.fixture(scope="module")
def objects(tmp_path_factory) -> list[Any]:
    """Objects of all public classes, with long and hostile texts where there can be texts."""
    tmp_path = tmp_path_factory.mktemp("reprs")
    folder = tiny.write_model(
        tmp_path / ("a-long-name-" * 15),
        modules=["Pooling", "Dense", "LayerNorm", "Normalize"],
        prompts={"p": EVIL[:9000]},
    )
    (tmp_path / "notes.txt").write_text(EVIL.replace("\x1b", ""), encoding="utf-8")
    cache = Cache(tmp_path / "vectors.db")
    embedder = Embedder(folder, on_truncation="ignore", cache=cache)
    embedder.embed_documents(["the cat"])
    index = Index.create(tmp_path / "index", embedder)
    progress: list[Any] = []
    summary = index.update([tmp_path / "notes.txt"], on_progress=progress.append)
    encoder, plain = embedder.encoder, Embedder(tiny.write_model(tmp_path / "plain"), on_truncation="cut")
    reranker = Reranker(tiny.write_scoring_model(tmp_path / "reranker"), on_truncation="cut")
    sparse = SparseEmbedder(tiny.write_splade_model(tmp_path / "sparse"), on_truncation="cut")
    multi_vector = MultiVectorEmbedder(multi_vector_models.write_model(tmp_path / "multi"), on_truncation="cut")
    each = encoder.run(TokenBatch.from_sequences([[1, 2], [3]]), EachToken())
    return [
        # These come first, so they are looked at last: their spec has no pooling, and to ask for it is an error.
        multi_vector,
        multi_vector.explain("the cat", EVIL[:200]),
        MultiVectorEncoder(str(multi_vector.files.folder)),
        embedder,
        cache.state(),
        cache.get([], VectorCodec(8)),
        embedder.tokenizer.inspect(EVIL),
        embedder.tokenizer.tokenize(["the cat"] * 1000)[0],
        embedder.embed_long(EVIL),
        embedder.trace(EVIL),
        embedder.compare(EVIL, EVIL),
        word_shares(plain.compare(EVIL, "a cat")),
        text_map(encoder, [EVIL] * 30, labels=[EVIL] * 30, on_truncation="ignore"),
        embedder.finish(),
        reranker,
        reranker.explain(EVIL, EVIL),
        Classifier(reranker.encoder),
        sparse,
        sparse.embed_documents(["the cat"] * 1000),
        sparse.explain(EVIL, EVIL),
        sparse.finish(),
        sparse.spec.vocabulary,
        *sparse.spec.stages,
        SparseEmbedder(tiny.write_inference_free_model(tmp_path / "inference-free")).for_queries,
        AutoEncoderSpec("2_SparseAutoEncoder", 16, 64, 9),
        autoencoder := AutoEncoder(*np.ones((3, 2, 2), dtype=np.float32), 1),
        SparseCode(embedder.finish(), autoencoder),
        SparseEncoder(str(sparse.files.folder)),
        CrossEncoder(str(reranker.files.folder)),
        SentenceTransformer(str(plain.files.folder)),
        EachToken(),
        multi_vector.finish("document"),
        multi_vector.finish("document").mask,
        TokenPooling(2),
        Several((embedder.finish(), EachToken())),
        LexicalWeights(Dense(np.ones((1, 16), dtype=np.float32), None, "relu"), 1000, tuple(range(500))),
        embedder.reading("document"),
        MultiVectors(each.vectors, each.offsets),
        *embedder.most_similar("the cat", [EVIL] * 30),
        near_duplicates(np.eye(1000)),
        cluster(np.eye(50), k=2, texts=[EVIL] * 50),
        *cluster(np.eye(50), k=2, texts=[f"{'long' * 9}{letter}" for letter in "abcde" * 10]),
        encoder.reference,
        index,
        index.search("the cat", 3, mode="vector"),
        summary,
        progress[-1],
        SkippedFile(tmp_path, EVIL, EVIL),
        Digest("sha256", "0" * 64, 1 << 40),
        NormPlaces(NormSpec(1e-12), NormSpec(1e-12), NormSpec(1e-12)),
        RelativeBiasSpec(32),
        DisentangledSpec(256, 256, 512, True, True, True, NormSpec(1e-7)),
        EngineEntry("native", NATIVE_DTYPES, "pellucid.engines.native"),
        EmbedOptions(prompt=EVIL),
        RerankOptions(prompt=EVIL),
        ClassifyOptions(prompt=EVIL),
        SparseOptions(prompt=EVIL),
        MultiVectorOptions(prompt=EVIL),
        Distilled(tmp_path / EVIL[:99].replace("/", ""), 1 << 20, 256, 0.987654321),
        Progress(1, 2, 3),
        Report(*range(9), 0.5, 100.0),
        ray.Cluster(),
        Limits(),
        Settings(models=("m",), keys=("a secret key",)),
        Lifecycle(
            EVIL,
            EVIL,
            EVIL,
            (Phase("import", 1.0, 2, 3, (EVIL,) * 9),),
            (ModelFile(EVIL, 1 << 40, "0" * 64, official=True),),
        ),
        *catalog.entries(),
    ]


def reachable(values: Sequence[Any]) -> Iterator[Any]:
    """The objects of our own classes: the values themselves, and what their public attributes hold, at any depth."""
    queue, seen = list(values), set()
    while queue:
        value = queue.pop()
        if isinstance(value, Mapping):
            queue += [*value.values()][:5]
        elif isinstance(value, list | tuple | frozenset):
            queue += [*value][:5]
        elif type(value).__module__.startswith("pellucid."):
            yield value
            if type(value) in seen:
                continue
            seen.add(type(value))
            names = [name for name in dir(value) if not name.startswith("_")]
            with warnings.catch_warnings(action="ignore", category=DeprecationWarning):  # There are older names.
                queue += [got for name in names if not callable(got := getattr(value, name))]


def test_each_object_that_a_cell_can_end_with_has_a_short_repr(objects):
    for found in reachable(objects):
        name, text = type(found).__name__, repr(found)
        limit = MAX_CHARACTERS * (LINES if name in RECORDS else 1)
        assert len(text) <= limit, f"{name}: {len(text):,} characters: {text[:300]}"
        assert text.isprintable(), f"{name}: {text!r}"
        assert re.match(rf"{name}\(.+\)$|{name}\(\)$", text), text


def test_no_public_class_is_missed(objects):
    pages = [path.read_text(encoding="utf-8") for path in (DOCS / "api").glob("*.md")]
    names = {name for page in pages for name in re.findall(r"autoclass:: (\S+)", page)}
    # The reprs of classes for other libraries are those of their bases, and their libraries need not be here.
    public = {pkgutil.resolve_name(name) for name in names if not name.startswith("pellucid.integrations.")}
    shown = {cls for found in reachable(objects) for cls in type(found).__mro__}
    missed = {cls.__name__ for cls in public - shown if not issubclass(cls, Exception)}
    assert missed <= CONTRACTS | SAME_AS_THE_ORIGINAL, "give the fixture one of these"
    assert not any(inspect.isabstract(cls) for cls in public & shown if cls.__name__ not in CONTRACTS)


def test_a_repr_says_the_essential(tmp_path):
    embedder = Embedder(tiny.write_model(tmp_path / "m"))
    trace = embedder.trace("the cat")
    assert repr(trace) == "Trace('the cat', 4 tokens, 9 stages, 16 numbers)"
    assert repr(trace.stage("pooling")) == "Stage('pooling', pooled [16])"
    assert repr(trace.stage("text")) == "Stage('text')"
    comparison = embedder.compare("the cat", "the")
    assert repr(comparison) == f"Comparison(cosine={comparison.cosine:.4f}, 4 × 3 tokens)"
    assert repr(TokenBatch.from_sequences([[1], [2, 3]])) == "TokenBatch(2 texts, 3 tokens)"
    assert repr(TokenBatch.from_sequences([[1]])) == "TokenBatch(1 text, 1 token)"
    assert repr(embedder.embed_long("the cat")) == "LongText(1 chunk, 4 tokens, 16 numbers)"
    assert repr(text_map(embedder.encoder, ["the", "cat"], labels=["a", "a"])) == "TextMap(2 texts, 1 label, PCA)"
    assert repr(embedder.engine) == "NativeEngine(dtype='float32', device='cpu')"
    assert repr(Cache(tmp_path / "c.db", max_bytes=5)).endswith("c.db', max_bytes=5)")


def test_a_key_of_the_server_is_not_shown():
    assert "secret" not in repr(Settings(models=("m",), keys=("a secret key",)))


@dataclasses.dataclass
class Example:
    name: str
    values: Any = None
    more: Any = None

    __repr__ = short_repr


def test_a_short_repr_has_as_many_fields_as_fit():
    assert repr(Example("a")) == "Example(name='a', values=None, more=None)"
    assert repr(Example("a", np.zeros((2, 3), np.float32), {})) == "Example(name='a', values=float32[2, 3], more={})"
    assert repr(Example("a", range(3), [1] * 5_000)) == "Example(name='a', values=range(0, 3), more=<5,000 items>)"
    assert repr(Example("a", ("b" * 80,))) == "Example(name='a', values=<1 item>, more=None)"
    long = Example("a", Example("b", "c" * 50, "d" * 50), 1)
    assert repr(long) == "Example(name='a', values=Example(…), more=1)"
    assert repr(Example("a", "b" * 99, "c" * 99)).endswith(", …)")


def test_a_short_text_is_escaped_and_loses_its_middle():
    assert short_text("a\x1b\n") == r"'a\x1b\n'"
    assert short_text("a" * 50 + "b" * 50, 11) == "'aaa…bbb'"
    assert short_text("a" * 11, 13) == repr("a" * 11)
