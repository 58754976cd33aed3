"""The bodies that requests may have. An unknown key is an error, never ignored, unless it is null."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, FailFast, Field, StrictBool, StrictStr, model_validator
from pydantic_core import PydanticCustomError

from pellucid.server.settings import Limits

LIMIT = "x-pellucid-limit"
"""Marks the place in a schema where a limit of the server belongs; see :func:`fill_limits`."""


class _FailFast(FailFast):
    """Pydantic's ``FailFast``, made hashable. Otherwise it could not be part of a union."""

    __hash__ = object.__hash__


STOP_AT_FIRST_ERROR = _FailFast()
"""Stops validating a list at its first wrong value. There may be a million."""


def limited_by(limit: str) -> dict[str, str]:
    """What a schema needs for :func:`fill_limits`: the name of a limit of the server."""
    return {LIMIT: limit}


Text = Annotated[StrictStr, Field(description="A text.", json_schema_extra=limited_by("characters"))]
TokenId = Annotated[int, Field(strict=True, ge=0, le=2**31 - 1)]
Ids = Annotated[
    list[TokenId],
    STOP_AT_FIRST_ERROR,
    Field(
        min_length=1,
        description="Token ids of the model, with its special tokens.",
        json_schema_extra=limited_by("characters"),
    ),
]
Texts = Annotated[list[Text], STOP_AT_FIRST_ERROR, Field(json_schema_extra=limited_by("texts"))]
IdLists = Annotated[list[Ids], STOP_AT_FIRST_ERROR, Field(json_schema_extra=limited_by("texts"))]
AnyInput = Annotated[
    Text | Texts | Ids | IdLists,
    Field(description="A text, a list of texts, a list of token ids, or a list of lists of token ids."),
]
ModelName = Annotated[
    StrictStr | None,
    Field(description="The name of a model or alias in `/v1/models`. Default: the first that can do this."),
]
PromptName = Annotated[
    StrictStr | None,
    Field(
        description="The name of one of the model's prompts, which goes before each text. If the model reads queries "
        "and documents in different ways, `query` or `document` says what the texts are."
    ),
]
Dimensions = Annotated[
    int | None, Field(strict=True, ge=1, description="Keep only this many leading dimensions of each vector.")
]
Truncate = Annotated[
    StrictBool | None,
    Field(description="`true` cuts texts that are too long, `false` refuses them. Default: the server's setting."),
]
InputType = Annotated[
    Literal["query", "search_query", "document", "search_document", "passage", "classification", "clustering"] | None,
    Field(
        description="What the texts are for. The model's prompt for it, if there is one, goes before each text. If the "
        "model reads queries and documents in different ways, it says which way. `search_query` is `query`; "
        "`search_document` and `passage` are `document`."
    ),
]
TruncationDirection = Annotated[
    Literal["Left", "Right", "left", "right"] | None,
    Field(description="The end at which texts are cut: `Left` or `Right`. Only the model's own is accepted."),
]


def example(body: dict[str, Any]) -> ConfigDict:
    """Add a body that works with every model to the schema. The API's page shows a call with it."""
    return ConfigDict(json_schema_extra={"examples": [body]})


class Body(BaseModel):
    """The base of all request bodies.

    Attributes:
        strings_per_text: how many strings a body may have for each of the texts that it may have, keys included.
    """

    strings_per_text: ClassVar[int] = 1
    model_config = ConfigDict(extra="forbid", protected_namespaces=(), allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def _refuse_unknown_key(cls, value: Any) -> Any:
        """Stop validating at the first unknown key. There may be a million.

        One that is null asks for nothing, and is left out: some clients send all the keys that they know.
        """
        if not isinstance(value, dict) or value.keys() <= cls.model_fields.keys():
            return value
        for key, each in value.items():
            if key not in cls.model_fields and each is not None:
                raise PydanticCustomError("unknown_key", "Unknown key", {"key": key})
        return {key: each for key, each in value.items() if key in cls.model_fields}


class EmbeddingsBody(Body):
    """OpenAI's body (https://platform.openai.com/docs/api-reference/embeddings), with a few more keys.

    `input_type`, `truncation`, `output_dimension` and `output_dtype` are Voyage's
    (https://docs.voyageai.com/reference/embeddings-api).
    """

    model_config = example({"input": ["The cat sat on the mat", "Dogs are loyal companions"]})

    input: AnyInput
    model: ModelName = None
    encoding_format: Annotated[
        Literal["float", "base64"] | None,
        Field(description="How vectors are written: as numbers (`float`), or as little-endian float32 in `base64`."),
    ] = "float"
    dimensions: Dimensions = None
    user: Annotated[StrictStr | None, Field(description="Accepted and ignored.")] = None
    prompt_name: PromptName = None
    input_type: InputType = None
    truncate: Truncate = None
    truncation: Annotated[StrictBool | None, Field(description="Another name of `truncate`.")] = None
    output_dimension: Annotated[int | None, Field(strict=True, ge=1, description="Another name of `dimensions`.")] = (
        None
    )
    output_dtype: Annotated[Literal["float"] | None, Field(description="Only `float`.")] = None


class TextsBody(Body):
    """What the bodies of text-embeddings-inference's routes for vectors share, with `model` and `input_type` added."""

    inputs: AnyInput
    model: ModelName = None
    truncate: Truncate = None
    truncation_direction: TruncationDirection = None
    prompt_name: PromptName = None
    input_type: InputType = None


class EmbedBody(TextsBody):
    """The body of text-embeddings-inference's `/embed`."""

    model_config = example({"inputs": ["The cat sat on the mat", "Dogs are loyal companions"]})

    normalize: Annotated[
        StrictBool | None,
        Field(description="Scale vectors to unit length. With `null`, the model's own setting applies."),
    ] = True
    dimensions: Dimensions = None


class EmbedAllBody(TextsBody):
    """The body of text-embeddings-inference's `/embed_all`, which gives a vector for each token."""

    model_config = example({"inputs": "The cat sat on the mat"})


class EmbedSparseBody(TextsBody):
    """The body of text-embeddings-inference's `/embed_sparse`, with `max_active_dims` added."""

    model_config = example({"inputs": ["The cat sat on the mat", "Dogs are loyal companions"]})

    max_active_dims: Annotated[
        int | None,
        Field(strict=True, ge=1, le=2**31 - 1, description="Keep only this many numbers of each vector, the largest."),
    ] = None


class SimilarityInputs(Body):
    """A text, and the texts to compare it with."""

    source_sentence: Annotated[Text, Field(description="The text to compare with the others.")]
    sentences: Annotated[
        list[Text],
        STOP_AT_FIRST_ERROR,
        Field(min_length=1, description="The other texts.", json_schema_extra=limited_by("texts")),
    ]


class SimilarityParameters(Body):
    """How to embed the texts."""

    truncate: Truncate = None
    truncation_direction: TruncationDirection = None
    prompt_name: PromptName = None


class SimilarityBody(Body):
    """The body of text-embeddings-inference's `/similarity`."""

    model_config = example(
        {"inputs": {"source_sentence": "Where is the cat?", "sentences": ["The cat sat on the mat", "Dogs bark"]}}
    )

    inputs: Annotated[SimilarityInputs, Field(description="A text, and the texts to compare it with.")]
    parameters: Annotated[SimilarityParameters | None, Field(description="How to embed the texts.")] = None
    model: ModelName = None


class TokenizeBody(Body):
    """The body of text-embeddings-inference's `/tokenize`."""

    model_config = example({"inputs": "The cat sat on the mat"})

    inputs: Annotated[Text | Texts, Field(description="A text, or a list of texts.")]
    model: ModelName = None
    add_special_tokens: Annotated[
        StrictBool, Field(description="Include the tokens that the model adds, such as `[CLS]`.")
    ] = True
    prompt_name: PromptName = None


class DecodeBody(Body):
    """The body of text-embeddings-inference's `/decode`."""

    model_config = example({"ids": [101, 7592, 102]})

    ids: Annotated[
        Ids | Annotated[list[Ids], STOP_AT_FIRST_ERROR, Field(min_length=1, json_schema_extra=limited_by("texts"))],
        Field(description="A list of token ids, or a list of such lists."),
    ]
    model: ModelName = None
    skip_special_tokens: Annotated[
        StrictBool, Field(description="Leave out the tokens that the model adds, such as `[CLS]`.")
    ] = True


class TraceBody(Body):
    """A text to trace."""

    model_config = example({"input": "The cat sat on the mat"})

    input: Text
    model: ModelName = None
    prompt_name: PromptName = None


class CompareBody(Body):
    """Two texts to compare. If the model treats them differently, the first is a query and the second a document."""

    model_config = example({"inputs": ["Where is the cat?", "The cat sat on the mat"]})

    inputs: Annotated[list[Text], STOP_AT_FIRST_ERROR, Field(min_length=2, max_length=2, description="The two texts.")]
    model: ModelName = None
    prompt_name: PromptName = None


class MapBody(Body):
    """Texts to draw as a map."""

    model_config = example({"inputs": ["The cat sat on the mat", "A kitten sleeps", "Dogs are loyal companions"]})

    inputs: Annotated[
        list[Text],
        STOP_AT_FIRST_ERROR,
        Field(min_length=2, description="The texts.", json_schema_extra=limited_by("map_texts")),
    ]
    model: ModelName = None


def openapi_body(*kinds: type[Body]) -> dict[str, Any]:
    """The OpenAPI description of a body of one of these kinds. ``read_body`` in ``bodies.py`` reads it."""
    schemas = [_schema(kind) for kind in kinds]
    schema = schemas[0]
    if len(schemas) > 1:
        examples = [body for each in schemas for body in each["examples"]]
        schema = {"anyOf": schemas, "examples": examples}
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": schema}}}}


def _schema(kind: type[Body]) -> dict[str, Any]:
    """The schema of a body, with all that it refers to in its place."""
    schema = kind.model_json_schema()
    definitions = schema.pop("$defs", {})

    def inline(value: Any) -> Any:
        if isinstance(value, dict):
            if "$ref" in value:
                return inline(definitions[value["$ref"].rpartition("/")[2]])
            inlined = {key: inline(part) for key, part in value.items()}
            return inlined | ({"additionalProperties": {"type": "null"}} if "properties" in value else {})
        return [inline(part) for part in value] if isinstance(value, list) else value

    inlined: dict[str, Any] = inline(schema)
    return inlined


def fill_limits(schema: Any, limits: Limits) -> Any:
    """A copy of a schema with the limits of this server as ``maxLength`` and ``maxItems``."""
    if isinstance(schema, list):
        return [fill_limits(part, limits) for part in schema]
    if not isinstance(schema, dict):
        return schema
    filled = {key: fill_limits(value, limits) for key, value in schema.items() if key != LIMIT}
    if LIMIT in schema:
        filled["maxItems" if filled.get("type") == "array" else "maxLength"] = getattr(limits, schema[LIMIT])
    return filled
