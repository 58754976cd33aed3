"""KeyBERT: the words and phrases that say what texts are about."""

from __future__ import annotations

import json
import sys

from keybert import KeyBERT

from tests.programs.texts import TEXTS

model = KeyBERT(sys.argv[1])
documents = [" ".join(TEXTS[start : start + 9]) for start in range(0, len(TEXTS), 9)]
results = {
    "phrases": model.extract_keywords(documents, keyphrase_ngram_range=(1, 2), top_n=5),
    "diverse": model.extract_keywords(documents[1], use_mmr=True, diversity=0.5, top_n=4),
}
print(json.dumps(results))
