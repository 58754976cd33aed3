"""Drop-ins for LangChain: change the import, and keep every vector and every score.

::

    from pellucid.langchain import HuggingFaceCrossEncoder, HuggingFaceEmbeddings

Fields, defaults and results are those of the classes of these names in ``langchain_huggingface`` and
``langchain_community``. ``langchain-core`` is imported here and nowhere else.
"""

from typing import TYPE_CHECKING, Any

from pellucid.langchain.embeddings import HuggingFaceEmbeddings

if TYPE_CHECKING:
    from pellucid.langchain.cross_encoder import HuggingFaceCrossEncoder

__all__ = ["HuggingFaceCrossEncoder", "HuggingFaceEmbeddings"]


def __getattr__(name: str) -> Any:
    # It is imported when it is used, because its base class is missing before langchain-core 1.3.
    if name == "HuggingFaceCrossEncoder":
        from pellucid.langchain.cross_encoder import HuggingFaceCrossEncoder

        return HuggingFaceCrossEncoder
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
