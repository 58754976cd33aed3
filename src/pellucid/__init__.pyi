from pellucid import errors as errors
from pellucid.embedder import Embedder as Embedder
from pellucid.encoder.encoder import Encoder as Encoder
from pellucid.errors import PellucidError as PellucidError
from pellucid.errors import TruncationWarning as TruncationWarning
from pellucid.types import TokenBatch as TokenBatch

__version__: str
