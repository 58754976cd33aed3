from pellucid import errors as errors
from pellucid.classifier import Classifier as Classifier
from pellucid.embedder import Embedder as Embedder
from pellucid.encoder.encoder import Encoder as Encoder
from pellucid.errors import PellucidError as PellucidError
from pellucid.errors import TruncationWarning as TruncationWarning
from pellucid.multi_vector_embedder import MultiVectorEmbedder as MultiVectorEmbedder
from pellucid.reranker import Reranker as Reranker
from pellucid.sparse_embedder import SparseEmbedder as SparseEmbedder
from pellucid.sparse_vectors import SparseVectors as SparseVectors
from pellucid.types import MultiVectors as MultiVectors
from pellucid.types import TokenBatch as TokenBatch
from pellucid.vectors.clusters import cluster as cluster
from pellucid.vectors.duplicates import near_duplicates as near_duplicates
from pellucid.vectors.similarity import nearest as nearest
from pellucid.vectors.similarity import similarity as similarity

__version__: str
