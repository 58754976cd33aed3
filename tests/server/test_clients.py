"""Clients that other people wrote, with a real server process. ``make test-integrations`` runs these tests."""

from __future__ import annotations

import gc
import os

import numpy as np
import pytest

from tests.server.process import process

if "PELLUCID_INTEGRATIONS" not in os.environ:
    pytest.skip("make test-integrations runs this", allow_module_level=True)

KEY = "a-key-of-the-tests"
ALIAS = "text-embedding-3-small"
# Some of these clients leave their connections to the garbage collector.
pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
TEXTS = ["the cat", "the cat sat on the mat", "A dog, a cat!"]


@pytest.fixture(autouse=True)
def _collected():
    """Collect garbage after each test, so that its warnings appear here, where they are expected."""
    yield
    gc.collect()


@pytest.fixture(scope="module")
def url(model):
    with process("--model", model, "--alias", f"{ALIAS}=tiny", PELLUCID_API_KEYS=KEY) as server:
        yield server.url


@pytest.fixture(scope="module")
def expected(embedder):
    return embedder.embed_documents(TEXTS)


def same(found, expected):
    assert (np.array(found, dtype=np.float32) == expected).all()


def test_openai(url, expected, embedder):
    from openai import OpenAI

    with OpenAI(base_url=f"{url}/v1", api_key=KEY) as client:
        answer = client.embeddings.create(model="tiny", input=TEXTS)  # By default, this client asks for base64.
        same([item.embedding for item in answer.data], expected)
        assert answer.usage.total_tokens == int(embedder.count_tokens(TEXTS).sum())
        answer = client.embeddings.create(model="tiny", input=TEXTS, encoding_format="float")
        same([item.embedding for item in answer.data], expected)
        ids = [ids.tolist() for ids in embedder.tokenizer.tokenize(TEXTS)[0]]
        same([item.embedding for item in client.embeddings.create(model="tiny", input=ids).data], expected)
        assert [model.id for model in client.models.list()] == ["tiny", ALIAS]


def test_openai_by_an_alias(url, expected):
    from openai import BadRequestError, OpenAI

    with OpenAI(base_url=f"{url}/v1", api_key=KEY, max_retries=0) as client:
        answer = client.embeddings.create(model=ALIAS, input=TEXTS)
        same([item.embedding for item in answer.data], expected)
        assert answer.model == ALIAS
        assert client.models.retrieve(ALIAS).to_dict()["root"] == "tiny"
        with pytest.raises(BadRequestError, match=r"dimensions: 1,536 is more than the model's 16\. Leave it out"):
            client.embeddings.create(model=ALIAS, input=TEXTS, dimensions=1536)
        with pytest.raises(BadRequestError, match="set check_embedding_ctx_length=False"):
            client.embeddings.create(model=ALIAS, input=[[15, 12]])  # as LangChain does, with ids of OpenAI's tokenizer


async def test_openai_async(url, expected):
    from openai import AsyncOpenAI

    async with AsyncOpenAI(base_url=f"{url}/v1", api_key=KEY) as client:
        answer = await client.embeddings.create(model="tiny", input=TEXTS)
        same([item.embedding for item in answer.data], expected)


def test_openai_understands_our_errors(url):
    from openai import AuthenticationError, BadRequestError, NotFoundError, OpenAI

    with (
        OpenAI(base_url=f"{url}/v1", api_key="another-key", max_retries=0) as client,
        pytest.raises(AuthenticationError),
    ):
        client.embeddings.create(model="tiny", input="a")
    with OpenAI(base_url=f"{url}/v1", api_key=KEY, max_retries=0) as client:
        with pytest.raises(NotFoundError, match="It serves 'tiny'"):
            client.embeddings.create(model="other", input="a")
        with pytest.raises(BadRequestError) as caught:
            client.embeddings.create(model="tiny", input="cat " * 200)
        assert caught.value.code == "context_length_exceeded"


@pytest.mark.parametrize("path", ["", "/embed"])
def test_huggingface_hub(url, embedder, path):
    from huggingface_hub import InferenceClient

    client = InferenceClient(base_url=f"{url}{path}", api_key=KEY)
    for text in TEXTS:
        same(client.feature_extraction(text)[0], embedder.embed_documents([text], normalize=True)[0])
    found = client.feature_extraction(TEXTS[0], normalize=False, prompt_name="query", truncate=True)
    same(found[0], embedder.embed_documents(TEXTS[:1], normalize=False, prompt_name="query")[0])


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
async def test_langchain(url, expected):
    from langchain_openai import OpenAIEmbeddings

    # Otherwise LangChain tokenizes for OpenAI's models, and those ids mean other words here.
    embeddings = OpenAIEmbeddings(
        model="tiny", base_url=f"{url}/v1", api_key=KEY, check_embedding_ctx_length=False, tiktoken_enabled=False
    )
    same(embeddings.embed_documents(TEXTS), expected)
    same(embeddings.embed_query(TEXTS[1]), expected[1])
    same(await embeddings.aembed_documents(TEXTS), expected)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_llamaindex(url, expected):
    from llama_index.embeddings.openai import OpenAIEmbedding

    embedding = OpenAIEmbedding(model_name="tiny", api_base=f"{url}/v1", api_key=KEY)
    same(embedding.get_text_embedding_batch(TEXTS), expected)
    same(embedding.get_query_embedding(TEXTS[1]), expected[1])
