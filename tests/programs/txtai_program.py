"""txtai: an index of texts, by their vectors."""

from __future__ import annotations

import json
import sys

from txtai import Embeddings

from tests.programs.texts import QUERY, TEXTS

embeddings = Embeddings(path=sys.argv[1], method="sentence-transformers", gpu=False)
embeddings.index(TEXTS)
found = embeddings.search(QUERY, 4)
results = {
    "ids": [int(number) for number, _ in found],
    "scores": [float(score) for _, score in found],
    "similarities": [float(score) for _, score in sorted(embeddings.similarity(QUERY, TEXTS[:5]))],
}
print(json.dumps(results))
