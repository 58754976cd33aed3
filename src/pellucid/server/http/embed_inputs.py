"""The bodies of requests for vectors from clients of Ollama, Jina and Cohere."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, StrictFloat, StrictInt, StrictStr

from pellucid.server.http.inputs import (
    STOP_AT_FIRST_ERROR,
    Body,
    Dimensions,
    InputType,
    ModelName,
    Text,
    Texts,
    Truncate,
    example,
    limited_by,
)
from pellucid.server.http.scoring_inputs import Priority

_CATS = ["The cat sat on the mat", "Dogs are loyal companions"]
_IGNORED = Field(description="Accepted and ignored.")
KeepAlive = Annotated[StrictStr | StrictInt | StrictFloat | None, _IGNORED]
Options = Annotated[dict[str, Any] | None, _IGNORED]
EmbeddingType = Literal["float", "binary", "ubinary", "base64", "int8", "uint8"]


class OllamaEmbedBody(Body):
    """The body of Ollama's `/api/embed` (https://docs.ollama.com/api/embed)."""

    model_config = example({"input": _CATS})

    input: Annotated[Text | Texts, Field(description="A text, or a list of texts.")]
    model: ModelName = None
    truncate: Truncate = True
    dimensions: Dimensions = None
    options: Options = None
    keep_alive: KeepAlive = None


class OllamaEmbeddingsBody(Body):
    """The body of Ollama's older `/api/embeddings`."""

    model_config = example({"prompt": "The cat sat on the mat"})

    prompt: Annotated[Text, Field(description="The text.")]
    model: ModelName = None
    options: Options = None
    keep_alive: KeepAlive = None


class MultiVectorBody(Body):
    """The body of Jina's `/v1/multi-vector`."""

    model_config = example({"input": _CATS, "input_type": "document"})

    input: Annotated[Text | Texts, Field(description="A text, or a list of texts.")]
    model: ModelName = None
    input_type: Annotated[
        Literal["query", "document"] | None, Field(description="What the texts are: `query` or `document`.")
    ] = "document"
    embedding_type: Annotated[
        Literal["float", "base64"] | None,
        Field(description="How vectors are written: as numbers (`float`), or as little-endian float32 in `base64`."),
    ] = "float"
    encoding_format: Annotated[
        Literal["float", "base64"] | None, Field(description="Another name of `embedding_type`.")
    ] = None
    dimensions: Annotated[
        int | None, Field(strict=True, ge=1, description="The length of a vector. Only the model's own is accepted.")
    ] = None
    truncate: Truncate = None


class CohereContent(Body):
    """A part of an input. Only texts are supported."""

    type: Annotated[Literal["text"], Field(description="Only `text`.")]
    text: Annotated[Text, Field(description="The text.")]


class CohereInput(Body):
    """A text, as an object."""

    content: Annotated[list[CohereContent], Field(min_length=1, max_length=1, description="One text.")]


class CohereEmbedBody(Body):
    """The body of Cohere's `/v1/embed` and `/v2/embed` (https://docs.cohere.com/reference/embed)."""

    strings_per_text: ClassVar[int] = 5  # In `inputs`: `content`, `type`, its value, `text`, and its value.
    model_config = example({"texts": _CATS, "input_type": "search_document", "embedding_types": ["float"]})

    texts: Annotated[Texts | None, Field(description="A list of texts.")] = None
    inputs: Annotated[
        Annotated[list[CohereInput], STOP_AT_FIRST_ERROR, Field(json_schema_extra=limited_by("texts"))] | None,
        Field(description="Instead of `texts`: a list of texts, each as an object."),
    ] = None
    model: ModelName = None
    input_type: InputType = None
    embedding_types: Annotated[
        Annotated[list[EmbeddingType], STOP_AT_FIRST_ERROR, Field(max_length=6)] | None,
        Field(description="How vectors are written: `float`, `binary`, `ubinary` or `base64`."),
    ] = None
    output_dimension: Dimensions = None
    truncate: Annotated[
        Literal["NONE", "START", "END"] | None,
        Field(
            description="`END` cuts texts that are too long, `NONE` refuses them. `START` works only if the model "
            "cuts texts at their start."
        ),
    ] = "END"
    priority: Priority = None
